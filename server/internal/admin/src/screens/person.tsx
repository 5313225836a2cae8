// One person: the profile, and what administrators do to an account. person-parts.tsx has the lists.
import { api, ask, useLoad, type Schemas } from '../api';
import { administrative, may } from '../auth';
import { texts } from '../i18n';
import { go, href } from '../router';
import type { ScreenProps } from '../screens';
import { Confirm, useDialog } from '../ui/dialog';
import { Checks, Form, Text, useForm } from '../ui/form';
import { Badge, Code, Copyable, Facts, Fault, Loading, Screen, Section, Theirs, Time, toast } from '../ui/parts';
import { Consents, Events, Factors, Identities, SessionsOf, Tokens } from './person-parts';

const t = texts({
  list: 'People', id: 'Id', state: 'State', enabled: 'Enabled', disabled: 'Disabled', email: 'E-mail address', noEmail: 'none', confirmed: 'confirmed', unconfirmed: 'unconfirmed',
  metadata: 'Metadata', created: 'Created', updated: 'Changed', profile: 'Profile', name: 'Name', save: 'Save', saved: 'The changes are saved.',
  emailHint: 'A new address has to be confirmed by its owner before it can be used to sign in. The old one gets a mail.',
  scopes: 'Administers', scopesHint: 'A scope that you remove is refused at once, and removed from every session. You can grant only scopes that you have.',
  steps: 'Account', stepsHint: 'What you do here is recorded in the events of the account, with your name.',
  unlock: 'Unlock', unlockTitle: 'Unlock {name}?', unlockText: 'Wrong passwords delay the next attempt. {name} can then sign in at once. Networks that are delayed stay so.', unlocked: '{name} can sign in at once.',
  vouch: 'Confirm the address', vouchTitle: 'Confirm the address of {name}?', vouchText: 'You vouch that {email} belongs to {name}, who can sign in with it from now on. Other accounts that only claim it lose it.', vouched: '{email} is confirmed.',
  mail: 'Mail a password reset', mailTitle: 'Mail {name} a link for a new password?', mailText: 'The link goes to {email}. Nothing changes until it is used; a new password then ends every session.', mailed: 'The link is mailed to {email}.',
  invite: 'Mail the invitation again', inviteTitle: 'Mail {name} the invitation again?', inviteText: 'For an account without a password: a new link to {email}, at which a password is chosen. Earlier links end.', invited: 'The invitation is mailed to {email}.',
  disable: 'Disable', disableTitle: 'Disable {name}?', disableText: 'Every session ends at once and mailed links become invalid. {name} cannot sign in until you enable the account.', nowDisabled: '{name} is disabled.',
  enable: 'Enable', enableTitle: 'Enable {name}?', enableText: '{name} can sign in again. Sessions that have ended stay ended.', nowEnabled: '{name} is enabled.',
  delete: 'Delete', deleteTitle: 'Delete {name}?', deleteText: 'The account is deleted with its sessions, factors, linked accounts and consents, and its owner gets a mail. The username is reserved for 30 days. This cannot be undone.', deleted: '{name} is deleted.',
}, {
  list: 'Personen', id: 'Id', state: 'Status', enabled: 'Aktiv', disabled: 'Gesperrt', email: 'E-Mail-Adresse', noEmail: 'keine', confirmed: 'bestätigt', unconfirmed: 'unbestätigt',
  metadata: 'Metadaten', created: 'Angelegt', updated: 'Geändert', profile: 'Profil', name: 'Name', save: 'Speichern', saved: 'Die Änderungen sind gespeichert.',
  emailHint: 'Eine neue Adresse muss bestätigt werden, bevor man sich mit ihr anmelden kann. Die alte bekommt eine Mail.',
  scopes: 'Verwaltet', scopesHint: 'Ein entfernter Scope wird sofort abgelehnt und jeder Sitzung genommen. Sie können nur Scopes vergeben, die Sie haben.',
  steps: 'Konto', stepsHint: 'Was Sie hier tun, steht mit Ihrem Namen in den Ereignissen des Kontos.',
  unlock: 'Entsperren', unlockTitle: '{name} entsperren?', unlockText: 'Nach falschen Passwörtern muss das Konto vor dem nächsten Versuch warten. {name} kann sich sofort anmelden. Wartezeiten ganzer Netze bleiben.', unlocked: '{name} muss nicht warten.',
  vouch: 'Adresse bestätigen', vouchTitle: 'Die Adresse von {name} bestätigen?', vouchText: 'Sie bürgen dafür, dass {email} zu {name} gehört. Von jetzt an kann man sich mit ihr anmelden. Andere Konten, die sie nur beanspruchen, verlieren sie.', vouched: '{email} ist bestätigt.',
  mail: 'Neues Passwort per Mail', mailTitle: '{name} einen Link für ein neues Passwort mailen?', mailText: 'Der Link geht an {email}. Nichts ändert sich, bis er benutzt wird; ein neues Passwort beendet dann jede Sitzung.', mailed: 'Der Link ist an {email} unterwegs.',
  invite: 'Einladung erneut mailen', inviteTitle: '{name} die Einladung erneut mailen?', inviteText: 'Für ein Konto ohne Passwort: ein neuer Link an {email}, mit dem man eines wählt. Frühere Links enden.', invited: 'Die Einladung ist an {email} unterwegs.',
  disable: 'Sperren', disableTitle: '{name} sperren?', disableText: 'Jede Sitzung endet sofort, und gemailte Links werden ungültig. {name} kann sich nicht anmelden, bis Sie das Konto entsperren.', nowDisabled: '{name} ist gesperrt.',
  enable: 'Entsperren', enableTitle: '{name} entsperren?', enableText: '{name} kann sich wieder anmelden. Beendete Sitzungen bleiben beendet.', nowEnabled: '{name} ist entsperrt.',
  delete: 'Löschen', deleteTitle: '{name} löschen?', deleteText: 'Das Konto wird mit Sitzungen, Faktoren, verknüpften Konten und Zustimmungen gelöscht, und die Person bekommt eine Mail. Der Benutzername bleibt 30 Tage reserviert. Das lässt sich nicht rückgängig machen.', deleted: '{name} ist gelöscht.',
});

