// The accounts: a list with a search, and a form for a new one.
import { api, ask, useDebounced, usePages, type Schemas } from '../api';
import { administrative, may } from '../auth';
import { texts } from '../i18n';
import { go, href, setQuery } from '../router';
import type { ScreenProps } from '../screens';
import { Form, Password, Text, useForm } from '../ui/form';
import { Badge, Scopes, Screen, Theirs, Time, toast } from '../ui/parts';
import { Choice, Filters, Search, Table } from '../ui/table';

const t = texts({
  title: 'People', new: 'New person', search: 'Username or e-mail address', state: 'State', all: 'All', enabled: 'Enabled', disabled: 'Disabled',
  username: 'Username', name: 'Name', email: 'E-mail address', unconfirmed: 'unconfirmed', scopes: 'Administers', created: 'Created',
  none: 'Nobody fits this search.', password: 'Password', passwordHint: 'Tell the person, who can change it.', optional: 'Optional.',
  emailHint: 'Optional. A mail asks its owner to confirm it.', create: 'Create', made: '{name} has an account now.',
}, {
  title: 'Personen', new: 'Neue Person', search: 'Benutzername oder E-Mail-Adresse', state: 'Status', all: 'Alle', enabled: 'Aktiv', disabled: 'Gesperrt',
  username: 'Benutzername', name: 'Name', email: 'E-Mail-Adresse', unconfirmed: 'unbestätigt', scopes: 'Verwaltet', created: 'Angelegt',
  none: 'Niemand passt zu dieser Suche.', password: 'Passwort', passwordHint: 'Teilen Sie es der Person mit; sie kann es ändern.', optional: 'Optional.',
  emailHint: 'Optional. Eine Mail bittet um die Bestätigung.', create: 'Anlegen', made: '{name} hat jetzt ein Konto.',
});

type User = Schemas['User'];

export function People({ query }: ScreenProps) {
  const q = query.get('q') ?? '';
  const disabled = query.get('disabled') ?? '';
  const search = useDebounced(q);
  const people = usePages<User>((cursor) => api.GET('/users', {
    params: { query: { limit: 50, ...cursor && { cursor }, ...search && { q: search }, ...disabled && { disabled: disabled === 'true' } } },
  }), [search, disabled]);
  return <Screen title={t('title')} actions={may('users:write') && <a class="button primary" href={href('people', 'new')}>{t('new')}</a>}>
    <Filters>
      <Search label={t('search')} value={q} change={(text) => setQuery({ q: text })} />
      <Choice label={t('state')} value={disabled} options={[['', t('all')], ['false', t('enabled')], ['true', t('disabled')]]} change={(value) => setQuery({ disabled: value })} />
    </Filters>
    <Table caption={t('title')} list={people} id={({ id }) => id} empty={t('none')} columns={[
      { title: t('username'), kind: 'main', cell: ({ id, username }) => <a href={href('people', id)}><Theirs>{username}</Theirs></a> },
      { title: t('name'), cell: ({ full_name: name }) => <Theirs>{name}</Theirs> },
      { title: t('email'), cell: ({ email, email_verified: verified }) => email && <><Theirs>{email}</Theirs> {!verified && <Badge kind="warn">{t('unconfirmed')}</Badge>}</> },
      { title: t('state'), kind: 'short', cell: (user) => user.disabled ? <Badge kind="bad">{t('disabled')}</Badge> : <Badge kind="good">{t('enabled')}</Badge> },
      { title: t('scopes'), cell: ({ scopes }) => { const own = scopes.filter((scope) => administrative.includes(scope)); return own.length > 0 && <Scopes names={own} />; } },
      { title: t('created'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
    ]} />
  </Screen>;
}

export function NewPerson() {
  const form = useForm('people/new', { username: '', full_name: '', email: '', password: '' }, ['password']);
  return <Screen title={t('new')} back={{ href: href('people'), text: t('title') }}>
    <div class="card"><Form form={form} submit={t('create')} send={async ({ username, full_name: name, email, password }) => {
      const user = await ask(api.POST('/users', { body: { username, password, ...name && { full_name: name }, ...email && { email } } }));
      toast(t('made', { name: user.username }));
      go('people', user.id);
    }}>
      <Text {...form.field('username')} label={t('username')} required maxLength={64} />
      <Text {...form.field('full_name')} label={t('name')} hint={t('optional')} maxLength={200} />
      <Text {...form.field('email')} label={t('email')} hint={t('emailHint')} maxLength={254} />
      <Password {...form.field('password')} label={t('password')} hint={t('passwordHint')} required />
    </Form></div>
  </Screen>;
}
