// Languages. Each screen declares its texts beside itself, in English and German:
//
//   const t = texts({ title: 'People', found: '{n} found' }, { title: 'Personen', found: '{n} gefunden' });
//   t('found', { n: 3 })
//
// The compiler refuses a language that misses a text. A change of the language renders the page again.

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

export type Values = Record<string, string | number>;

export function texts<K extends string>(en: Record<K, string>, de: Record<NoInfer<K>, string>) {
  return (name: K, values: Values = {}) =>
    (current === 'de' ? de : en)[name].replace(/\{(\w+)\}/g, (_, word: string) => String(values[word] ?? ''));
}

// formatTime shows a moment in the person's own time zone.
export function formatTime(time: string) {
  return new Intl.DateTimeFormat(current, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(time));
}

export const formatNumber = (n: number) => new Intl.NumberFormat(current).format(n);
