// The event log: filters, new events as they happen, and an export.
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, ask, Failure, useDebounced, useLoad, usePages, type Pages, type Schemas } from '../api';
import { may } from '../auth';
import { formatNumber, texts } from '../i18n';
import { href, setQuery } from '../router';
import type { ScreenProps } from '../screens';
import { Dialog, useDialog } from '../ui/dialog';
import { Code, Fault, Loading, Screen, Theirs, Time } from '../ui/parts';
import { Choice, Filters, Search, Table } from '../ui/table';
import { download, saveExport } from './export';
import { inWords, kinds, type Kind } from './kinds';

const t = texts({
  title: 'Events', follow: 'Follow', stop: 'Stop following', following: 'New events appear as they happen.', paused: 'The last request has failed. The page goes on trying.',
  export: 'Export', kinds: 'Kinds', all: 'All kinds', some: '{n} chosen', clear: 'All kinds', who: 'Whose', person: 'Events of the person', actor: 'Caused by', client: 'Of the client',
  name: 'Username or id', clientID: 'Client id', since: 'From', until: 'Until', at: 'Time', kind: 'What', about: 'Person', by: 'By', of: 'Client', address: 'From where', self: 'the person',
  none: 'No event fits these filters.', nobody: 'There is no account with this username.', onlyID: 'Enter the id of an account. A search by username needs the scope users:read.', id: 'Id of the account', fresh: '{n} new', exporting: 'Export of the events',
  lines: '{n} events are read.', hint: 'Every event that fits the filters, one line of JSON each, the oldest first. The events of the last minute are not among them.',
  cancel: 'Cancel', save: 'Save the file', close: 'Close',
}, {
  title: 'Ereignisse', follow: 'Mitlesen', stop: 'Nicht mehr mitlesen', following: 'Neue Ereignisse erscheinen, wenn sie geschehen.', paused: 'Die letzte Anfrage ist gescheitert. Die Seite versucht es weiter.',
  export: 'Exportieren', kinds: 'Arten', all: 'Alle Arten', some: '{n} ausgewählt', clear: 'Alle Arten', who: 'Wessen', person: 'Ereignisse der Person', actor: 'Verursacht von', client: 'Des Clients',
  name: 'Benutzername oder ID', clientID: 'Client-ID', since: 'Ab', until: 'Bis', at: 'Zeit', kind: 'Was', about: 'Person', by: 'Durch', of: 'Client', address: 'Woher', self: 'die Person',
  none: 'Kein Ereignis passt zu diesen Filtern.', nobody: 'Es gibt kein Konto mit diesem Benutzernamen.', onlyID: 'Geben Sie die ID eines Kontos ein. Für die Suche nach Benutzernamen ist der Scope users:read nötig.', id: 'ID des Kontos', fresh: '{n} neue', exporting: 'Export der Ereignisse',
  lines: '{n} Ereignisse sind gelesen.', hint: 'Jedes Ereignis, das zu den Filtern passt, als Zeile JSON, das älteste zuerst. Die der letzten Minute sind nicht dabei.',
  cancel: 'Abbrechen', save: 'Datei speichern', close: 'Schließen',
});

type Event = Schemas['Event'];

export interface Query { kind?: Kind[]; user_id?: string; actor?: string; client_id?: string; since?: string; until?: string }

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const interval = 4000; // milliseconds between two polls
const most = 2000;     // events that are kept on the page

