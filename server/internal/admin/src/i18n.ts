// Languages. Each screen declares its texts beside itself, in English and German:
//
//   const t = texts({ title: 'People', found: '{n} found' }, { title: 'Personen', found: '{n} gefunden' });
//   t('found', { n: 3 })
//
// The compiler refuses a language that misses a text. A value of the server that is newer than the page, such as a kind, is shown as it
// is. A change of the language renders the page again.

export type Language = 'en' | 'de';

const key = 'sesame.language';

const chosen = localStorage.getItem(key);
let current: Language = chosen === 'en' || chosen === 'de' ? chosen
  : navigator.languages.map((tag) => tag.slice(0, 2)).find((tag): tag is Language => tag === 'en' || tag === 'de') ?? 'en';
document.documentElement.lang = current;

export const language = () => current;

let changed = () => {};

export function onLanguage(listener: () => void) { changed = listener; }

export function setLanguage(next: Language) {
  current = next;
  localStorage.setItem(key, next);
  document.documentElement.lang = next;
  changed();
}

// visible writes characters that are not seen, such as direction marks, as escapes, as the command line does: a name cannot reorder or
// hide what stands around it. Emoji and some scripts need the two joiners.
export const visible = (text: string) => text.replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu, (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);

// isolated keeps a text of a script that is written from right to left apart from the sentence around it.
const isolated = (text: string) => /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(text) ? `\u2068${text}\u2069` : text;

export type Values = Record<string, string | number>;

export function texts<K extends string>(en: Record<K, string>, de: Record<NoInfer<K>, string>) {
  return (name: K, values: Values = {}) =>
    ((current === 'de' ? de : en)[name] ?? visible(name)).replace(/\{(\w+)\}/g, (_, word: string) => isolated(visible(String(values[word] ?? ''))));
}

// formatTime shows a moment in the person's own time zone.
export function formatTime(time: string) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? visible(time) : new Intl.DateTimeFormat(current, { dateStyle: 'medium', timeStyle: 'short' }).format(date);
}

export const formatNumber = (n: number) => new Intl.NumberFormat(current).format(n);
