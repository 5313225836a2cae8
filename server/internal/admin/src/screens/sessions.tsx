// The sessions of everybody, the latest login first; and the table of sessions, which the screen of one person has, too.
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api, ask, usePages, type Schemas } from '../api';
import { may } from '../auth';
import { texts } from '../i18n';
import { href } from '../router';
import { Confirm, useDialog } from '../ui/dialog';
import { Badge, Code, Screen, Theirs, Time, toast } from '../ui/parts';
import { Table, type Column } from '../ui/table';

const t = texts({
  title: 'Sessions', person: 'Person', client: 'Application', begun: 'Signed in', used: 'Last used', ends: 'expires', from: 'From', current: 'this session', two: 'two factors',
  browser: 'The pages of this server', firstParty: 'Login without a client', admin: 'This page', docs: 'The documentation pages',
  end: 'End', none: 'Nobody is signed in.', unknown: 'Unknown program', on: '{program} on {system}',
  endTitle: 'End this session of {name}?', endText: 'The session in {client}, signed in from {address}, ends at once, with those that were started from it. Services that check tokens by themselves accept an access token until it expires.',
  endOwn: 'It is your own: you have to sign in again.', ended: 'The session of {name} has ended.',
}, {
  title: 'Sitzungen', person: 'Person', client: 'Anwendung', begun: 'Angemeldet', used: 'Zuletzt benutzt', ends: 'läuft ab', from: 'Von', current: 'diese Sitzung', two: 'zwei Faktoren',
  browser: 'Die Seiten dieses Servers', firstParty: 'Anmeldung ohne Client', admin: 'Diese Seite', docs: 'Die Dokumentationsseiten',
  end: 'Beenden', none: 'Niemand ist angemeldet.', unknown: 'Unbekanntes Programm', on: '{program} unter {system}',
  endTitle: 'Diese Sitzung von {name} beenden?', endText: 'Die Sitzung in {client}, angemeldet von {address}, endet sofort, und mit ihr die von ihr aus begonnenen. Dienste, die Tokens selbst prüfen, nehmen ein Access-Token an, bis es abläuft.',
  endOwn: 'Es ist Ihre eigene: Sie müssen sich erneut anmelden.', ended: 'Die Sitzung von {name} ist beendet.',
});

type Session = Schemas['Session'];

const programs: [string, string][] = [
  ['Edg', 'Edge'], ['OPR/', 'Opera'], ['SamsungBrowser/', 'Samsung Internet'], ['Firefox/', 'Firefox'], ['FxiOS/', 'Firefox'], ['CriOS/', 'Chrome'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari'],
];
const systems: [string, string][] = [
  ['Windows', 'Windows'], ['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Android', 'Android'], ['Mac OS X', 'macOS'], ['CrOS', 'ChromeOS'], ['Linux', 'Linux'],
];

// programOf makes a name of a User-Agent that a person recognizes, as the page of the account does.
export function programOf(agent: string | null) {
  const find = (list: [string, string][]) => list.find(([part]) => agent?.includes(part))?.[1];
  const [program, system] = [find(programs), find(systems)];
  if (!agent) return t('unknown');
  if (!program) return agent.split(' ')[0]?.slice(0, 40) ?? '';
  return system ? t('on', { program, system }) : program;
}

const names = new Map<string, Promise<string>>(); // of clients, which are read once

function builtIn(id: string) {
  return { '': t('firstParty'), 'first-party': t('firstParty'), browser: t('browser'), admin: t('admin'), docs: t('docs') }[id];
}

// ClientName is the name of a client, for those who may read clients. For others it is the id.
export function ClientName({ id }: { id: string }) {
  const [name, show] = useState('');
  useEffect(() => {
    if (builtIn(id) || !may('clients:read')) return;
    if (!names.has(id)) names.set(id, ask(api.GET('/clients/{client_id}', { params: { path: { client_id: id } } })).then((client) => client.name, () => ''));
    void names.get(id)?.then(show);
  }, [id]);
  const known = builtIn(id);
  if (known) return <>{known}</>;
  return name ? <a href={href('clients', id)}><Theirs>{name}</Theirs></a> : <Code>{id}</Code>;
}

const Program = ({ session }: { session: Session }) => <span title={session.user_agent}><Theirs>{programOf(session.user_agent)}</Theirs><br /><Code>{session.ip_address}</Code></span>;

// sessionColumns are the columns of a table of sessions. person names the person of a session, and end asks to end one.
export function sessionColumns<T extends Session>(first: Column<T>[], end: (session: T) => void): Column<T>[] {
  return [
    ...first,
    { title: t('client'), ...first.length === 0 && { kind: 'main' as const }, cell: ({ client_id: id, current, acr }) => <>
      <ClientName id={id} /> {current && <Badge kind="good">{t('current')}</Badge>} {acr === '2' && <Badge>{t('two')}</Badge>}
    </> },
    { title: t('from'), cell: (session) => <Program session={session} /> },
    { title: t('begun'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
    { title: t('used'), kind: 'short', cell: ({ last_used_at: at, expires_at: until }) => <><Time at={at} /><br /><span class="small muted">{t('ends')} <Time at={until} /></span></> },
    { title: t('end'), kind: 'actions', cell: (session) => may('users:write') && <button type="button" class="small" onClick={() => end(session)}>{t('end')}</button> },
  ];
}

// EndSession asks before a session ends, and names it.
export function EndSession({ session, user, name, close, done }: { session: Session; user: string; name: string; close: () => void; done: () => void }) {
  const client: ComponentChildren = builtIn(session.client_id) ?? session.client_id;
  return <Confirm title={t('endTitle', { name })} action={t('end')} danger close={close} confirm={async () => {
    await ask(api.DELETE('/users/{user_id}/sessions/{session_id}', { params: { path: { user_id: user, session_id: session.id } } }));
    toast(t('ended', { name }));
    done();
  }}>
    <p>{t('endText', { client: String(client), address: session.ip_address })}</p>
    {session.current && <p>{t('endOwn')}</p>}
  </Confirm>;
}

export function Sessions() {
  const sessions = usePages<Schemas['PersonSession']>((cursor) => api.GET('/sessions', { params: { query: { limit: 50, ...cursor && { cursor } } } }), []);
  const [dialog, open] = useDialog();
  const columns = sessionColumns<Schemas['PersonSession']>([
    { title: t('person'), kind: 'main', cell: ({ user_id: id, username }) => <a href={href('people', id)}><Theirs>{username}</Theirs></a> },
  ], (session) => open((close) => <EndSession session={session} user={session.user_id} name={session.username} close={close} done={sessions.reload} />));
  return <Screen title={t('title')}>
    <Table caption={t('title')} list={sessions} id={({ id }) => id} empty={t('none')} columns={columns} />
    {dialog}
  </Screen>;
}