export function Events({ query }: ScreenProps) {
  const filters = useFilters(query);
  const events = usePages<Event>((cursor) => filters.failure || filters.loading ? Promise.resolve({ data: { items: [], next_cursor: null }, response: new Response() })
    : api.GET('/events', { params: { query: { limit: 50, ...cursor && { cursor }, ...filters.query } } }), [JSON.stringify(filters.query), filters.loading]);
  const follower = useFollower(events, filters.query, !filters.loading && !filters.failure);
  const [dialog, open] = useDialog();
  return <Screen title={t('title')} actions={<>
    <button type="button" aria-pressed={follower.on} onClick={follower.toggle}>{t(follower.on ? 'stop' : 'follow')}</button>
    <button type="button" disabled={filters.loading || filters.failure !== null} onClick={() => open((close) => <Exporting query={filters.query} close={close} />)}>{t('export')}</button>
  </>}>
    <EventFilters query={query} />
    <p class="hint live" role="status">{follower.on && <>{t(follower.failed ? 'paused' : 'following')} {follower.fresh > 0 && t('fresh', { n: follower.fresh })}</>}</p>
    {filters.failure && <Fault failure={filters.failure} />}
    <Table<Event> caption={t('title')} list={{ ...events, more: events.items.length > most ? null : events.more }} id={({ id }) => id} empty={t('none')} columns={[
      { title: t('kind'), kind: 'main', cell: ({ kind }) => <><Theirs>{inWords(kind)}</Theirs><div><Code>{kind}</Code></div></> },
      { title: t('at'), kind: 'short', cell: ({ at }) => <Time at={at} /> },
      { title: t('about'), cell: ({ user_id: id, username }) => id && (may('users:read') ? <a href={href('people', id)}><Theirs>{username ?? id}</Theirs></a> : <Theirs>{username ?? id}</Theirs>) },
      { title: t('by'), cell: ({ actor, user_id: id, client_id: client }) => actor && (actor === id ? t('self') : uuid.test(actor) && actor !== client && may('users:read') ? <a href={href('people', actor)}><Code>{actor}</Code></a> : <Code>{actor}</Code>) },
      { title: t('of'), cell: ({ client_id: client }) => client && <Code>{client}</Code> },
      { title: t('address'), cell: ({ ip_address: address, user_agent: agent }) => <>{address && <Code>{address}</Code>}{agent && <div class="muted small"><Theirs>{agent}</Theirs></div>}</> },
    ]} />
    {dialog}
  </Screen>;
}

// useFilters makes the filters of the address those of the operation. A username becomes the id of its account.
function useFilters(search: URLSearchParams) {
  const get = (name: string) => search.get(name) ?? '';
  const who = get('who') || (['user_id', 'actor', 'client_id'] as const).find((name) => search.has(name)) || 'user_id';
  const text = useDebounced(get(who).trim());
  const byName = text !== '' && who !== 'client_id' && !uuid.test(text) && !['command line', 'schedule', 'self-registration'].includes(text);
  const named = byName && may('users:read');
  const found = useLoad(async () => named ? api.GET('/users', { params: { query: { q: text, limit: 1 } } }) : { data: undefined, response: new Response() }, [text, named]);
  const user = named ? found.data?.items.find(({ username }) => username.toLowerCase() === text.toLowerCase()) : undefined;
  const failure = found.failure ?? (byName && !named ? new Failure(403, t('onlyID')) : named && !found.loading && !user ? new Failure(404, t('nobody')) : null);
  const chosen = get('kind').split(',').filter((kind): kind is Kind => (kinds as string[]).includes(kind));
  const moment = (name: 'since' | 'until') => {
    const at = new Date(get(name));
    return get(name) && !Number.isNaN(at.getTime()) ? { [name]: at.toISOString() } : {};
  };
  const query: Query = { ...chosen.length > 0 && { kind: chosen }, ...text && { [who]: user?.id ?? text }, ...moment('since'), ...moment('until') };
  return { query, failure, loading: text !== get(who).trim() || named && found.loading };
}