export type User = Schemas['User'];

export function Person({ id }: ScreenProps) {
  const loaded = useLoad(() => api.GET('/users/{user_id}', { params: { path: { user_id: id } } }), [id]);
  const user = loaded.data;
  const back = { href: href('people'), text: t('list') };
  if (!user) return <Screen title={t('list')} back={back}>{loaded.loading ? <Loading /> : <Fault failure={loaded.failure} retry={loaded.reload} />}</Screen>;
  return <Screen title={<Theirs>{user.username}</Theirs>} back={back}>
    <div class="card"><Facts entries={[
      [t('id'), <Copyable text={user.id} />],
      [t('state'), user.disabled ? <Badge kind="bad">{t('disabled')}</Badge> : <Badge kind="good">{t('enabled')}</Badge>],
      [t('email'), user.email ? <><Theirs>{user.email}</Theirs> <Badge kind={user.email_verified ? 'good' : 'warn'}>{t(user.email_verified ? 'confirmed' : 'unconfirmed')}</Badge></> : <span class="muted">{t('noEmail')}</span>],
      Object.keys(user.user_metadata ?? {}).length > 0 && [t('metadata'), <Code>{JSON.stringify(user.user_metadata)}</Code>],
      [t('created'), <Time at={user.created_at} />],
      [t('updated'), <Time at={user.updated_at} />],
    ]} /></div>
    <Section title={t('profile')}><Profile user={user} show={loaded.set} /></Section>
    <SessionsOf user={user} />
    <Factors user={user} />
    <Identities user={user} />
    <Consents user={user} />
    <Tokens user={user} />
    {may('events:read') && <Events user={user} />}
    {may('users:write') && <Steps user={user} show={loaded.set} />}
  </Screen>;
}

type Part = { user: User; show: (user: User) => void };

function Profile({ user, show }: Part) {
  const form = useForm(`people/${user.id}`, { full_name: user.full_name ?? '', email: user.email ?? '', scopes: user.scopes.filter((scope) => administrative.includes(scope)) });
  return <Form form={form} submit={t('save')} quiet send={async (_values, { full_name: name, email, scopes }) => {
    show(await ask(api.PATCH('/users/{user_id}', { params: { path: { user_id: user.id } }, body: {
      ...name !== undefined && { full_name: name || null }, ...email !== undefined && { email: email || null }, ...scopes && { scopes },
    } })));
    toast(t('saved'));
  }}>
    <fieldset class="plain" disabled={!may('users:write')}>
      <Text {...form.field('full_name')} label={t('name')} maxLength={200} />
      <Text {...form.field('email')} label={t('email')} hint={t('emailHint')} maxLength={254} />
      <Checks {...form.field('scopes')} label={t('scopes')} hint={t('scopesHint')} options={administrative.map((name) => ({ name, disabled: !may(name) }))} />
    </fieldset>
  </Form>;
}

function Steps({ user, show }: Part) {
  const [dialog, open] = useDialog();
  const name = user.username;
  const params = { path: { user_id: user.id } };
  const able = async (disabled: boolean) => {
    show(await ask(api.PATCH('/users/{user_id}', { params, body: { disabled } })));
    toast(t(disabled ? 'nowDisabled' : 'nowEnabled', { name }));
  };
  const email = user.email ?? '';
  const confirm = (step: 'unlock' | 'vouch' | 'mail' | 'invite' | 'disable' | 'enable' | 'delete', run: () => Promise<void>, danger: boolean, typed?: string) => open((close) =>
    <Confirm title={t(`${step}Title`, { name })} action={t(step)} danger={danger} close={close} confirm={run} {...typed !== undefined && { typed }}><p>{t(`${step}Text`, { name, email })}</p></Confirm>);
  return <Section title={t('steps')} hint={t('stepsHint')}>
    <div class="buttons start">
      <button type="button" onClick={() => confirm('unlock', async () => {
        await ask(api.POST('/users/{user_id}/unlock', { params }));
        toast(t('unlocked', { name }));
      }, false)}>{t('unlock')}</button>
      {email && !user.email_verified && <button type="button" onClick={() => confirm('vouch', async () => {
        show(await ask(api.PATCH('/users/{user_id}', { params, body: { email_verified: true } })));
        toast(t('vouched', { email }));
      }, false)}>{t('vouch')}</button>}
      {email && <button type="button" onClick={() => confirm('mail', async () => {
        await ask(api.POST('/users/{user_id}/password-reset', { params }));
        toast(t('mailed', { email }));
      }, false)}>{t('mail')}</button>}
      {email && <button type="button" onClick={() => confirm('invite', async () => {
        await ask(api.POST('/users/{user_id}/invitation', { params }));
        toast(t('invited', { email }));
      }, false)}>{t('invite')}</button>}
      {user.disabled ? <button type="button" onClick={() => confirm('enable', () => able(false), false)}>{t('enable')}</button>
        : <button type="button" class="danger" onClick={() => confirm('disable', () => able(true), true)}>{t('disable')}</button>}
      <button type="button" class="danger" onClick={() => confirm('delete', async () => {
        await ask(api.DELETE('/users/{user_id}', { params }));
        toast(t('deleted', { name }));
        go('people');
      }, true, user.username)}>{t('delete')}</button>
    </div>
    {dialog}
  </Section>;
}
