// Why the server refuses a request, in German: it answers in English. What is not here is shown as the server says it.
import { language } from './i18n';

const problems: Record<string, string> = {
  validation_failed: 'Die Eingaben sind nicht gültig.',
  not_found: 'Das gibt es nicht, oder nicht mehr.',
  too_many_requests: 'Das waren zu viele Versuche.',
  internal_error: 'Der Server hat einen Fehler. Sein Protokoll nennt die Ursache.',
  unavailable: 'Der Server kann das gerade nicht tun. Versuchen Sie es gleich erneut.',
  username_taken: 'Dieser Benutzername ist vergeben.',
  client_name_taken: 'Ein anderer Client hat diesen Namen.',
  provider_taken: 'Ein anderer Anbieter hat diesen Namen oder diesen Aussteller.',
  email_taken: 'Ein anderes Konto hat diese Adresse bestätigt.',
  last_administrator: 'Danach gäbe es niemanden mehr, der alles verwalten darf. Geben Sie zuerst einem anderen Konto diese Scopes.',
  has_password: 'Das Konto hat ein Passwort und braucht keine Einladung. Senden Sie einen Link für ein neues Passwort.',
  no_address: 'Das Konto hat keine E-Mail-Adresse, oder ein anderes Konto hat sie bestätigt.',
  nothing_to_confirm: 'Das Konto hat keine E-Mail-Adresse, oder sie ist schon bestätigt.',
  no_second_factor: 'Das Konto hat keinen zweiten Faktor.',
  no_confirmed_email: 'Eine Testmail geht an Ihre eigene bestätigte Adresse, und Sie haben keine.',
  insufficient_scope: 'Ihnen fehlt ein Scope, den dieser Schritt verlangt, oder den das Konto oder der Client hat.',
};

const faults: [RegExp, string][] = [
  [/^is taken$/, 'ist vergeben'],
  [/^is required$/, 'fehlt'],
  [/^is not valid$/, 'ist nicht gültig'],
  [/^is verified by another account$/, 'ist von einem anderen Konto bestätigt'],
  [/^is one of the most common passwords, which are guessed first$/, 'ist eines der häufigsten Passwörter, die als erste geraten werden'],
  [/^must be an e-mail address$/, 'muss eine E-Mail-Adresse sein'],
  [/^must have at least (\d+) characters$/, 'braucht mindestens $1 Zeichen'],
  [/^must have at most (\d+) characters$/, 'darf höchstens $1 Zeichen haben'],
  [/^must have 1 to (\d+) printable characters, and no space at its ends$/, 'braucht 1 bis $1 sichtbare Zeichen, ohne Leerzeichen am Anfang und Ende'],
  [/^must have at most (\d+) items$/, 'darf höchstens $1 Einträge haben'],
  [/^must be at least (\d+)$/, 'muss mindestens $1 sein'],
  [/^must be at most (\d+)$/, 'darf höchstens $1 sein'],
  [/^must be 0, or from (\d+) to (\d+) seconds$/, 'muss 0 sein, oder $1 bis $2 Sekunden'],
  [/^must begin with https:\/\/; http:\/\/ is for (.*) and (.*) alone$/, 'muss mit https:// beginnen; http:// ist nur für $1 und $2'],
  [/^must begin with https:\/\/$/, 'muss mit https:// beginnen'],
  [/^must not have a fragment$/, 'darf keinen Teil nach # haben'],
  [/^names a scope that your token does not have$/, 'nennt einen Scope, den Sie nicht haben'],
];

// problemInWords is a problem of the server in the language of the page.
export const problemInWords = (code: string, detail: string) => language() === 'de' && problems[code] || detail;

// faultInWords is a fault of one field in the language of the page.
export function faultInWords(detail: string) {
  const known = language() === 'de' ? faults.find(([pattern]) => pattern.test(detail)) : undefined;
  return known ? detail.replace(...known) : detail;
}
