import { useEffect, useState } from 'preact/hooks';

// Store holds a value that components show, outside of them.
export class Store<T> {
  #value: T;
  #listeners = new Set<(value: T) => void>();

  constructor(value: T) { this.#value = value; }

  get value() { return this.#value; }

  set(value: T) {
    this.#value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  watch(listener: (value: T) => void) {
    this.#listeners.add(listener);
    return () => { this.#listeners.delete(listener); };
  }
}

// useStore renders a component again when the value changes.
export function useStore<T>(store: Store<T>): T {
  const [value, show] = useState(store.value);
  useEffect(() => {
    show(store.value); // it may have changed since the first rendering
    return store.watch(show);
  }, [store]);
  return value;
}
