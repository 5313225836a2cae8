// The server: its settings in force, and its signing keys.
import { api, ask, useLoad, type Schemas } from '../api';
import { may } from '../auth';
import { texts } from '../i18n';
import { setQuery } from '../router';
import type { ScreenProps } from '../screens';
import { Confirm, useDialog } from '../ui/dialog';
import { Badge, Code, Facts, Fault, Loading, Screen, Section, Time, toast } from '../ui/parts';
import { Choice, Filters, Search, Table } from '../ui/table';

const t = texts({
  title: 'Keys and settings', server: 'Server', version: 'Version', engine: 'Database', schema: 'Schema version', started: 'Started',
  keys: 'Signing keys', keysHint: 'A key is published ten minutes before it signs, so that every service knows it, and verifies tokens for a while after it has retired.',
  key: 'Key', signs: 'Signs', state: 'State', from: 'Signs from', retires: 'Retires', removed: 'Removed', none: 'There are no keys.',
  access_tokens: 'Access tokens', id_tokens: 'ID tokens', published: 'published', signing: 'signs', retired: 'retired',
  rotate: 'New key for {what}', sure: 'Publish a new key for {what}?', effect: 'The new key signs in ten minutes, and the present one retires then. No token is refused. Services that keep the key set for longer than ten minutes may refuse new tokens until they read it again.',
  publish: 'Publish', done: 'The new key is published.', waiting: 'A new key is published already.',
  settings: 'Settings', settingsHint: 'As this server has started with them. Secrets are masked. To change one, change its variable or flag and start the server again.',
  search: 'Name or description', source: 'Source', all: 'All', changed: 'Changed', flag: 'flag', environment: 'variable', program: 'program', default: 'default',
  name: 'Setting', value: 'Value', nothing: 'No setting fits this search.',
}, {
  title: 'Schlüssel und Einstellungen', server: 'Server', version: 'Version', engine: 'Datenbank', schema: 'Version des Schemas', started: 'Gestartet',
  keys: 'Signaturschlüssel', keysHint: 'Ein Schlüssel wird zehn Minuten vor seinem Einsatz veröffentlicht, damit jeder Dienst ihn kennt, und prüft Tokens noch eine Weile, nachdem er abgelöst ist.',
  key: 'Schlüssel', signs: 'Signiert', state: 'Status', from: 'Signiert ab', retires: 'Abgelöst', removed: 'Entfernt', none: 'Es gibt keine Schlüssel.',
  access_tokens: 'Access-Tokens', id_tokens: 'ID-Tokens', published: 'veröffentlicht', signing: 'signiert', retired: 'abgelöst',
  rotate: 'Neuer Schlüssel für {what}', sure: 'Einen neuen Schlüssel für {what} veröffentlichen?', effect: 'Der neue Schlüssel signiert in zehn Minuten; der jetzige ist dann abgelöst. Kein Token wird abgelehnt. Dienste, die den Schlüsselsatz länger als zehn Minuten behalten, lehnen neue Tokens vielleicht ab, bis sie ihn neu lesen.',
  publish: 'Veröffentlichen', done: 'Der neue Schlüssel ist veröffentlicht.', waiting: 'Ein neuer Schlüssel ist schon veröffentlicht.',
  settings: 'Einstellungen', settingsHint: 'Wie dieser Server mit ihnen gestartet ist. Geheimnisse sind verdeckt. Ändern Sie die Variable oder das Flag, und starten Sie den Server neu.',
  search: 'Name oder Beschreibung', source: 'Herkunft', all: 'Alle', changed: 'Geänderte', flag: 'Flag', environment: 'Variable', program: 'Programm', default: 'Vorgabe',
  name: 'Einstellung', value: 'Wert', nothing: 'Keine Einstellung passt zu dieser Suche.',
});

const words = ['access_tokens', 'id_tokens', 'published', 'signing', 'retired', 'flag', 'environment', 'program', 'default'] as const;

