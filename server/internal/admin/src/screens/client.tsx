// One client: what it may do, its secret, its logo, its end.
import { useState } from 'preact/hooks';
import { api, ask, Failure, useAction, useLoad, type Schemas } from '../api';
import { may } from '../auth';
import { texts } from '../i18n';
import { go, href } from '../router';
import type { ScreenProps } from '../screens';
import { Confirm, showSecret, useDialog } from '../ui/dialog';
import { Check, Checks, Form, Lines, Quantity, Text, useForm } from '../ui/form';
import { Badge, Copyable, Facts, Fault, Loading, Screen, Section, Theirs, Time, toast } from '../ui/parts';
import { useScopes } from './clients';

const t = texts({
  list: 'Clients', id: 'Client id', kind: 'Kind', public: 'public, without a secret', confidential: 'has a secret', thirdParty: 'third party', created: 'Created',
  settings: 'Settings', save: 'Save', saved: 'The changes are saved.', name: 'Name', nameHint: 'Shown to people who sign in.',
  redirects: 'Redirect addresses', redirectsHint: 'Where people are sent after they sign in. One per line.',
  signOuts: 'Addresses after the sign-out', signOutsHint: 'Where people can be sent after they sign out. One per line.',
  logout: 'Back-channel logout', logoutHint: 'Where the server sends a logout token when a session ends. Empty for nowhere.',
  third: 'It belongs to a third party', thirdHint: 'People are asked whether they agree.',
  pkce: 'PKCE is required', pkceHint: 'Switch this off only for software that cannot send a code challenge.',
  password: 'Password grant', passwordHint: 'People type their password into the application. Only for first parties that cannot do otherwise.',
  device: 'Device grant', deviceHint: 'People can sign in on devices without a browser.',
  accessTTL: 'Lifetime of access tokens, in seconds', sessionTTL: 'Longest session, in seconds', ttlHint: '0 for as long as the server allows.',
  scopes: 'Scopes', scopesHint: 'What the client may do itself, or get of what a person may do. A scope that you remove ends the sessions that use it.',
  secret: 'Secret', secretHint: 'The server has only a hash of it. Replace it when somebody may have seen it.', replace: 'Replace the secret',
  replaceTitle: 'Replace the secret of {name}?', replaceText: 'The client cannot use the old secret for longer than you choose here.',
  keep: 'Keep the old secret valid for', now: 'not at all', hour: '1 hour', day: '1 day', newSecret: 'The new secret of {name}',
  logo: 'Logo', logoHint: 'PNG, JPEG or WebP, at most 32 KiB and 1024 pixels at each side.', noLogo: 'It has no logo.', removeLogo: 'Remove the logo', chooseLogo: 'Choose an image',
  end: 'Delete', endHint: 'Nobody can sign in to the application any more.', delete: 'Delete the client', deleteTitle: 'Delete {name}?',
  deleteText: 'The client, its secret and every session that people have started through it are deleted at once. This cannot be undone.', deleted: '{name} is deleted.',
}, {
  list: 'Clients', id: 'Client-ID', kind: 'Art', public: 'öffentlich, ohne Secret', confidential: 'hat ein Secret', thirdParty: 'von Dritten', created: 'Angelegt',
  settings: 'Einstellungen', save: 'Speichern', saved: 'Die Änderungen sind gespeichert.', name: 'Name', nameHint: 'Personen sehen ihn bei der Anmeldung.',
  redirects: 'Redirect-Adressen', redirectsHint: 'Wohin Personen nach der Anmeldung gelangen. Eine pro Zeile.',
  signOuts: 'Adressen nach der Abmeldung', signOutsHint: 'Wohin Personen nach der Abmeldung gelangen können. Eine pro Zeile.',
  logout: 'Back-Channel-Logout', logoutHint: 'Wohin der Server ein Logout-Token schickt, wenn eine Sitzung endet. Leer für nirgendwohin.',
  third: 'Er gehört Dritten', thirdHint: 'Personen werden gefragt, ob sie zustimmen.',
  pkce: 'PKCE ist nötig', pkceHint: 'Schalten Sie das nur für Software ab, die keine Code-Challenge senden kann.',
  password: 'Passwort-Grant', passwordHint: 'Personen geben ihr Passwort in der Anwendung ein. Nur für eigene Anwendungen, die nicht anders können.',
  device: 'Geräte-Grant', deviceHint: 'Personen können sich auf Geräten ohne Browser anmelden.',
  accessTTL: 'Lebensdauer der Access-Tokens in Sekunden', sessionTTL: 'Längste Sitzung in Sekunden', ttlHint: '0 für so lange, wie der Server erlaubt.',
  scopes: 'Scopes', scopesHint: 'Was der Client selbst darf, oder von den Rechten einer Person bekommen kann. Ein entfernter Scope beendet die Sitzungen, die ihn nutzen.',
  secret: 'Secret', secretHint: 'Der Server hat nur einen Hashwert davon. Ersetzen Sie es, wenn es jemand gesehen haben könnte.', replace: 'Secret ersetzen',
  replaceTitle: 'Das Secret von {name} ersetzen?', replaceText: 'Der Client kann das alte Secret nur noch so lange benutzen, wie Sie hier wählen.',
  keep: 'Das alte Secret gilt noch', now: 'gar nicht', hour: '1 Stunde', day: '1 Tag', newSecret: 'Das neue Secret von {name}',
  logo: 'Logo', logoHint: 'PNG, JPEG oder WebP, höchstens 32 KiB und 1024 Pixel an jeder Seite.', noLogo: 'Er hat kein Logo.', removeLogo: 'Logo entfernen', chooseLogo: 'Bild auswählen',
  end: 'Löschen', endHint: 'Danach kann sich niemand mehr bei der Anwendung anmelden.', delete: 'Client löschen', deleteTitle: '{name} löschen?',
  deleteText: 'Der Client, sein Secret und jede Sitzung, die Personen über ihn begonnen haben, werden sofort gelöscht. Das lässt sich nicht rückgängig machen.', deleted: '{name} ist gelöscht.',
});

