// The kinds of events in words. A kind that is missing here is shown by its name in the contract.
import type { Schemas } from '../api';
import { language } from '../i18n';

export type Kind = Schemas['EventKind'];

const words: Partial<Record<Kind, [en: string, de: string]>> = {
  login: ['Signed in', 'Angemeldet'],
  login_failed: ['Wrong password at the sign-in', 'Falsches Passwort bei der Anmeldung'],
  login_throttled: ['Sign-in refused after too many wrong passwords', 'Anmeldung nach zu vielen falschen Passwörtern abgelehnt'],
  password_accepted: ['Correct password given, without a sign-in', 'Richtiges Passwort eingegeben, ohne Anmeldung'],
  logout: ['Signed out', 'Abgemeldet'],
  logout_everywhere: ['Signed out everywhere', 'Überall abgemeldet'],
  refresh_reused: ['Session ended, because its token was used twice', 'Sitzung beendet, weil ihr Token zweimal benutzt wurde'],
  code_reused: ['Session ended, because its code was used twice', 'Sitzung beendet, weil ihr Code zweimal benutzt wurde'],
  consent_granted: ['Application allowed', 'Anwendung erlaubt'],
  consent_withdrawn: ['Application removed', 'Anwendung entfernt'],
  wrong_password: ['Wrong password given in a session', 'Falsches Passwort in einer Sitzung eingegeben'],
  password_changed: ['Password changed', 'Passwort geändert'],
  account_created: ['Account created', 'Konto angelegt'],
  account_deleted: ['Account deleted', 'Konto gelöscht'],
  account_disabled: ['Account disabled', 'Konto gesperrt'],
  account_enabled: ['Account enabled', 'Konto entsperrt'],
  account_unlocked: ['Waiting period after wrong passwords ended', 'Wartezeit nach falschen Passwörtern beendet'],
  scopes_changed: ['Rights changed', 'Rechte geändert'],
  profile_changed: ['Name or address changed by somebody else', 'Name oder Adresse von jemand anderem geändert'],
  email_confirmed: ['Address confirmed', 'Adresse bestätigt'],
  email_changed: ['Address changed', 'Adresse geändert'],
  email_lost: ['Address removed, because it was not confirmed', 'Adresse entfernt, weil sie nicht bestätigt wurde'],
  password_reset: ['Password reset with a mailed link', 'Passwort mit einem zugesandten Link zurückgesetzt'],
  identity_linked: ['Linked to another service', 'Mit einem anderen Dienst verknüpft'],
  identity_unlinked: ['Link to another service removed', 'Verknüpfung mit einem anderen Dienst entfernt'],
  wrong_code: ['Wrong code of the second factor, after the correct password', 'Falscher Code des zweiten Faktors, nach dem richtigen Passwort'],
  factor_added: ['Second factor added', 'Zweiter Faktor hinzugefügt'],
  factor_removed: ['Second factor removed', 'Zweiter Faktor entfernt'],
  recovery_code_used: ['Signed in with a recovery code', 'Mit einem Wiederherstellungscode angemeldet'],
  recovery_codes_replaced: ['New recovery codes', 'Neue Wiederherstellungscodes'],
  factors_reset_requested: ['Reset of the second factors begun', 'Zurücksetzung der zweiten Faktoren begonnen'],
  factors_reset_cancelled: ['Reset of the second factors cancelled by a sign-in', 'Zurücksetzung der zweiten Faktoren durch eine Anmeldung abgebrochen'],
  factors_reset: ['Second factors removed by a reset', 'Zweite Faktoren durch eine Zurücksetzung entfernt'],
  passkey_copied: ['Passkey refused, because a copy of it was used before', 'Passkey abgelehnt, weil zuvor eine Kopie davon benutzt wurde'],
  client_created: ['Client created', 'Client angelegt'],
  client_changed: ['Client changed', 'Client geändert'],
  client_deleted: ['Client deleted', 'Client gelöscht'],
  provider_created: ['Provider created', 'Anbieter angelegt'],
  provider_changed: ['Provider changed', 'Anbieter geändert'],
  provider_deleted: ['Provider deleted', 'Anbieter gelöscht'],
  mail_deleted: ['Mail deleted before it was sent', 'Mail vor dem Versand gelöscht'],
  key_published: ['New signing key published', 'Neuer Signaturschlüssel veröffentlicht'],
  key_rotated: ['New signing key signs', 'Neuer Signaturschlüssel signiert'],
};

export const kinds = Object.keys(words) as Kind[];

export const inWords = (kind: Kind) => words[kind]?.[language() === 'en' ? 0 : 1] ?? kind;
