// Forms. What a person types is a draft (drafts.ts) until it is saved:
//
//   const form = useForm('clients/new', { name: '', redirect_uris: [] as string[] });
//   <Form form={form} submit={t('create')} send={async ({ name }) => { await ask(api.POST('/clients', { body: { name } })); }}>
//     <Text {...form.field('name')} label={t('name')} required />
//     <Lines {...form.field('redirect_uris')} label={t('redirects')} />
//   </Form>
//
// The server checks what is sent. A fault of a field (RFC 9457 with a JSON pointer) is shown at the field of that name until it changes, and any other
// one above the buttons. send runs once at a time; when it succeeds, what it sent is no draft any more.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { useAction, type Failure } from '../api';
import { readDraft, writeDraft } from '../drafts';
import { texts } from '../i18n';
import { faultInWords } from '../problems';
import { Code, Fault, Theirs } from './parts';

const t = texts({
  lines: 'One per line.', kept: 'Your unsaved changes were kept.', discard: 'Discard', show: 'Show', hide: 'Hide', line: 'line {n}',
}, {
  lines: 'Eine pro Zeile.', kept: 'Ihre nicht gespeicherten Änderungen sind noch da.', discard: 'Verwerfen', show: 'Anzeigen', hide: 'Verbergen', line: 'Zeile {n}',
});

type Fields = Record<string, unknown>;

export interface Bound<V> { name: string; value: V; change: (value: V) => void; fault: string | undefined }

export interface FormState<T extends Fields> {
  values: T;
  changed: Partial<T>; // the values that differ from the initial ones: what a PATCH sends
  restored: boolean;   // a draft of an earlier visit is shown
  failure: Failure | null;
  busy: boolean;
  field: <K extends keyof T & string>(name: K) => Bound<T[K]>;
  reset: () => void;
  submit: (send: (values: T, changed: Partial<T>) => Promise<void>) => Promise<void>;
  unplaced: string[];  // faults of fields that the form does not have
}

const equal = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

// explain is a fault of a field; that of a list says of which line.
function explain({ pointer, detail }: { pointer?: string; detail: string }) {
  const [index, text] = [pointer?.split('/')[2], faultInWords(detail)];
  return index && /^\d+$/.test(index) ? `${t('line', { n: Number(index) + 1 })}: ${text}` : text;
}

// useForm keeps the values of a form. name is that of its draft, and differs for each thing that is edited. initial are the stored
// values; secrets names the fields that are never kept as a draft: every password, secret and key.
export function useForm<T extends Fields>(name: string, initial: T, secrets: (keyof T & string)[] = []): FormState<T> {
  const [typed, type] = useState<Partial<T>>(() => draftOf(name, initial, secrets));
  const [restored, setRestored] = useState(() => Object.keys(typed).length > 0);
  const action = useAction();
  const asked = useRef(new Set<string>());
  const sent = useRef<Partial<T>>({}); // the values that the faults are about
  const latest = useRef(typed);
  latest.current = typed;
  const values = { ...initial, ...typed };
  const changed = Object.fromEntries(Object.entries(typed).filter(([key, value]) => !equal(value, initial[key]))) as Partial<T>;
  const keep = (draft: Partial<T>) => writeDraft(name, Object.fromEntries(Object.entries(draft).filter(([key]) => !secrets.includes(key))));
  // reduce keeps of what has been typed only rest.
  const reduce = (rest: Partial<T>) => {
    keep(rest);
    type(rest);
    setRestored(false);
  };
  useEffect(() => keep(changed), [name, JSON.stringify(changed)]);
  const faults = action.failure?.fields ?? [];
  const fieldOf = ({ pointer, parameter }: { pointer?: string; parameter?: string }) => pointer?.split('/')[1] ?? parameter ?? '';
  return {
    values, changed, restored, failure: action.failure, busy: action.busy,
    field: (key) => {
      asked.current.add(key);
      return {
        name: key, value: values[key], change: (value) => type((before) => ({ ...before, [key]: value })),
        fault: faults.filter((fault) => fieldOf(fault) === key && equal(values[key], sent.current[key])).map(explain).join('; ') || undefined,
      };
    },
    reset: () => { reduce({}); action.clear(); },
    submit: (send) => action.run(async () => {
      sent.current = values;
      await send(values, changed);
      reduce(Object.fromEntries(Object.entries(latest.current).filter(([key, value]) => !equal(value, values[key]))) as Partial<T>); // typed meanwhile
    }),
    unplaced: faults.filter((fault) => !asked.current.has(fieldOf(fault))).map(({ pointer, parameter, detail }) => `${pointer ?? parameter ?? ''} ${faultInWords(detail)}`.trim()),
  };
}