type OAuthClient = Schemas['OAuthClient'];
type Part = { client: OAuthClient; show: (client: OAuthClient) => void };

export function Client({ id }: ScreenProps) {
  const loaded = useLoad(() => api.GET('/clients/{client_id}', { params: { path: { client_id: id } } }), [id]);
  const client = loaded.data;
  const back = { href: href('clients'), text: t('list') };
  if (!client) return <Screen title={t('list')} back={back}>{loaded.loading ? <Loading /> : <Fault failure={loaded.failure} retry={loaded.reload} />}</Screen>;
  const part = { client, show: loaded.set };
  return <Screen title={<Theirs>{client.name}</Theirs>} back={back}>
    <div class="card"><Facts entries={[
      [t('id'), <Copyable text={client.client_id} />],
      [t('kind'), <><Badge>{t(client.public ? 'public' : 'confidential')}</Badge> {client.third_party && <Badge kind="warn">{t('thirdParty')}</Badge>}</>],
      [t('created'), <Time at={client.created_at} />],
    ]} /></div>
    <Section title={t('settings')}><Settings {...part} /></Section>
    {may('clients:write') && <>
      {!client.public && <SecretPart {...part} />}
      <Logo {...part} />
      <End {...part} />
    </>}
  </Screen>;
}

function Settings({ client, show }: Part) {
  const scopes = useScopes();
  const { client_id: id, public: isPublic, logo_uri: _, created_at: __, ...initial } = client;
  const form = useForm(`clients/${id}`, initial);
  const readOnly = !may('clients:write');
  return <Form form={form} submit={t('save')} quiet send={async (_values, changed) => {
    show(await ask(api.PATCH('/clients/{client_id}', { params: { path: { client_id: id } }, body: changed })));
    toast(t('saved'));
  }}>
    <fieldset class="plain" disabled={readOnly}>
      <Text {...form.field('name')} label={t('name')} hint={t('nameHint')} required maxLength={64} />
      <Lines {...form.field('redirect_uris')} label={t('redirects')} hint={t('redirectsHint')} />
      <Lines {...form.field('post_logout_redirect_uris')} label={t('signOuts')} hint={t('signOutsHint')} />
      <Text {...form.field('backchannel_logout_uri')} label={t('logout')} hint={t('logoutHint')} maxLength={2000} />
      <Checks {...form.field('scopes')} label={t('scopes')} hint={t('scopesHint')} options={scopes} />
      <Check {...form.field('third_party')} label={t('third')} hint={t('thirdHint')} />
      <Check {...form.field('require_pkce')} label={t('pkce')} hint={t('pkceHint')} disabled={isPublic} />
      <Check {...form.field('device_grant')} label={t('device')} hint={t('deviceHint')} />
      <Check {...form.field('password_grant')} label={t('password')} hint={t('passwordHint')} />
      <Quantity {...form.field('access_token_ttl')} label={t('accessTTL')} hint={t('ttlHint')} min={0} />
      <Quantity {...form.field('session_ttl')} label={t('sessionTTL')} hint={t('ttlHint')} min={0} />
    </fieldset>
  </Form>;
}

