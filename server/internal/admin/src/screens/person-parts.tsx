// The lists of one person: sessions, second factors, linked accounts, consents and events.
import { api, ask, changes, useLoad, usePages, type Schemas } from '../api';
import { may } from '../auth';
import { formatNumber, formatTime, texts } from '../i18n';
import { href } from '../router';
import { useStore } from '../store';
import { Confirm, useDialog } from '../ui/dialog';
import { Badge, Code, Scopes, Section, Theirs, Time, toast } from '../ui/parts';
import { Table } from '../ui/table';
import { inWords } from './kinds';
import type { User } from './person';
import { ClientName, EndSession, programOf, sessionColumns } from './sessions';

const t = texts({
  sessions: 'Sessions', noSessions: 'Nobody is signed in to this account.', endAll: 'End all', endAllTitle: 'End all sessions of {name}?',
  endAllText: '{name} is signed out everywhere at once, and can sign in again. To prevent that, disable the account.', allEnded: 'The sessions of {name} have ended.',
  factors: 'Second factors', noFactors: 'The account has no second factor.', kind: 'Kind', totp: 'Authenticator app', passkey: 'Passkey', factor: 'Name', added: 'Added', used: 'Last used', off: 'disabled',
  codes: 'Recovery codes left: {n}.', resetAt: 'A reset removes them on {time}, unless somebody signs in with one of them before.',
  reset: 'Reset', resetTitle: 'Reset the second factors of {name}?', resetText: 'For a person who has lost all of them. Every session ends now, and {name} gets a mail. After one day the factors are removed. Until then a sign-in with one of them cancels the reset.', resetDone: 'The factors of {name} are removed on {time}.',
  identities: 'Linked accounts', noIdentities: 'No account at a provider can sign in.', provider: 'Provider', label: 'Account there', linked: 'Linked', gone: 'no provider',
  unlink: 'Unlink', unlinkTitle: 'Unlink this account of {name}?', unlinkText: '{label} can no longer sign in to the account, and {name} gets a mail. Sessions go on until you end them.', unlinked: 'The account is unlinked.',
  consents: 'Consents', noConsents: '{name} has not allowed any application of third parties to use the account.', application: 'Application', may: 'May use', since: 'Since', last: 'Last agreed',
  withdraw: 'Withdraw', withdrawTitle: 'Withdraw the consent to {client}?', withdrawText: 'The application loses its sessions with this account at once. {name} is asked again at the next sign-in.', withdrawn: 'The consent to {client} is withdrawn.',
  tokens: 'Personal access tokens', noTokens: 'The account has no tokens for scripts.', token: 'Name', scopes: 'Scopes', expires: 'Expires',
  revoke: 'Revoke', revokeTitle: 'Revoke this token of {name}?', revokeText: 'Scripts that use {token} are refused at once.', revoked: 'The token {token} is revoked.',
  events: 'Events', allEvents: 'Search the events', noEvents: 'Nothing has been recorded.', at: 'Time', event: 'Event', from: 'From', by: 'By', self: 'the person', client: 'Application',
}, {
  sessions: 'Sitzungen', noSessions: 'Niemand ist mit diesem Konto angemeldet.', endAll: 'Alle beenden', endAllTitle: 'Alle Sitzungen von {name} beenden?',
  endAllText: '{name} wird sofort überall abgemeldet und kann sich erneut anmelden. Um das zu verhindern, sperren Sie das Konto.', allEnded: 'Die Sitzungen von {name} sind beendet.',
  factors: 'Zweite Faktoren', noFactors: 'Das Konto hat keinen zweiten Faktor.', kind: 'Art', totp: 'Authenticator-App', passkey: 'Passkey', factor: 'Name', added: 'Hinzugefügt', used: 'Zuletzt benutzt', off: 'gesperrt',
  codes: 'Wiederherstellungscodes übrig: {n}.', resetAt: 'Ein Zurücksetzen entfernt sie am {time}, wenn sich vorher niemand mit einem von ihnen anmeldet.',
  reset: 'Zurücksetzen', resetTitle: 'Die zweiten Faktoren von {name} zurücksetzen?', resetText: 'Für eine Person, die alle verloren hat. Jede Sitzung endet jetzt, und {name} bekommt eine Mail. Nach einem Tag werden die Faktoren entfernt. Bis dahin bricht eine Anmeldung mit einem von ihnen das Zurücksetzen ab.', resetDone: 'Die Faktoren von {name} werden am {time} entfernt.',
  identities: 'Verknüpfte Konten', noIdentities: 'Kein Konto bei einem Anbieter kann sich anmelden.', provider: 'Anbieter', label: 'Konto dort', linked: 'Verknüpft', gone: 'kein Anbieter',
  unlink: 'Trennen', unlinkTitle: 'Dieses Konto von {name} trennen?', unlinkText: '{label} kann sich nicht mehr an dem Konto anmelden, und {name} bekommt eine Mail. Sitzungen laufen weiter, bis Sie sie beenden.', unlinked: 'Das Konto ist getrennt.',
  consents: 'Zustimmungen', noConsents: '{name} hat keiner Anwendung von Dritten erlaubt, das Konto zu benutzen.', application: 'Anwendung', may: 'Darf benutzen', since: 'Seit', last: 'Zuletzt zugestimmt',
  withdraw: 'Widerrufen', withdrawTitle: 'Die Zustimmung zu {client} widerrufen?', withdrawText: 'Die Anwendung verliert sofort ihre Sitzungen mit diesem Konto. {name} wird bei der nächsten Anmeldung erneut gefragt.', withdrawn: 'Die Zustimmung zu {client} ist widerrufen.',
  tokens: 'Persönliche Zugriffstokens', noTokens: 'Das Konto hat keine Tokens für Skripte.', token: 'Name', scopes: 'Scopes', expires: 'Läuft ab',
  revoke: 'Widerrufen', revokeTitle: 'Dieses Token von {name} widerrufen?', revokeText: 'Skripte, die {token} benutzen, werden sofort abgelehnt.', revoked: 'Das Token {token} ist widerrufen.',
  events: 'Ereignisse', allEvents: 'Ereignisse durchsuchen', noEvents: 'Es ist nichts aufgezeichnet.', at: 'Zeit', event: 'Ereignis', from: 'Von', by: 'Durch', self: 'die Person', client: 'Anwendung',
});