function EventFilters({ query }: { query: URLSearchParams }) {
  const get = (name: string) => query.get(name) ?? '';
  const who = get('who') || ['user_id', 'actor', 'client_id'].find((name) => query.has(name)) || 'user_id';
  const chosen = get('kind').split(',').filter(Boolean);
  const ask = (name: string, value: string) => setQuery({ user_id: '', actor: '', client_id: '', who: name === 'user_id' ? '' : name, [name]: value });
  return <Filters>
    <Search label={t(who === 'client_id' ? 'clientID' : may('users:read') ? 'name' : 'id')} value={get(who)} change={(text) => ask(who, text)} />
    <Choice label={t('who')} value={who} options={[['user_id', t('person')], ['actor', t('actor')], ['client_id', t('client')]]} change={(name) => ask(name, get(who))} />
    <label><span>{t('since')}</span><input type="datetime-local" value={get('since')} onInput={(event) => setQuery({ since: event.currentTarget.value })} /></label>
    <label><span>{t('until')}</span><input type="datetime-local" value={get('until')} onInput={(event) => setQuery({ until: event.currentTarget.value })} /></label>
    <details class="choose"><summary>{t('kinds')}: {chosen.length === 0 ? t('all') : t('some', { n: chosen.length })}</summary>
      <fieldset><legend class="hidden">{t('kinds')}</legend>
        {chosen.length > 0 && <p><button type="button" class="link" onClick={() => setQuery({ kind: '' })}>{t('clear')}</button></p>}
        <div class="columns">{kinds.map((kind) => <label key={kind} class="option"><input type="checkbox" checked={chosen.includes(kind)}
          onChange={(event) => setQuery({ kind: (event.currentTarget.checked ? [...chosen, kind] : chosen.filter((other) => other !== kind)).join(',') })} /><span>{inWords(kind)}</span></label>)}</div>
      </fieldset>
    </details>
  </Filters>;
}

// useFollower asks for new events every few seconds, as listEvents says: an event may appear up to a minute late, so those of the last
// minute come again, and are dropped by their ids. It rests while nobody sees the page.
function useFollower(events: Pages<Event>, query: Query, ready: boolean) {
  const [on, turn] = useState(false); // whether it follows
  const [now, show] = useState({ fresh: 0, failed: false });
  const current = useRef(events);
  current.current = events;
  useEffect(() => {
    if (!on || !ready) return undefined;
    let stopped = false, timer = 0;
    const poll = async () => {
      if (!document.hidden && !current.current.loading) {
        try {
          const after = current.current.items[0]?.id;
          const known = new Set(current.current.items.map(({ id }) => id));
          const found: Event[] = [];
          for (let cursor: string | null = ''; cursor !== null;) {
            const page: Schemas['EventPage'] = await ask(api.GET('/events', { params: { query: { limit: 100, ...query, ...after && { after }, ...cursor && { cursor } } } }));
            found.push(...page.items.filter(({ id }) => !known.has(id)));
            cursor = after && found.length < most ? page.next_cursor : null;
          }
          if (stopped) return;
          if (found.length > 0) {
            current.current.set([...found, ...current.current.items].sort((a, b) => a.id < b.id ? 1 : -1).slice(0, most + 1));
          }
          show((before) => ({ fresh: before.fresh + (after ? found.length : 0), failed: false }));
        } catch {
          if (!stopped) show((before) => ({ ...before, failed: true }));
        }
      }
      if (!stopped) timer = window.setTimeout(() => { void poll(); }, interval);
    };
    timer = window.setTimeout(() => { void poll(); }, 1000); // by then a change of the filters has emptied the list
    return () => { stopped = true; clearTimeout(timer); };
  }, [on, ready, JSON.stringify(query)]);
  return { ...now, on, toggle: () => { show({ fresh: 0, failed: false }); turn(!on); } };
}

// Exporting reads an export, and then offers the file.
function Exporting({ query, close }: { query: Query; close: () => void }) {
  const [now, show] = useState<{ lines: number; file?: Blob; failure: Failure | null }>({ lines: 0, failure: null });
  useEffect(() => {
    const stop = new AbortController();
    download(query, stop.signal, (lines) => show({ lines, failure: null })).then(
      (file) => show((before) => ({ ...before, file })),
      (fault: unknown) => { if (!stop.signal.aborted) show((before) => ({ ...before, failure: fault instanceof Failure ? fault : new Failure(0, '') })); },
    );
    return () => stop.abort();
  }, []);
  return <Dialog title={t('exporting')} close={close}>
    <p>{t('hint')}</p>
    <p role="status">{t('lines', { n: formatNumber(now.lines) })}</p>
    <Fault failure={now.failure} />
    {!now.file && !now.failure && <Loading />}
    <div class="buttons">
      <button type="button" onClick={close}>{t(now.file || now.failure ? 'close' : 'cancel')}</button>
      {now.file && <button type="button" class="primary" onClick={() => { if (now.file) saveExport(now.file); }}>{t('save')}</button>}
    </div>
  </Dialog>;
}
