// Small parts of every screen.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failure } from '../api';
import { formatTime, texts, visible } from '../i18n';
import { faultInWords, problemInWords } from '../problems';
import { Store, useStore } from '../store';

const t = texts({
  offline: 'The server cannot be reached. Check your connection and try again.',
  failed: 'The server refused this ({status}).',
  wait: 'Try again in {n} seconds.',
  request: 'Request {id}',
  retry: 'Try again',
  loading: 'Loading …',
  copy: 'Copy',
  copied: 'Copied',
  none: 'none',
  yes: 'Yes',
  no: 'No',
}, {
  offline: 'Der Server ist nicht erreichbar. Prüfen Sie die Verbindung und versuchen Sie es erneut.',
  failed: 'Der Server hat das abgelehnt ({status}).',
  wait: 'Versuchen Sie es in {n} Sekunden erneut.',
  request: 'Anfrage {id}',
  retry: 'Erneut versuchen',
  loading: 'Wird geladen …',
  copy: 'Kopieren',
  copied: 'Kopiert',
  none: 'keine',
  yes: 'Ja',
  no: 'Nein',
});

// Screen is the frame of a screen: its heading, what can be done on it, and its content. back leads to the list that it belongs to.
export function Screen({ title, back, actions, children }: {
  title: ComponentChildren; back?: { href: string; text: string }; actions?: ComponentChildren; children?: ComponentChildren;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => { // screen readers announce the new screen
    document.title = [heading.current?.textContent, document.documentElement.dataset.name].filter(Boolean).join(' – ');
  });
  return <>
    {back && <p class="back"><a href={back.href}>← {back.text}</a></p>}
    <header class="screen">
      <h1 ref={heading} tabIndex={-1}>{title}</h1>
      {actions && <div class="actions">{actions}</div>}
    </header>
    {children}
  </>;
}

// Section is a part of a screen with a heading of its own.
export function Section({ title, hint, actions, children }: { title: string; hint?: ComponentChildren; actions?: ComponentChildren; children?: ComponentChildren }) {
  return <section class="card">
    <header><h2>{title}</h2>{actions && <div class="actions">{actions}</div>}</header>
    {hint && <p class="hint">{hint}</p>}
    {children}
  </section>;
}

// Theirs shows a text that somebody else has chosen. It cannot change the direction of the texts around it, and hides nothing.
export const Theirs = ({ children }: { children: string | null | undefined }) => children ? <bdi class="theirs">{visible(children)}</bdi> : null;

// Code shows an id, an address or a scope. It is never a link: the text may be a stranger's.
export const Code = ({ children }: { children: string | null | undefined }) => <code><bdi>{children && visible(children)}</bdi></code>;

export const Time = ({ at }: { at: string | null | undefined }) => at ? <time dateTime={at} title={at}>{formatTime(at)}</time> : <span class="muted">–</span>;

export const Badge = ({ kind = 'plain', children }: { kind?: 'plain' | 'good' | 'bad' | 'warn'; children: ComponentChildren }) => <span class={`badge ${kind}`}>{children}</span>;

export const YesNo = ({ value }: { value: boolean }) => <>{t(value ? 'yes' : 'no')}</>;

// Scopes lists scopes, or says that there are none.
export const Scopes = ({ names }: { names: string[] }) => names.length === 0 ? <span class="muted">{t('none')}</span>
  : <ul class="scopes">{names.map((name) => <li key={name}><Code>{name}</Code></li>)}</ul>;

// Facts is a list of names with their values; an entry that is null is left out.
export const Facts = ({ entries }: { entries: ([string, ComponentChildren] | null | false | '')[] }) => <dl class="facts">
  {entries.map((entry) => entry && <div key={entry[0]}><dt>{entry[0]}</dt><dd>{entry[1]}</dd></div>)}
</dl>;

// Copyable shows a text to copy.
export function Copyable({ text }: { text: string }) {
  const [copied, show] = useState(false);
  const copy = () => { void navigator.clipboard.writeText(text).then(() => show(true)); };
  return <span class="copyable"><Code>{text}</Code><button type="button" class="small" onClick={copy}>{t(copied ? 'copied' : 'copy')}</button></span>;
}

export const Loading = () => <p class="loading" role="status">{t('loading')}</p>;

export const Empty = ({ children }: { children: ComponentChildren }) => <div class="empty">{children}</div>;

// Fault shows why something failed, as the server says it, with the id that its log has. more are the faults of fields; a form gives
// those that it shows at no field.
export function Fault({ failure, retry, more = failure?.fields.map(({ parameter, detail }) => [parameter, faultInWords(detail)].filter(Boolean).join(': ')) ?? [] }: { failure: Failure | null; retry?: () => void; more?: string[] }) {
  if (!failure) return null;
  return <div class="fault" role="alert">
    <p>{failure.status === 0 ? t('offline') : problemInWords(failure.code, failure.message) || t('failed', { status: failure.status })}
      {failure.retryAfter && ` ${t('wait', { n: failure.retryAfter })}`}</p>
    {more.length > 0 && <ul>{more.map((line) => <li key={line}>{line}</li>)}</ul>}
    {failure.requestID && <p class="muted small">{t('request', { id: failure.requestID })}</p>}
    {retry && <button type="button" class="small" onClick={retry}>{t('retry')}</button>}
  </div>;
}

// Toasts: what has happened, for a few seconds, also read by screen readers.
const toasts = new Store<{ id: number; text: string }[]>([]);
let count = 0;

export function toast(text: string) {
  const id = ++count;
  toasts.set([...toasts.value, { id, text }]);
  setTimeout(() => dismiss(id), 6000);
}

const dismiss = (id: number) => toasts.set(toasts.value.filter((other) => other.id !== id));

// clearToasts removes what a dialog would cover.
export const clearToasts = () => toasts.set([]);

export function Toasts() {
  const shown = useStore(toasts);
  return <div class="toasts" role="status">{shown.map(({ id, text }) => <p key={id} onClick={() => dismiss(id)}><bdi>{text}</bdi></p>)}</div>;
}
