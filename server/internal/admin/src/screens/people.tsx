// The accounts: a list with a search, filters and orders.
import { useState } from 'preact/hooks';
import { api, useDebounced, usePages, type Schemas } from '../api';
import { administrative, may } from '../auth';
import { formatNumber, texts } from '../i18n';
import { href, setQuery } from '../router';
import type { ScreenProps } from '../screens';
import { Badge, Scopes, Screen, Theirs, Time } from '../ui/parts';
import { Choice, Day, dayOf, Filters, Search, Table } from '../ui/table';

const t = texts({
  title: 'People', new: 'New person', invite: 'Invite', search: 'Username or e-mail address', state: 'State', all: 'All', enabled: 'Enabled', disabled: 'Disabled',
  username: 'Username', name: 'Name', email: 'E-mail address', confirmed: 'confirmed', unconfirmed: 'unconfirmed', scopes: 'Administers', created: 'Created',
  factor: 'Second factor', with: 'With one', without: 'Without one', after: 'Created since', before: 'Created before', more: 'More filters', clear: 'Clear the filters',
  order: 'Order', byUsername: 'Username', byUsernameDown: 'Username, from Z', newest: 'Newest first', oldest: 'Oldest first', scope: 'Scope',
  none: 'Nobody fits this search.', one: '1 person', count: '{n} people', atLeast: 'at least {n} people',
}, {
  title: 'Personen', new: 'Neue Person', invite: 'Einladen', search: 'Benutzername oder E-Mail-Adresse', state: 'Status', all: 'Alle', enabled: 'Aktiv', disabled: 'Gesperrt',
  username: 'Benutzername', name: 'Name', email: 'E-Mail-Adresse', confirmed: 'bestätigt', unconfirmed: 'unbestätigt', scopes: 'Verwaltet', created: 'Angelegt',
  factor: 'Zweiter Faktor', with: 'Mit', without: 'Ohne', after: 'Angelegt seit', before: 'Angelegt vor', more: 'Weitere Filter', clear: 'Filter entfernen',
  order: 'Reihenfolge', byUsername: 'Benutzername', byUsernameDown: 'Benutzername, von Z', newest: 'Neueste zuerst', oldest: 'Älteste zuerst', scope: 'Scope',
  none: 'Niemand passt zu dieser Suche.', one: '1 Person', count: '{n} Personen', atLeast: 'mindestens {n} Personen',
});

type Order = 'username' | '-username' | 'created_at' | '-created_at';

const orders: Order[] = ['username', '-username', '-created_at', 'created_at'];
const filters = ['q', 'disabled', 'scope', 'email_verified', 'second_factor', 'created_after', 'created_before', 'sort'] as const;
const hidden = filters.slice(3, -1);

// yesNo is a filter that is true, false, or not there.
const yesNo = (name: string, value: string) => value === 'true' || value === 'false' ? { [name]: value === 'true' } : {};

export function People({ query }: ScreenProps) {
  const chosen = Object.fromEntries(filters.map((name) => [name, query.get(name) ?? ''])) as Record<typeof filters[number], string>;
  const q = useDebounced(chosen.q);
  const [unfolded, unfold] = useState(hidden.some((name) => chosen[name])); // and not folded as soon as the last of them is removed
  const sort = orders.find((order) => order === chosen.sort) ?? 'username';
  const order = q && sort.endsWith('created_at') ? 'username' : sort; // a search has no other order
  const people = usePages((cursor) => api.GET('/users', { params: { query: {
    limit: 50, sort: order, ...q && { q }, ...cursor ? { cursor } : { total: true },
    ...yesNo('disabled', chosen.disabled), ...yesNo('email_verified', chosen.email_verified), ...yesNo('second_factor', chosen.second_factor),
    ...chosen.scope && { scope: chosen.scope }, ...dayOf('created_after', chosen.created_after), ...dayOf('created_before', chosen.created_before),
  } } }), [q, order, ...filters.slice(1, -1).map((name) => chosen[name])]);
  const set = (name: string) => (value: string) => setQuery({ [name]: value });
  const { total, total_is_exact: exact } = people.page ?? {};
  return <Screen title={t('title')} actions={may('users:write') && <>
    <a class="button" href={href('people', 'invite')}>{t('invite')}</a>
    <a class="button primary" href={href('people', 'new')}>{t('new')}</a>
  </>}>
    <Filters>
      <Search label={t('search')} value={chosen.q} change={set('q')} />
      <Choice label={t('state')} value={chosen.disabled} options={[['', t('all')], ['false', t('enabled')], ['true', t('disabled')]]} change={set('disabled')} />
      <Choice label={t('scope')} value={chosen.scope} options={[['', t('all')], ...administrative.map((name): [string, string] => [name, name])]} change={set('scope')} />
      <Choice label={t('order')} value={order} options={[['username', t('byUsername')], ['-username', t('byUsernameDown')],
        ...q ? [] : [['-created_at', t('newest')], ['created_at', t('oldest')]] as [string, string][]]} change={(value) => setQuery({ sort: value === 'username' ? '' : value })} />
      <details class="more-filters" open={unfolded} onToggle={(event) => unfold(event.currentTarget.open)}>
        <summary>{t('more')}</summary>
        <div class="filters">
          <Choice label={t('email')} value={chosen.email_verified} options={[['', t('all')], ['true', t('confirmed')], ['false', t('unconfirmed')]]} change={set('email_verified')} />
          <Choice label={t('factor')} value={chosen.second_factor} options={[['', t('all')], ['true', t('with')], ['false', t('without')]]} change={set('second_factor')} />
          <Day label={t('after')} value={chosen.created_after} change={set('created_after')} />
          <Day label={t('before')} value={chosen.created_before} change={set('created_before')} />
          {filters.some((name) => chosen[name]) && <button type="button" onClick={() => setQuery(Object.fromEntries(filters.map((name) => [name, ''])))}>{t('clear')}</button>}
        </div>
      </details>
    </Filters>
    {total !== undefined && <p class="muted" role="status">{total === 1 && exact ? t('one') : t(exact ? 'count' : 'atLeast', { n: formatNumber(total) })}</p>}
    <Table<Schemas['User']> caption={t('title')} list={people} id={({ id }) => id} empty={t('none')} columns={[
      { title: t('username'), kind: 'main', cell: ({ id, username }) => <a href={href('people', id)}><Theirs>{username}</Theirs></a> },
      { title: t('name'), cell: ({ full_name: name }) => <Theirs>{name}</Theirs> },
      { title: t('email'), cell: ({ email, email_verified: verified }) => email && <><Theirs>{email}</Theirs> {!verified && <Badge kind="warn">{t('unconfirmed')}</Badge>}</> },
      { title: t('state'), kind: 'short', cell: (user) => user.disabled ? <Badge kind="bad">{t('disabled')}</Badge> : <Badge kind="good">{t('enabled')}</Badge> },
      { title: t('scopes'), cell: ({ scopes }) => { const own = administrative.filter((scope) => scopes.includes(scope)); return own.length > 0 && <Scopes names={own} />; } },
      { title: t('created'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
    ]} />
  </Screen>;
}
