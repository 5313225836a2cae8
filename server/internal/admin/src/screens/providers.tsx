// The providers: others through whom people sign in.
import { api, ask, useLoad, usePages, type Schemas } from '../api';
import { may } from '../auth';
import { texts } from '../i18n';
import { go, href } from '../router';
import type { ScreenProps } from '../screens';
import { Confirm, useDialog } from '../ui/dialog';
import { Check, Form, type Bound, type FormState, Lines, Password, Select, Text, useForm } from '../ui/form';
import { Badge, Code, Copyable, Facts, Fault, Loading, Screen, Section, Theirs, Time, toast } from '../ui/parts';
import { Table } from '../ui/table';

const t = texts({
  title: 'Providers', new: 'New provider', none: 'People sign in with their passwords and passkeys alone. Add Google, Keycloak, GitHub or another issuer of OpenID Connect.',
  name: 'Name', nameHint: 'Part of the redirect address: small letters, digits and hyphens. It cannot change.', label: 'Text of the button', labelHint: 'What people read, such as Google.',
  kind: 'Kind', oidc: 'OpenID Connect', github: 'GitHub', issuer: 'Issuer', issuerHint: 'Exactly as its discovery document names it. For GitHub only the address of a GitHub Enterprise Server.',
  client: 'Client id', clientHint: 'The id of this server at the provider.', secret: 'Client secret', secretHint: 'Stored encrypted, and never shown.', another: 'Empty to keep the one that is stored.',
  scopes: 'Scopes', scopesHint: 'What the server asks the provider for. One per line; empty for the usual ones.',
  link: 'Link verified addresses', linkHint: 'A new identity belongs to the account that has confirmed the same address. Only for a provider that you trust with every account. Needs users:write.',
  redirect: 'Redirect address', redirectHint: 'Register it at the provider.', created: 'Created', links: 'links addresses',
  create: 'Create', made: 'People can sign in through {name} now.', settings: 'Settings', save: 'Save', saved: 'The changes are saved.',
  end: 'Delete', endHint: 'The identities of people there stay, and work again with a provider of the same issuer.', delete: 'Delete the provider', deleteTitle: 'Delete {name}?',
  deleteText: 'Nobody can sign in through it any more. People who have no password and no passkey cannot sign in at all until they get one.', deleted: '{name} is deleted.',
}, {
  title: 'Anbieter', new: 'Neuer Anbieter', none: 'Personen melden sich nur mit Passwort und Passkey an. Fügen Sie Google, Keycloak, GitHub oder einen anderen Aussteller von OpenID Connect hinzu.',
  name: 'Name', nameHint: 'Teil der Redirect-Adresse: kleine Buchstaben, Ziffern und Bindestriche. Er lässt sich nicht ändern.', label: 'Text der Schaltfläche', labelHint: 'Was Personen lesen, etwa Google.',
  kind: 'Art', oidc: 'OpenID Connect', github: 'GitHub', issuer: 'Aussteller', issuerHint: 'Genau wie im Discovery-Dokument. Für GitHub nur die Adresse eines GitHub Enterprise Servers.',
  client: 'Client-ID', clientHint: 'Die ID dieses Servers beim Anbieter.', secret: 'Client-Secret', secretHint: 'Wird verschlüsselt gespeichert und nie angezeigt.', another: 'Leer lassen, um das gespeicherte zu behalten.',
  scopes: 'Scopes', scopesHint: 'Was der Server beim Anbieter anfragt. Einer pro Zeile; leer für die üblichen.',
  link: 'Bestätigte Adressen verknüpfen', linkHint: 'Eine neue Identität gehört zum Konto, das dieselbe Adresse bestätigt hat. Nur für einen Anbieter, dem Sie jedes Konto anvertrauen. Braucht users:write.',
  redirect: 'Redirect-Adresse', redirectHint: 'Tragen Sie sie beim Anbieter ein.', created: 'Angelegt', links: 'verknüpft Adressen',
  create: 'Anlegen', made: 'Personen können sich jetzt über {name} anmelden.', settings: 'Einstellungen', save: 'Speichern', saved: 'Die Änderungen sind gespeichert.',
  end: 'Löschen', endHint: 'Die Identitäten von Personen dort bleiben und gelten wieder, sobald es einen Anbieter mit demselben Aussteller gibt.', delete: 'Anbieter löschen', deleteTitle: '{name} löschen?',
  deleteText: 'Niemand kann sich mehr über ihn anmelden. Personen ohne Passwort und Passkey können sich gar nicht anmelden, bis sie eines bekommen.', deleted: '{name} ist gelöscht.',
});

type Provider = Schemas['Provider'];

const back = () => ({ href: href('providers'), text: t('title') });