// draftOf reads a draft, as far as it fits the form.
function draftOf<T extends Fields>(name: string, initial: T, secrets: string[]) {
  const fits = ([key, value]: [string, unknown]) => key in initial && !secrets.includes(key) && typeof value === typeof initial[key] && Array.isArray(value) === Array.isArray(initial[key]);
  return Object.fromEntries(Object.entries(readDraft(name)).filter(fits)) as Partial<T>;
}

// Form shows the fields and the button. quiet hides the button until something has changed, for forms that edit.
export function Form<T extends Fields>({ form, send, submit, quiet, cancel, children }: {
  form: FormState<T>; send: (values: T, changed: Partial<T>) => Promise<void>; submit: string; quiet?: boolean; cancel?: ComponentChildren; children: ComponentChildren;
}) {
  const element = useRef<HTMLFormElement>(null);
  useEffect(() => {
    const first = element.current?.querySelector<HTMLElement>('[aria-invalid=true]');
    first?.focus();
    first?.closest('.field')?.scrollIntoView({ block: 'nearest' }); // with the fault, which is above it
  }, [form.failure]);
  const dirty = Object.keys(form.changed).length > 0;
  return <form ref={element} class="fields" autocomplete="off" onSubmit={(event) => { event.preventDefault(); void form.submit(send); }}>
    {form.restored && dirty && <p class="restored" role="status">{t('kept')} <button type="button" class="link" onClick={form.reset}>{t('discard')}</button></p>}
    {children}
    <Fault failure={form.failure} more={form.unplaced} />
    {(!quiet || dirty) && <div class="buttons">
      {cancel ?? (quiet && <button type="button" onClick={form.reset}>{t('discard')}</button>)}
      <button class="primary" aria-disabled={form.busy}>{submit}</button>
    </div>}
  </form>;
}

// Labelled is a field with its label, hint and fault, which screen readers read with it.
function Labelled({ label, hint, fault, children }: {
  label: string; hint?: ComponentChildren; fault: string | undefined; children: (props: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true }) => ComponentChildren;
}) {
  const id = useId();
  const described = [fault && `${id}-fault`, hint && `${id}-hint`].filter(Boolean).join(' ');
  return <div class="field">
    <label for={id}>{label}</label>
    {hint && <p class="hint" id={`${id}-hint`}>{hint}</p>}
    {fault && <p class="wrong" id={`${id}-fault`} role="alert">{fault}</p>}
    {children({ id, ...described && { 'aria-describedby': described }, ...fault && { 'aria-invalid': true as const } })}
  </div>;
}

interface Shown { label: string; hint?: ComponentChildren; required?: boolean; disabled?: boolean; maxLength?: number }

export const Text = ({ name, value, change, fault, label, hint, ...more }: Bound<string> & Shown & { pattern?: string }) =>
  <Labelled label={label} hint={hint} fault={fault}>
    {(props) => <input {...props} {...more} name={name} value={value} autocapitalize="none" spellcheck={false} dir="auto" onInput={(event) => change(event.currentTarget.value)} />}
  </Labelled>;