function SecretPart({ client }: Part) {
  const [dialog, open] = useDialog();
  return <Section title={t('secret')} hint={t('secretHint')}>
    <button type="button" onClick={() => open((close) => <Replace client={client} close={close} />)}>{t('replace')}</button>
    {dialog}
  </Section>;
}

function Replace({ client, close }: { client: OAuthClient; close: () => void }) {
  const [keep, choose] = useState('3600');
  return <Confirm title={<bdi>{t('replaceTitle', { name: client.name })}</bdi>} action={t('replace')} danger close={close} confirm={async () => {
    const { client_secret: text = '' } = await ask(api.POST('/clients/{client_id}/secret', { params: { path: { client_id: client.client_id } }, body: { keep_old_for: Number(keep) } }));
    showSecret({ title: t('newSecret', { name: client.name }), text });
  }}>
    <p>{t('replaceText')}</p>
    <div class="field"><label for="keep">{t('keep')}</label>
      <select id="keep" value={keep} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="0">{t('now')}</option><option value="3600">{t('hour')}</option><option value="86400">{t('day')}</option>
      </select></div>
  </Confirm>;
}

function Logo({ client, show }: Part) {
  const action = useAction();
  const send = (logo: string) => action.run(async () => {
    show(await ask(api.PATCH('/clients/{client_id}', { params: { path: { client_id: client.client_id } }, body: { logo } })));
    toast(t('saved'));
  });
  const choose = (file: File | undefined) => {
    if (!file) return;
    if (file.size > 32 << 10) return void action.run(() => Promise.reject(new Failure(422, t('logoHint'))));
    void file.arrayBuffer().then((bytes) => send(btoa(String.fromCharCode(...new Uint8Array(bytes)))));
  };
  return <Section title={t('logo')} hint={t('logoHint')}>
    {client.logo_uri ? <p><img class="logo" src={client.logo_uri} alt={t('logo')} /></p> : <p class="muted">{t('noLogo')}</p>}
    <Fault failure={action.failure} />
    <div class="buttons start">
      <label class="button">{t('chooseLogo')}<input type="file" class="hidden" accept="image/png,image/jpeg,image/webp" disabled={action.busy}
        onChange={(event) => { choose(event.currentTarget.files?.[0]); event.currentTarget.value = ''; }} /></label>
      {client.logo_uri && <button type="button" aria-disabled={action.busy} onClick={() => { void send(''); }}>{t('removeLogo')}</button>}
    </div>
  </Section>;
}

function End({ client }: Part) {
  const [dialog, open] = useDialog();
  const { name, client_id: id } = client;
  return <Section title={t('end')} hint={t('endHint')}>
    <button type="button" class="danger" onClick={() => open((close) => <Confirm title={<bdi>{t('deleteTitle', { name })}</bdi>} action={t('delete')} danger typed={name} close={close} confirm={async () => {
      await ask(api.DELETE('/clients/{client_id}', { params: { path: { client_id: id } } }));
      toast(t('deleted', { name }));
      go('clients');
    }}><p>{t('deleteText')}</p></Confirm>)}>{t('delete')}</button>
    {dialog}
  </Section>;
}
