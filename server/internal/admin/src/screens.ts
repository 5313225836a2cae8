// The screens. To add one, write a component in screens/ and add a line here: README.md.
import type { ComponentType } from 'preact';
import { Client } from './screens/client';
import { Clients, NewClient } from './screens/clients';
import { Invite, NewPerson } from './screens/newperson';
import { People } from './screens/people';
import { NewProvider, Providers, ProviderScreen } from './screens/providers';
import { texts } from './i18n';

export interface ScreenProps { id: string; query: URLSearchParams }

export interface Entry {
  path: string;                         // 'people', or 'people/:id' with a part that the component gets as id
  scopes: string[];                     // all that it needs; without them it is neither in the menu nor shown
  component: ComponentType<ScreenProps>;
  menu?: () => string;                  // its name in the menu; none for a screen that others lead to
}

const t = texts({ people: 'People', clients: 'Clients', providers: 'Providers' }, { people: 'Personen', clients: 'Clients', providers: 'Anbieter' });

// The first path that fits is shown. The first screen of the menu that the person may see is the start.
export const screens: Entry[] = [
  { path: 'people', scopes: ['users:read'], component: People, menu: () => t('people') },
  { path: 'people/new', scopes: ['users:write'], component: NewPerson },
  { path: 'people/invite', scopes: ['users:write'], component: Invite },
  { path: 'clients', scopes: ['clients:read'], component: Clients, menu: () => t('clients') },
  { path: 'clients/new', scopes: ['clients:write'], component: NewClient },
  { path: 'clients/:id', scopes: ['clients:read'], component: Client },
  { path: 'providers', scopes: ['clients:read'], component: Providers, menu: () => t('providers') },
  { path: 'providers/new', scopes: ['clients:write'], component: NewProvider },
  { path: 'providers/:id', scopes: ['clients:read'], component: ProviderScreen },
];

// find returns the screen of a path, and the part of it that is an id.
export function find(path: string[]): { entry: Entry; id: string } | null {
  for (const entry of screens) {
    const parts = entry.path.split('/');
    if (parts.length === path.length && parts.every((part, i) => part === ':id' || part === path[i])) {
      return { entry, id: path[parts.indexOf(':id')] ?? '' };
    }
  }
  return null;
}
