// A new account: with a password, or by an invitation.
import { api, ask } from '../api';
import { administrative, may } from '../auth';
import { texts } from '../i18n';
import { go, href } from '../router';
import { Check, Checks, Form, Password, Text, useForm } from '../ui/form';
import { Screen, toast } from '../ui/parts';

const t = texts({
  people: 'People', new: 'New person', invite: 'Invite somebody', username: 'Username', name: 'Name', email: 'E-mail address', optional: 'Optional.',
  emailHint: 'Optional. A mail asks its owner to confirm it.', vouch: 'The address is theirs', vouchHint: 'You vouch for it: it is confirmed at once, and other accounts lose their claims to it.',
  password: 'Password', passwordHint: 'Tell it to the person, who can change it. To let them choose it themselves, invite them.',
  scopes: 'Scopes', scopesHint: 'What the account may administer. You can give away only what you have.', disabled: 'Disabled', disabledHint: 'Nobody can sign in to the account until you enable it.',
  create: 'Create', made: '{name} has an account now.',
  mail: 'A link is mailed there. It works for seven days, and confirms the address when it is used.', made2: 'The invitation is on its way to {address}.',
  usernameHint: 'Optional. Without it the server makes one of the address.', send: 'Send the invitation',
}, {
  people: 'Personen', new: 'Neue Person', invite: 'Jemanden einladen', username: 'Benutzername', name: 'Name', email: 'E-Mail-Adresse', optional: 'Optional.',
  emailHint: 'Optional. Eine Mail bittet um die Bestätigung.', vouch: 'Die Adresse gehört der Person', vouchHint: 'Sie bürgen dafür: Sie ist sofort bestätigt, und andere Konten verlieren ihren Anspruch darauf.',
  password: 'Passwort', passwordHint: 'Teilen Sie es der Person mit; sie kann es ändern. Mit einer Einladung wählt sie es selbst.',
  scopes: 'Scopes', scopesHint: 'Was das Konto verwalten darf. Sie können nur weitergeben, was Sie haben.', disabled: 'Gesperrt', disabledHint: 'Niemand kann sich anmelden, bis Sie das Konto freigeben.',
  create: 'Anlegen', made: '{name} hat jetzt ein Konto.',
  mail: 'Dorthin geht ein Link. Er gilt sieben Tage und bestätigt die Adresse, sobald er benutzt wird.', made2: 'Die Einladung ist unterwegs an {address}.',
  usernameHint: 'Optional. Ohne ihn bildet der Server einen aus der Adresse.', send: 'Einladung senden',
});

const back = () => ({ href: href('people'), text: t('people') });

// grantable are the scopes that can be given away, those that the person has.
const grantable = () => administrative.map((name) => ({ name, disabled: !may(name) }));

export function NewPerson() {
  const form = useForm('people/new', { username: '', full_name: '', email: '', email_verified: false, password: '', scopes: [] as string[], disabled: false }, ['password']);
  return <Screen title={t('new')} back={back()}>
    <div class="card"><Form form={form} submit={t('create')} send={async ({ username, full_name: name, email, email_verified: vouch, password, scopes, disabled }) => {
      const user = await ask(api.POST('/users', { body: {
        username, password, scopes, disabled, ...name && { full_name: name }, ...email && { email, email_verified: vouch },
      } }));
      toast(t('made', { name: user.username }));
      go('people', user.id);
    }}>
      <Text {...form.field('username')} label={t('username')} required maxLength={64} />
      <Text {...form.field('full_name')} label={t('name')} hint={t('optional')} maxLength={200} />
      <Text {...form.field('email')} label={t('email')} hint={t('emailHint')} maxLength={254} />
      {form.values.email && <Check {...form.field('email_verified')} label={t('vouch')} hint={t('vouchHint')} />}
      <Password {...form.field('password')} label={t('password')} hint={t('passwordHint')} required />
      <Checks {...form.field('scopes')} label={t('scopes')} hint={t('scopesHint')} options={grantable()} />
      <Check {...form.field('disabled')} label={t('disabled')} hint={t('disabledHint')} />
    </Form></div>
  </Screen>;
}

export function Invite() {
  const form = useForm('people/invite', { email: '', username: '', full_name: '', scopes: [] as string[] });
  return <Screen title={t('invite')} back={back()}>
    <div class="card"><Form form={form} submit={t('send')} send={async ({ email, username, full_name: name, scopes }) => {
      const user = await ask(api.POST('/invitations', { body: { email, scopes, ...username && { username }, ...name && { full_name: name } } }));
      toast(t('made2', { address: email }));
      go('people', user.id);
    }}>
      <Text {...form.field('email')} label={t('email')} hint={t('mail')} required maxLength={254} />
      <Text {...form.field('full_name')} label={t('name')} hint={t('optional')} maxLength={200} />
      <Text {...form.field('username')} label={t('username')} hint={t('usernameHint')} maxLength={64} />
      <Checks {...form.field('scopes')} label={t('scopes')} hint={t('scopesHint')} options={grantable()} />
    </Form></div>
  </Screen>;
}
