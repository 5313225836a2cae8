// Dialogs: the browser's own element keeps the focus inside and closes with Escape.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useAction } from '../api';
import { texts, visible } from '../i18n';
import { Store, useStore } from '../store';
import { clearToasts, Copyable, Fault, Theirs } from './parts';

const t = texts({
  cancel: 'Cancel', type: 'To confirm, type', close: 'Close',
  once: 'The server does not show this again. Store it now.', done: 'I have stored it',
}, {
  cancel: 'Abbrechen', type: 'Geben Sie zur Bestätigung ein:', close: 'Schließen',
  once: 'Der Server zeigt das nicht noch einmal an. Speichern Sie es jetzt.', done: 'Ich habe es gespeichert',
});

// Dialog is open while it is rendered. close is called for Escape, too; without it the dialog cannot be closed. A browser asks before it
// closes a dialog only once: for a second Escape, or a phone's gesture for back, it does not, so the dialog opens again.
export function Dialog({ title, close, children }: { title: ComponentChildren; close?: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Before anything is painted, so that the focus is still where the person has pressed.
  useLayoutEffect(() => {
    const [before, element] = [document.activeElement, dialog.current];
    clearToasts();
    element?.showModal();
    return () => {
      element?.close(); // while it is open, nothing else takes the focus
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const closed = () => {
    if (!dialog.current) return; // it is no longer rendered
    if (close) close(); else dialog.current.showModal();
  };
  return <dialog ref={dialog} aria-labelledby={id} onClose={closed} onCancel={(event) => { event.preventDefault(); close?.(); }}>
    <h2 id={id}>{title}</h2>
    {children}
  </dialog>;
}

// Confirm asks before a step. Its text names what will happen; action is the word of the button. Where the step is among the worst,
// typed is a name that the person has to type.
export function Confirm({ title, children, action, danger, typed, confirm, close }: {
  title: ComponentChildren; children?: ComponentChildren; action: string; danger?: boolean; typed?: string; confirm: () => Promise<void>; close: () => void;
}) {
  const step = useAction();
  const [name, type] = useState('');
  const id = useId();
  const submit = (event: Event) => {
    event.preventDefault();
    void step.run(async () => {
      await confirm();
      close();
    });
  };
  return <Dialog title={title} close={close}>
    <form onSubmit={submit} autocomplete="off">
      {children}
      {typed !== undefined && <div class="field">
        <label for={id}>{t('type')} <strong><Theirs>{typed}</Theirs></strong></label>
        <input id={id} value={name} autocapitalize="none" spellcheck={false} onInput={(event) => type(event.currentTarget.value)} />
      </div>}
      <Fault failure={step.failure} />
      <div class="buttons">
        <button type="button" onClick={close}>{t('cancel')}</button>
        <button class={danger ? 'danger' : 'primary'} aria-disabled={step.busy} disabled={typed !== undefined && name !== typed && name !== visible(typed)}>{action}</button>
      </div>
    </form>
  </Dialog>;
}

interface Secret { title: ComponentChildren; text: string; more?: ComponentChildren; done?: () => void }

const secrets = new Store<Secret[]>([]);

// showSecret shows what the server says once, until the person presses its button: also when the screen has changed meanwhile.
export const showSecret = (secret: Secret) => secrets.set([...secrets.value, secret]);

// Secrets shows one after the other. It belongs to the frame of the page.
export function Secrets() {
  const [secret, ...rest] = useStore(secrets);
  useEffect(() => {
    if (!secret) return undefined;
    const ask = (event: Event) => event.preventDefault();
    addEventListener('beforeunload', ask); // the browser asks before a reload
    return () => removeEventListener('beforeunload', ask);
  }, [secret]);
  return secret ? <Dialog key={secret.text} title={<bdi>{secret.title}</bdi>}>
    <p>{t('once')}</p>
    {secret.more}
    <p><Copyable text={secret.text} /></p>
    <div class="buttons"><button type="button" class="primary" onClick={() => { secrets.set(rest); secret.done?.(); }}>{t('done')}</button></div>
  </Dialog> : null;
}

// useDialog opens one dialog of a screen at a time: const [dialog, open] = useDialog(); open((close) => <Confirm … close={close} />).
export function useDialog() {
  const [make, set] = useState<((close: () => void) => ComponentChildren) | null>(null);
  const close = () => set(null);
  return [make?.(close) ?? null, (next: (close: () => void) => ComponentChildren) => set(() => next)] as const;
}
