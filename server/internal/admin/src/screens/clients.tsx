// The clients: a list, and a form for a new one.
import { api, ask, useDebounced, useLoad, usePages, type Schemas } from '../api';
import { may } from '../auth';
import { texts } from '../i18n';
import { go, href, setQuery } from '../router';
import type { ScreenProps } from '../screens';
import { Check, Checks, Form, Lines, Select, Text, useForm } from '../ui/form';
import { showSecret } from '../ui/dialog';
import { Badge, Code, Screen, Theirs, Time, toast } from '../ui/parts';
import { Filters, Search, Table } from '../ui/table';

const t = texts({
  title: 'Clients', new: 'New client', name: 'Name', search: 'Name begins with', notFound: 'No client fits this search.', kind: 'Kind', created: 'Created', none: 'There are no clients yet. An application needs one, before people can sign in to it.',
  web: 'Application with a server', app: 'Single-page or phone app', device: 'Device without a browser', service: 'Service without people',
  public: 'public', confidential: 'has a secret', thirdParty: 'third party', addresses: 'Redirect addresses',
  nameHint: 'Shown to people who sign in.', redirectHint: 'Where people are sent after they sign in. One per line, compared character by character.',
  signOutHint: 'Where people can be sent after they sign out. One per line.', signOuts: 'Addresses after the sign-out',
  third: 'It belongs to a third party', thirdHint: 'People are asked whether they agree.', scopes: 'Scopes', scopesHint: 'What the client may do itself, or get of what a person may do.',
  create: 'Create', made: 'The client {name} exists now.', secret: 'The secret of {name}', id: 'Client id',
}, {
  title: 'Clients', new: 'Neuer Client', name: 'Name', search: 'Name beginnt mit', notFound: 'Kein Client passt zu dieser Suche.', kind: 'Art', created: 'Angelegt', none: 'Es gibt noch keine Clients. Eine Anwendung braucht einen, bevor sich Personen bei ihr anmelden können.',
  web: 'Anwendung mit einem Server', app: 'Single-Page- oder Handy-App', device: 'Gerät ohne Browser', service: 'Dienst ohne Personen',
  public: 'öffentlich', confidential: 'hat ein Secret', thirdParty: 'von Dritten', addresses: 'Redirect-Adressen',
  nameHint: 'Personen sehen ihn bei der Anmeldung.', redirectHint: 'Wohin Personen nach der Anmeldung gelangen. Eine pro Zeile; sie wird Zeichen für Zeichen verglichen.',
  signOutHint: 'Wohin Personen nach der Abmeldung gelangen können. Eine pro Zeile.', signOuts: 'Adressen nach der Abmeldung',
  third: 'Er gehört Dritten', thirdHint: 'Personen werden gefragt, ob sie zustimmen.', scopes: 'Scopes', scopesHint: 'Was der Client selbst darf, oder von den Rechten einer Person bekommen kann.',
  create: 'Anlegen', made: 'Der Client {name} ist angelegt.', secret: 'Das Secret von {name}', id: 'Client-ID',
});

type Client = Schemas['OAuthClient'];

// useScopes reads the scopes that the server knows, for a choice of them. Those that the person lacks cannot be given away.
export function useScopes() {
  const metadata = useLoad(() => api.GET('/.well-known/oauth-authorization-server'), []);
  return (metadata.data?.scopes_supported ?? []).map((name) => ({ name, disabled: !/^(me:|openid$|profile$|email$)/.test(name) && !may(name) }));
}

export function Clients({ query }: ScreenProps) {
  const q = query.get('q') ?? '';
  const search = useDebounced(q);
  const clients = usePages<Client>((cursor) => api.GET('/clients', { params: { query: { limit: 50, ...cursor && { cursor }, ...search && { q: search } } } }), [search]);
  return <Screen title={t('title')} actions={may('clients:write') && <a class="button primary" href={href('clients', 'new')}>{t('new')}</a>}>
    <Filters><Search label={t('search')} value={q} change={(text) => setQuery({ q: text })} /></Filters>
    <Table caption={t('title')} list={clients} id={({ client_id: id }) => id} empty={t(search ? 'notFound' : 'none')} columns={[
      { title: t('name'), kind: 'main', cell: ({ client_id: id, name, logo_uri: logo }) => <a class="with-logo" href={href('clients', id)}>{logo && <img src={logo} alt="" />}<Theirs>{name}</Theirs></a> },
      { title: t('kind'), cell: (client) => <><Badge>{t(client.public ? 'public' : 'confidential')}</Badge> {client.third_party && <Badge kind="warn">{t('thirdParty')}</Badge>}</> },
      { title: t('addresses'), cell: ({ redirect_uris: uris }) => <>{uris.slice(0, 2).map((uri) => <div key={uri}><Code>{uri}</Code></div>)}{uris.length > 2 && '…'}</> },
      { title: t('created'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
    ]} />
  </Screen>;
}

export function NewClient() {
  const scopes = useScopes();
  const form = useForm('clients/new', { name: '', kind: 'web', redirect_uris: [] as string[], post_logout_redirect_uris: [] as string[], third_party: false, scopes: [] as string[] });
  const { kind } = form.values;
  const signsIn = kind === 'web' || kind === 'app';
  return <Screen title={t('new')} back={{ href: href('clients'), text: t('title') }}>
    <div class="card"><Form form={form} submit={t('create')} send={async ({ kind: _, ...body }) => {
      const client = await ask(api.POST('/clients', { body: {
        ...body, ...!signsIn && { redirect_uris: [], post_logout_redirect_uris: [] }, public: kind === 'app' || kind === 'device', device_grant: kind === 'device',
      } }));
      toast(t('made', { name: client.name }));
      if (!client.client_secret) return go('clients', client.client_id);
      showSecret({
        title: t('secret', { name: client.name }), text: client.client_secret, more: <p>{t('id')}: <Code>{client.client_id}</Code></p>,
        done: () => go('clients', client.client_id),
      });
    }}>
      <Text {...form.field('name')} label={t('name')} hint={t('nameHint')} required maxLength={64} />
      <Select {...form.field('kind')} label={t('kind')} options={[['web', t('web')], ['app', t('app')], ['device', t('device')], ['service', t('service')]]} />
      {signsIn && <>
        <Lines {...form.field('redirect_uris')} label={t('addresses')} hint={t('redirectHint')} required />
        <Lines {...form.field('post_logout_redirect_uris')} label={t('signOuts')} hint={t('signOutHint')} />
      </>}
      {kind !== 'service' && <Check {...form.field('third_party')} label={t('third')} hint={t('thirdHint')} />}
      <Checks {...form.field('scopes')} label={t('scopes')} hint={t('scopesHint')} options={scopes} />
    </Form></div>
  </Screen>;
}
