// The operations of openapi.yaml, with their types, and how screens call them:
//
//   const people = usePages((cursor) => api.GET('/users', { params: { query: { cursor } } }), []);
//   const person = useLoad(() => api.GET('/users/{user_id}', { params: { path: { user_id: id } } }), [id]);
//   await ask(api.DELETE('/users/{user_id}', { params: { path: { user_id: id } } }));
import createClient from 'openapi-fetch';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { components, paths } from '../generated/openapi';
import { authorizedFetch, base, RefreshRefused, SessionEnded } from './auth';
import { Store } from './store';

export const api = createClient<paths>({ baseUrl: base, fetch: authorizedFetch });

// changes counts the steps that have succeeded, for lists that show their traces.
export const changes = new Store(0);
api.use({ onResponse: ({ request, response }) => { if (request.method !== 'GET' && response.ok) changes.set(changes.value + 1); } });

export type Schemas = components['schemas'];

// Failure is why a request did not succeed: a problem of the server (RFC 9457), or a server that cannot be reached, whose status is 0.
export class Failure extends Error {
  constructor(
    readonly status: number, detail: string, readonly code = '', readonly requestID = '',
    readonly fields: { pointer?: string; parameter?: string; detail: string }[] = [], readonly retryAfter = '',
  ) { super(detail); }
}

interface Answer<T> { data?: T; error?: unknown; response: Response }

// ask resolves with the body of an answer, or fails with a Failure.
export async function ask<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (fault) {
    if (fault instanceof SessionEnded) throw fault;
    if (fault instanceof RefreshRefused) throw new Failure(fault.answer.status, '', '', '', [], fault.answer.headers.get('Retry-After') ?? '');
    throw new Failure(0, '');
  }
  const { data, error, response } = answer;
  if (response.ok) return data as T;
  const problem = (typeof error === 'object' && error !== null ? error : {}) as Partial<Schemas['Problem']>;
  throw new Failure(response.status, problem.detail ?? response.statusText, problem.code, problem.request_id ?? response.headers.get('X-Request-ID') ?? '',
    problem.errors as Failure['fields'] | undefined, response.headers.get('Retry-After') ?? '');
}

// failureOf is what a screen shows of an error: nothing when the session has ended, because the page asks for a sign-in then.
const failureOf = (fault: unknown) => fault instanceof Failure ? fault : fault instanceof SessionEnded ? null : new Failure(0, String(fault));

export interface Loaded<T> { data: T | undefined; failure: Failure | null; loading: boolean; reload: () => void; set: (data: T) => void }

// useLoad reads something when the screen opens, and again when one of deps changes. It keeps the old data meanwhile.
export function useLoad<T>(load: () => Promise<Answer<T>>, deps: unknown[]): Loaded<T> {
  const [now, show] = useState<{ data?: T | undefined; failure: Failure | null; loading: boolean }>({ failure: null, loading: true });
  const [times, again] = useState(0);
  useEffect(() => {
    let current = true; // an answer that comes too late is not shown
    show((before) => ({ ...before, loading: true }));
    ask(load()).then(
      (data) => { if (current) show({ data, failure: null, loading: false }); },
      (fault: unknown) => { if (current) show((before) => ({ ...before, failure: failureOf(fault), loading: false })); },
    );
    return () => { current = false; };
  }, [...deps, times]);
  return { data: now.data, failure: now.failure, loading: now.loading, reload: () => again((n) => n + 1), set: (data) => show({ data, failure: null, loading: false }) };
}

export interface Page<T> { items: T[]; next_cursor: string | null }

export interface Pages<T, P = Page<T>> { items: T[]; failure: Failure | null; loading: boolean; more: (() => void) | null; reload: () => void; set: (items: T[]) => void; page: P | undefined }

// ItemOf is the item of a page, unless the caller says which one it is.
type ItemOf<T, P extends Page<T>> = unknown extends T ? P['items'][number] : T;

// emptyPages bounds how many pages without an item are read at once: a filter may match little of what the server looks at for a page.
const emptyPages = 20;

// usePages reads a list by its cursors: the first page when the screen opens or one of deps changes, and the next ones by more. page is
// the first page as it came, for what else it has, such as a total.
export function usePages<T, P extends Page<T> = Page<T>>(load: (cursor: string | undefined) => Promise<Answer<P>>, deps: unknown[]): Pages<ItemOf<T, P>, P> {
  const [now, show] = useState<{ items: ItemOf<T, P>[]; page?: P | undefined; next?: string | null; failure: Failure | null; loading: boolean }>({ items: [], failure: null, loading: true });
  const [times, again] = useState(0);
  const turn = useRef(0); // counts the lists: an answer of an earlier one is not shown
  const asked = useRef(''); // the filters of the list
  const read = async (cursor: string | null, before: ItemOf<T, P>[], other = false) => {
    const mine = turn.current;
    show((old) => ({ ...old, failure: null, loading: true }));
    try {
      let page = await ask(load(cursor ?? undefined));
      const first = cursor ? undefined : page;
      for (let i = 0; page.items.length === 0 && page.next_cursor && i < emptyPages; i++) page = await ask(load(page.next_cursor));
      if (mine === turn.current) show((old) => ({ items: [...before, ...page.items as ItemOf<T, P>[]], page: first ?? old.page, next: page.next_cursor, failure: null, loading: false }));
    } catch (fault) {
      // Rows and a cursor of other filters would pass for those of the present ones.
      if (mine === turn.current) show((old) => ({ ...other ? { items: [] } : old, failure: failureOf(fault), loading: false }));
    }
  };
  useEffect(() => {
    turn.current++;
    const filters = JSON.stringify(deps);
    void read(null, [], filters !== asked.current);
    asked.current = filters;
    return () => { turn.current++; };
  }, [...deps, times]);
  const { next } = now;
  return {
    items: now.items, page: now.page, failure: now.failure, loading: now.loading,
    more: next && !now.loading ? () => { void read(next, now.items); } : null,
    reload: () => again((n) => n + 1), set: (items) => show((old) => ({ ...old, items })),
  };
}

// useAction runs one step at a time, such as a button does, and keeps why it failed. A button that is busy has aria-disabled and not
// disabled, with which it would lose the focus.
export function useAction() {
  const [now, show] = useState<{ busy: boolean; failure: Failure | null }>({ busy: false, failure: null });
  const running = useRef(false);
  const run = useCallback(async (step: () => Promise<void>) => {
    if (running.current) return;
    running.current = true;
    show({ busy: true, failure: null });
    try {
      await step();
      show({ busy: false, failure: null });
    } catch (fault) {
      show({ busy: false, failure: failureOf(fault) });
    } finally {
      running.current = false;
    }
  }, []);
  return { ...now, run, clear: () => show({ busy: false, failure: null }) };
}

// debounced returns the value once it has not changed for a moment.
export function useDebounced<T>(value: T, wait = 250): T {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), wait);
    return () => clearTimeout(timer);
  }, [value, wait]);
  return settled;
}