// word is a value of the contract in words. A newer server may have others.
const word = (value: string) => words.some((known) => known === value) ? t(value as typeof words[number]) : <Code>{value}</Code>;

type Key = Schemas['SigningKey'];
type Setting = Schemas['Setting'];

export function Server({ query }: ScreenProps) {
  const info = useLoad(() => api.GET('/settings'), []);
  return <Screen title={t('title')}>
    <Fault failure={info.failure} retry={info.reload} />
    {info.loading && !info.data && <Loading />}
    {info.data && <Section title={t('server')}>
      <Facts entries={[
        [t('version'), info.data.version], [t('engine'), info.data.engine === 'sqlite' ? 'SQLite' : 'PostgreSQL'], [t('schema'), info.data.schema_version],
        [t('started'), <Time at={info.data.started_at} />],
      ]} />
    </Section>}
    <Keys />
    {info.data && <Settings all={info.data.settings} query={query} />}
  </Screen>;
}

function Keys() {
  const keys = useLoad(() => api.GET('/keys'), []);
  const [dialog, open] = useDialog();
  const items = keys.data?.items ?? [];
  const rotate = (signs: Key['signs']) => open((close) => <Confirm title={t('sure', { what: t(signs) })} action={t('publish')} close={close} confirm={async () => {
    const before = items.length;
    const after = await ask(api.POST('/keys/rotate', { body: { signs } }));
    keys.set(after);
    toast(t(after.items.length > before ? 'done' : 'waiting'));
  }}><p>{t('effect')}</p></Confirm>);
  return <Section title={t('keys')} hint={t('keysHint')} actions={may('settings:write') && (['access_tokens', 'id_tokens'] as const).map((signs) =>
    <button key={signs} type="button" onClick={() => rotate(signs)}>{t('rotate', { what: t(signs) })}</button>)}>
    <Table<Key> caption={t('keys')} list={{ ...keys, items }} id={({ kid }) => kid} empty={t('none')} columns={[
      { title: t('key'), kind: 'main', cell: ({ kid, alg }) => <><Code>{kid}</Code> <Badge>{alg}</Badge></> },
      { title: t('signs'), cell: ({ signs }) => word(signs) },
      { title: t('state'), cell: ({ state }) => <Badge kind={state === 'signing' ? 'good' : 'plain'}>{word(state)}</Badge> },
      { title: t('from'), cell: ({ signs_from: at }) => <Time at={at} /> },
      { title: t('retires'), kind: 'short', cell: ({ retires_at: at }) => <Time at={at} /> },
      { title: t('removed'), kind: 'short', cell: ({ removed_at: at }) => <Time at={at} /> },
    ]} />
    {dialog}
  </Section>;
}

function Settings({ all, query }: { all: Setting[]; query: URLSearchParams }) {
  const q = query.get('q') ?? '', changed = query.get('changed') ?? '';
  const items = all.filter(({ name, value, description, source }) =>
    (!changed || source !== 'default') && `${name} ${value} ${description}`.toLowerCase().includes(q.trim().toLowerCase()));
  return <Section title={t('settings')} hint={t('settingsHint')}>
    <Filters>
      <Search label={t('search')} value={q} change={(text) => setQuery({ q: text })} />
      <Choice label={t('source')} value={changed} options={[['', t('all')], ['yes', t('changed')]]} change={(value) => setQuery({ changed: value })} />
    </Filters>
    <Table<Setting> caption={t('settings')} list={{ items }} id={({ name }) => name} empty={t('nothing')} columns={[
      { title: t('name'), kind: 'main', cell: ({ name, flag, description }) => <>
        <Code>{name}</Code>{flag && <span class="muted"> <Code>{flag}</Code></span>}<div class="muted small words" lang="en">{description}</div>
      </> },
      { title: t('value'), cell: ({ value }) => value && <Code>{value}</Code> },
      { title: t('source'), cell: ({ source }) => <Badge kind={source === 'default' ? 'plain' : 'good'}>{word(source)}</Badge> },
    ]} />
  </Section>;
}