type Part = { user: User };

export function SessionsOf({ user }: Part) {
  const sessions = useLoad(() => api.GET('/users/{user_id}/sessions', { params: { path: { user_id: user.id } } }), [user.id, user.updated_at]);
  const [dialog, open] = useDialog();
  const items = sessions.data?.items ?? [];
  const name = user.username;
  const endAll = () => open((close) => <Confirm title={t('endAllTitle', { name })} action={t('endAll')} danger close={close} confirm={async () => {
    await ask(api.DELETE('/users/{user_id}/sessions', { params: { path: { user_id: user.id } } }));
    toast(t('allEnded', { name }));
    sessions.reload();
  }}><p>{t('endAllText', { name })}</p></Confirm>);
  const columns = sessionColumns<Schemas['Session']>([], (session) => open((close) =>
    <EndSession session={session} user={user.id} name={user.username} close={close} done={sessions.reload} />));
  return <Section title={t('sessions')} actions={may('users:write') && items.length > 0 && <button type="button" onClick={endAll}>{t('endAll')}</button>}>
    <Table caption={t('sessions')} list={{ ...sessions, items }} id={({ id }) => id} empty={t('noSessions')} columns={columns} />
    {dialog}
  </Section>;
}

export function Factors({ user }: Part) {
  const factors = useLoad(() => api.GET('/users/{user_id}/factors', { params: { path: { user_id: user.id } } }), [user.id]);
  const [dialog, open] = useDialog();
  const { items = [], recovery_codes_left: codes = 0, reset_at: resetAt = null } = factors.data ?? {};
  const name = user.username;
  const kindOf = (kind: string) => ({ totp: t('totp'), passkey: t('passkey') }[kind] ?? kind);
  const reset = () => open((close) => <Confirm title={t('resetTitle', { name })} action={t('reset')} danger close={close} confirm={async () => {
    const { reset_at: at } = await ask(api.POST('/users/{user_id}/factor-reset', { params: { path: { user_id: user.id } } }));
    toast(t('resetDone', { name, time: formatTime(at) }));
    factors.reload();
  }}><p>{t('resetText', { name })}</p></Confirm>);
  const hint = items.length > 0 && <>{t('codes', { n: formatNumber(codes) })} {resetAt && t('resetAt', { time: formatTime(resetAt) })}</>;
  return <Section title={t('factors')} hint={hint} actions={may('users:write') && items.length > 0 && !resetAt && <button type="button" onClick={reset}>{t('reset')}</button>}>
    <Table caption={t('factors')} list={{ ...factors, items }} id={({ id }) => id} empty={t('noFactors')} columns={[
      { title: t('factor'), kind: 'main', cell: ({ name: own }) => <Theirs>{own}</Theirs> },
      { title: t('kind'), cell: ({ kind, disabled }) => <>{kindOf(kind)} {disabled && <Badge kind="bad">{t('off')}</Badge>}</> },
      { title: t('added'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
      { title: t('used'), kind: 'short', cell: ({ last_used_at: at }) => <Time at={at} /> },
    ]} />
    {dialog}
  </Section>;
}

export function Identities({ user }: Part) {
  const identities = useLoad(() => api.GET('/users/{user_id}/identities', { params: { path: { user_id: user.id } } }), [user.id]);
  const [dialog, open] = useDialog();
  const name = user.username;
  const unlink = ({ id, label, subject }: Schemas['Identity']) => open((close) => <Confirm title={t('unlinkTitle', { name })} action={t('unlink')} danger close={close} confirm={async () => {
    await ask(api.DELETE('/users/{user_id}/identities/{identity_id}', { params: { path: { user_id: user.id, identity_id: id } } }));
    toast(t('unlinked'));
    identities.reload();
  }}><p>{t('unlinkText', { name, label: label || subject })}</p></Confirm>);
  return <Section title={t('identities')}>
    <Table caption={t('identities')} list={{ ...identities, items: identities.data?.items ?? [] }} id={({ id }) => id} empty={t('noIdentities')} columns={[
      { title: t('provider'), kind: 'main', cell: ({ provider, issuer }) => <>{provider ? <Theirs>{provider}</Theirs> : <Badge kind="warn">{t('gone')}</Badge>}<br /><Code>{issuer}</Code></> },
      { title: t('label'), cell: ({ label, subject }) => <><Theirs>{label}</Theirs><br /><Code>{subject}</Code></> },
      { title: t('linked'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
      { title: t('used'), kind: 'short', cell: ({ last_used_at: at }) => <Time at={at} /> },
      { title: t('unlink'), kind: 'actions', cell: (identity) => may('users:write') && <button type="button" class="small" onClick={() => unlink(identity)}>{t('unlink')}</button> },
    ]} />
    {dialog}
  </Section>;
}

// Withdraw asks before the consent of a person to a client is withdrawn.
export function Withdraw({ user, name, client, clientName, close, done }: { user: string; name: string; client: string; clientName: string; close: () => void; done: () => void }) {
  return <Confirm title={t('withdrawTitle', { client: clientName })} action={t('withdraw')} danger close={close} confirm={async () => {
    await ask(api.DELETE('/users/{user_id}/consents/{client_id}', { params: { path: { user_id: user, client_id: client } } }));
    toast(t('withdrawn', { client: clientName }));
    done();
  }}><p>{t('withdrawText', { name })}</p></Confirm>;
}

export function Consents({ user }: Part) {
  const consents = usePages<Schemas['Consent']>((cursor) => api.GET('/users/{user_id}/consents', {
    params: { path: { user_id: user.id }, query: { limit: 20, ...cursor && { cursor } } },
  }), [user.id]);
  const [dialog, open] = useDialog();
  return <Section title={t('consents')}>
    <Table caption={t('consents')} list={consents} id={({ client_id: id }) => id} empty={t('noConsents', { name: user.username })} columns={[
      { title: t('application'), kind: 'main', cell: ({ client_id: id, client_name: own }) => may('clients:read') ? <a href={href('clients', id)}><Theirs>{own}</Theirs></a> : <Theirs>{own}</Theirs> },
      { title: t('may'), cell: ({ scopes }) => <Scopes names={scopes} /> },
      { title: t('since'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
      { title: t('last'), kind: 'short', cell: ({ updated_at: at }) => <Time at={at} /> },
      { title: t('withdraw'), kind: 'actions', cell: ({ client_id: id, client_name: own }) => may('users:write') && <button type="button" class="small" onClick={() => open((close) =>
        <Withdraw user={user.id} name={user.username} client={id} clientName={own} close={close} done={consents.reload} />)}>{t('withdraw')}</button> },
    ]} />
    {dialog}
  </Section>;
}

export function Tokens({ user }: Part) {
  const tokens = useLoad(() => api.GET('/users/{user_id}/tokens', { params: { path: { user_id: user.id } } }), [user.id]);
  const [dialog, open] = useDialog();
  const revoke = ({ id, name: token }: Schemas['PersonalToken']) => open((close) => <Confirm title={t('revokeTitle', { name: user.username })} action={t('revoke')} danger close={close} confirm={async () => {
    await ask(api.DELETE('/users/{user_id}/tokens/{token_id}', { params: { path: { user_id: user.id, token_id: id } } }));
    toast(t('revoked', { token }));
    tokens.reload();
  }}><p>{t('revokeText', { token })}</p></Confirm>);
  return <Section title={t('tokens')}>
    <Table caption={t('tokens')} list={{ ...tokens, items: tokens.data?.items ?? [] }} id={({ id }) => id} empty={t('noTokens')} columns={[
      { title: t('token'), kind: 'main', cell: ({ name: own }) => <Theirs>{own}</Theirs> },
      { title: t('scopes'), cell: ({ scopes }) => <Scopes names={scopes} /> },
      { title: t('used'), kind: 'short', cell: ({ last_used_at: at }) => <Time at={at} /> },
      { title: t('expires'), kind: 'short', cell: ({ expires_at: at }) => <Time at={at} /> },
      { title: t('revoke'), kind: 'actions', cell: (token) => may('users:write') && <button type="button" class="small" onClick={() => revoke(token)}>{t('revoke')}</button> },
    ]} />
    {dialog}
  </Section>;
}

export function Events({ user }: Part) {
  const events = usePages<Schemas['Event']>((cursor) => api.GET('/events', { params: { query: { user_id: user.id, limit: 20, ...cursor && { cursor } } } }), [user.id, useStore(changes)]);
  return <Section title={t('events')} actions={<a class="button" href={`${href('events')}?user_id=${encodeURIComponent(user.id)}`}>{t('allEvents')}</a>}>
    <Table caption={t('events')} list={events} id={({ id }) => id} empty={t('noEvents')} columns={[
      { title: t('event'), kind: 'main', cell: ({ kind }) => <span title={kind}>{inWords(kind)}</span> },
      { title: t('at'), kind: 'short', cell: ({ at }) => <Time at={at} /> },
      { title: t('by'), cell: ({ actor }) => actor === user.id ? t('self') : actor && <Code>{actor}</Code> },
      { title: t('client'), cell: ({ client_id: id }) => id && <ClientName id={id} /> },
      { title: t('from'), cell: ({ ip_address: address, user_agent: agent }) => address && <span title={agent ?? ''}><Theirs>{programOf(agent)}</Theirs><br /><Code>{address}</Code></span> },
    ]} />
  </Section>;
}
