// The place is in the fragment of the address, #/clients/ID?q=…: it survives a reload, and no server, log or Referer header sees it.
import { Store } from './store';

export interface Place { path: string[]; query: URLSearchParams }

function read(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part: string) {
  try {
    return decodeURIComponent(part);
  } catch { // an address that somebody has typed
    return part;
  }
}

export const place = new Store(read());

addEventListener('hashchange', () => place.set(read()));

// href is the address of a screen: href('clients', id).
export const href = (...path: string[]) => `#/${path.map(encodeURIComponent).join('/')}`;

export function go(...path: string[]) { location.hash = href(...path); }

// replace goes to another screen without an entry in the history.
export function replace(...path: string[]) {
  history.replaceState(null, '', href(...path));
  place.set(read());
}

// setQuery changes filters, without a new entry in the history. Empty values are removed.
export function setQuery(values: Record<string, string>) {
  const query = new URLSearchParams(place.value.query);
  for (const [name, value] of Object.entries(values)) {
    if (value) query.set(name, value); else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(null, '', href(...place.value.path) + (text && `?${text}`));
  place.set(read());
}