export function Providers() {
  const providers = usePages<Provider>((cursor) => api.GET('/providers', { params: { query: { limit: 50, ...cursor && { cursor } } } }), []);
  return <Screen title={t('title')} actions={may('clients:write') && <a class="button primary" href={href('providers', 'new')}>{t('new')}</a>}>
    <Table caption={t('title')} list={providers} id={({ name }) => name} empty={t('none')} columns={[
      { title: t('name'), kind: 'main', cell: ({ name, label }) => <a href={href('providers', name)}><Theirs>{label}</Theirs></a> },
      { title: t('kind'), kind: 'short', cell: ({ kind, link_verified_addresses: links }) => <><Badge>{t(kind)}</Badge> {links && <Badge kind="warn">{t('links')}</Badge>}</> },
      { title: t('issuer'), cell: ({ issuer }) => <Code>{issuer}</Code> },
      { title: t('created'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
    ]} />
  </Screen>;
}

export function NewProvider() {
  const form = useForm('providers/new', { name: '', label: '', kind: 'oidc' as Provider['kind'], issuer: '', client_id: '', client_secret: '', scopes: [] as string[], link_verified_addresses: false }, ['client_secret']);
  return <Screen title={t('new')} back={back()}>
    <div class="card"><Form form={form} submit={t('create')} send={async ({ label, issuer, client_secret: secret, scopes, ...body }) => {
      const made = await ask(api.POST('/providers', { body: { ...body, ...label && { label }, ...issuer && { issuer }, ...secret && { client_secret: secret }, ...scopes.length > 0 && { scopes } } }));
      toast(t('made', { name: made.label }));
      go('providers', made.name);
    }}>
      <Select {...form.field('kind')} change={(kind) => form.field('kind').change(kind as Provider['kind'])} label={t('kind')} options={[['oidc', t('oidc')], ['github', t('github')]]} />
      <Text {...form.field('name')} label={t('name')} hint={t('nameHint')} required maxLength={64} />
      <Text {...form.field('issuer')} label={t('issuer')} hint={t('issuerHint')} maxLength={500} required={form.values.kind === 'oidc'} />
      <Common fields={commonOf(form)} secretHint={t('secretHint')} />
    </Form></div>
  </Screen>;
}

interface Fields { label: Bound<string>; client_id: Bound<string>; client_secret: Bound<string>; scopes: Bound<string[]>; link_verified_addresses: Bound<boolean> }

// Common are the fields that a provider gets and that can change.
const Common = ({ fields, secretHint }: { fields: Fields; secretHint: string }) => <>
  <Text {...fields.label} label={t('label')} hint={t('labelHint')} maxLength={64} />
  <Text {...fields.client_id} label={t('client')} hint={t('clientHint')} required maxLength={256} />
  <Password {...fields.client_secret} label={t('secret')} hint={secretHint} maxLength={1024} />
  <Lines {...fields.scopes} label={t('scopes')} hint={t('scopesHint')} />
  <Check {...fields.link_verified_addresses} label={t('link')} hint={t('linkHint')} disabled={!may('users:write')} />
</>;

// commonOf binds them to a form.
const commonOf = ({ field }: Pick<FormState<Values>, 'field'>): Fields => ({
  label: field('label'), client_id: field('client_id'), client_secret: field('client_secret'), scopes: field('scopes'), link_verified_addresses: field('link_verified_addresses'),
});

type Values = { label: string; client_id: string; client_secret: string; scopes: string[]; link_verified_addresses: boolean };

export function ProviderScreen({ id }: ScreenProps) {
  const loaded = useLoad(() => api.GET('/providers/{provider}', { params: { path: { provider: id } } }), [id]);
  const provider = loaded.data;
  if (!provider) return <Screen title={t('title')} back={back()}>{loaded.loading ? <Loading /> : <Fault failure={loaded.failure} retry={loaded.reload} />}</Screen>;
  return <Screen title={<Theirs>{provider.label}</Theirs>} back={back()}>
    <Section title={t('redirect')} hint={t('redirectHint')}><Facts entries={[
      [t('redirect'), <Copyable text={provider.redirect_uri} />],
      [t('kind'), <Badge>{t(provider.kind)}</Badge>],
      [t('issuer'), <Code>{provider.issuer}</Code>],
      [t('created'), <Time at={provider.created_at} />],
    ]} /></Section>
    <Section title={t('settings')}><Settings provider={provider} show={loaded.set} /></Section>
    {may('clients:write') && <End provider={provider} />}
  </Screen>;
}

function Settings({ provider, show }: { provider: Provider; show: (provider: Provider) => void }) {
  const { name, label, client_id: client, scopes, link_verified_addresses: link } = provider;
  const form = useForm(`providers/${name}`, { label, client_id: client, client_secret: '', scopes, link_verified_addresses: link }, ['client_secret']);
  return <Form form={form} submit={t('save')} quiet send={async (_, changed) => {
    show(await ask(api.PATCH('/providers/{provider}', { params: { path: { provider: name } }, body: changed })));
    toast(t('saved'));
  }}>
    <fieldset class="plain" disabled={!may('clients:write')}><Common fields={commonOf(form)} secretHint={`${t('secretHint')} ${t('another')}`} /></fieldset>
  </Form>;
}

function End({ provider: { name, label } }: { provider: Provider }) {
  const [dialog, open] = useDialog();
  return <Section title={t('end')} hint={t('endHint')}>
    <button type="button" class="danger" onClick={() => open((close) => <Confirm title={t('deleteTitle', { name: label })} action={t('delete')} danger typed={name} close={close} confirm={async () => {
      await ask(api.DELETE('/providers/{provider}', { params: { path: { provider: name } } }));
      toast(t('deleted', { name: label }));
      go('providers');
    }}><p>{t('deleteText')}</p></Confirm>)}>{t('delete')}</button>
    {dialog}
  </Section>;
}