// Password is a field for a secret. Name it in the secrets of useForm.
export function Password({ name, value, change, fault, label, hint, ...more }: Bound<string> & Shown) {
  const [visible, show] = useState(false);
  return <Labelled label={label} hint={hint} fault={fault}>
    {(props) => <span class="with-button">
      <input {...props} {...more} name={name} type={(visible ? 'text' : 'password') as 'password'} value={value} autocomplete="new-password" autocapitalize="none" spellcheck={false} onInput={(event) => change(event.currentTarget.value)} />
      <button type="button" aria-pressed={visible} onClick={() => show(!visible)}>{t(visible ? 'hide' : 'show')}</button>
    </span>}
  </Labelled>;
}

export const Quantity = ({ name, value, change, fault, label, hint, ...more }: Bound<number> & Shown & { min?: number; max?: number }) =>
  <Labelled label={label} hint={hint} fault={fault}>
    {(props) => <input {...props} {...more} name={name} type="number" inputMode="numeric" value={value} onInput={(event) => change(event.currentTarget.valueAsNumber || 0)} />}
  </Labelled>;

// Lines is a list of texts, one in each line.
export function Lines({ name, value, change, fault, label, hint, ...more }: Bound<string[]> & Shown) {
  const [text, type] = useState(value.join('\n'));
  const split = (lines: string) => lines.split('\n').map((line) => line.trim()).filter(Boolean);
  useEffect(() => { if (!equal(split(text), value)) type(value.join('\n')); }, [value.join('\n')]);
  return <Labelled label={label} hint={hint ?? t('lines')} fault={fault}>
    {(props) => <textarea {...props} {...more} name={name} rows={Math.max(2, text.split('\n').length)} value={text} autocapitalize="none" spellcheck={false} dir="auto"
      onInput={(event) => { type(event.currentTarget.value); change(split(event.currentTarget.value)); }} />}
  </Labelled>;
}

export const Select = ({ name, value, change, fault, label, hint, options, disabled }: Bound<string> & Shown & { options: [string, string][] }) =>
  <Labelled label={label} hint={hint} fault={fault}>
    {(props) => <select {...props} name={name} value={value} disabled={disabled ?? false} onChange={(event) => change(event.currentTarget.value)}>
      {options.map(([option, text]) => <option key={option} value={option}>{text}</option>)}
    </select>}
  </Labelled>;

export function Check({ name, value, change, fault, label, hint, disabled }: Bound<boolean> & Shown) {
  const id = useId();
  return <div class="field check">
    <input id={id} name={name} type="checkbox" checked={value} disabled={disabled ?? false} aria-describedby={`${id}-more`} onChange={(event) => change(event.currentTarget.checked)} />
    <div><label for={id}>{label}</label><div id={`${id}-more`}>{hint && <p class="hint">{hint}</p>}{fault && <p class="wrong" role="alert">{fault}</p>}</div></div>
  </div>;
}

// Checks is a choice of several, such as scopes. An option is disabled where disabled says so.
export const Checks = ({ name, value, change, fault, label, hint, options }: Bound<string[]> & Shown & { options: { name: string; text?: string; disabled?: boolean }[] }) => {
  const id = useId();
  return <fieldset class="field" aria-describedby={`${id}-more`}>
    <legend>{label}</legend>
    <div id={`${id}-more`}>{hint && <p class="hint">{hint}</p>}{fault && <p class="wrong" role="alert">{fault}</p>}</div>
    {options.map((option) => <label key={option.name} class="option">
      <input type="checkbox" name={name} value={option.name} checked={value.includes(option.name)} disabled={option.disabled ?? false}
        onChange={(event) => change(event.currentTarget.checked ? [...value, option.name] : value.filter((other) => other !== option.name))} />
      <span><Code>{option.name}</Code>{option.text && <span class="muted"> <Theirs>{option.text}</Theirs></span>}</span>
    </label>)}
  </fieldset>;
};
