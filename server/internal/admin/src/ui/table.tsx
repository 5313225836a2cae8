// A table of a list, with its states: loading, empty, failed, and more to load. Where there is little room, as on a phone, each row becomes a card.
import type { ComponentChildren } from 'preact';
import type { Failure } from '../api';
import { texts } from '../i18n';
import { Empty, Fault, Loading } from './parts';

const t = texts({ more: 'Load more', end: 'That is all.' }, { more: 'Mehr laden', end: 'Das sind alle.' });

export interface Column<T> {
  title: string;
  cell: (item: T) => ComponentChildren;
  kind?: 'main' | 'actions' | 'short'; // main: the heading of the row; actions: its buttons
}

// List is what useLoad or usePages returned, or a part of it.
interface List<T> { items: readonly T[]; failure?: Failure | null; loading?: boolean; more?: (() => void) | null; reload?: () => void }

export function Table<T>({ caption, columns, list, id, empty }: {
  caption: string; columns: Column<T>[]; list: List<T>; id: (item: T) => string; empty: ComponentChildren;
}) {
  const { items, failure, loading, more } = list;
  return <div class="list" aria-busy={!!loading}>
    {failure && <Fault failure={failure} {...list.reload && { retry: list.reload }} />}
    {items.length > 0 && <div class="scroller"><table>
      <caption class="hidden">{caption}</caption>
      <thead><tr>{columns.map(({ title, kind }) => <th key={title} scope="col" class={kind}>{kind === 'actions' ? <span class="hidden">{title}</span> : title}</th>)}</tr></thead>
      <tbody>{items.map((item) => <tr key={id(item)}>
        {columns.map(({ title, cell, kind }) => kind === 'main'
          ? <th key={title} scope="row" class="main">{cell(item)}</th>
          : <td key={title} class={kind} data-title={title}>{cell(item)}</td>)}
      </tr>)}</tbody>
    </table></div>}
    {items.length === 0 && !loading && !failure && !more && <Empty>{empty}</Empty>}
    {loading && <Loading />}
    {more && <p class="more"><button type="button" onClick={more}>{t('more')}</button></p>}
  </div>;
}

// Filters is the bar above a table. Its fields are Search and Choice.
export const Filters = ({ children }: { children: ComponentChildren }) => <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>{children}</form>;

export const Search = ({ label, value, change }: { label: string; value: string; change: (text: string) => void }) =>
  <label><span>{label}</span><input type="search" value={value} maxLength={254} autocapitalize="none" spellcheck={false} onInput={(event) => change(event.currentTarget.value)} /></label>;

export const Choice = ({ label, value, options, change }: { label: string; value: string; options: [string, string][]; change: (value: string) => void }) =>
  <label><span>{label}</span><select value={value} onChange={(event) => change(event.currentTarget.value)}>
    {options.map(([name, text]) => <option key={name} value={name}>{text}</option>)}
  </select></label>;

export const Day = ({ label, value, change }: { label: string; value: string; change: (day: string) => void }) =>
  <label><span>{label}</span><input type="date" value={value} onInput={(event) => change(event.currentTarget.value)} /></label>;

// dayOf is a filter of the beginning of a day, in the person's time zone; none for an empty or a mistyped one.
export function dayOf<N extends string>(name: N, day: string): { [K in N]?: string } {
  const time = new Date(`${day}T00:00:00`);
  return (Number.isNaN(time.getTime()) ? {} : { [name]: time.toISOString() }) as { [K in N]?: string };
}
