// The screens. To add one, write a component in screens/ and add a line here: README.md.
import type { ComponentType } from 'preact';
import { Client } from './screens/client';
import { Clients, NewClient } from './screens/clients';
import { ClientConsents, ScopesAndConsents } from './screens/consents';
import { Events } from './screens/events';
import { Mails } from './screens/mails';
import { Invite, NewPerson } from './screens/newperson';
import { People } from './screens/people';
import { Person } from './screens/person';
import { NewProvider, Providers, ProviderScreen } from './screens/providers';
import { Server } from './screens/server';
import { Sessions } from './screens/sessions';
import { WebhookScreen } from './screens/webhook';
import { NewWebhook, Webhooks } from './screens/webhooks';
import { texts } from './i18n';

export interface ScreenProps { id: string; query: URLSearchParams }

export interface Entry {
  path: string;                         // 'people', or 'people/:id' with a part that the component gets as id
  scopes: string[];                     // all that it needs; without them it is neither in the menu nor shown
  component: ComponentType<ScreenProps>;
  menu?: () => string;                  // its name in the menu; none for a screen that others lead to
}

const t = texts({
  people: 'People', sessions: 'Sessions', clients: 'Clients', providers: 'Providers', consents: 'Scopes and consents', events: 'Events', webhooks: 'Webhooks', server: 'Keys and settings', mails: 'Mails',
}, {
  people: 'Personen', sessions: 'Sitzungen', clients: 'Clients', providers: 'Anbieter', consents: 'Scopes und Zustimmungen', events: 'Ereignisse', webhooks: 'Webhooks',
  server: 'Schlüssel und Einstellungen', mails: 'Mails',
});

// The first path that fits is shown. The first screen of the menu that the person may see is the start.
export const screens: Entry[] = [
  { path: 'people', scopes: ['users:read'], component: People, menu: () => t('people') },
  { path: 'people/new', scopes: ['users:write'], component: NewPerson },
  { path: 'people/invite', scopes: ['users:write'], component: Invite },
  { path: 'people/:id', scopes: ['users:read'], component: Person },
  { path: 'sessions', scopes: ['users:read'], component: Sessions, menu: () => t('sessions') },
  { path: 'clients', scopes: ['clients:read'], component: Clients, menu: () => t('clients') },
  { path: 'clients/new', scopes: ['clients:write'], component: NewClient },
  { path: 'clients/:id', scopes: ['clients:read'], component: Client },
  { path: 'providers', scopes: ['clients:read'], component: Providers, menu: () => t('providers') },
  { path: 'providers/new', scopes: ['clients:write'], component: NewProvider },
  { path: 'providers/:id', scopes: ['clients:read'], component: ProviderScreen },
  { path: 'consents', scopes: ['clients:read'], component: ScopesAndConsents, menu: () => t('consents') },
  { path: 'consents/:id', scopes: ['clients:read'], component: ClientConsents },
  { path: 'events', scopes: ['events:read'], component: Events, menu: () => t('events') },
  { path: 'webhooks', scopes: ['settings:read'], component: Webhooks, menu: () => t('webhooks') },
  { path: 'webhooks/new', scopes: ['settings:write', 'events:read'], component: NewWebhook },
  { path: 'webhooks/:id', scopes: ['settings:read'], component: WebhookScreen },
  { path: 'server', scopes: ['settings:read'], component: Server, menu: () => t('server') },
  { path: 'mails', scopes: ['settings:read'], component: Mails, menu: () => t('mails') },
];

// find returns the screen of a path, and the part of it that is an id. An id of dots would lead requests to another operation.
export function find(path: string[]): { entry: Entry; id: string } | null {
  for (const entry of screens) {
    const parts = entry.path.split('/');
    if (parts.length === path.length && parts.every((part, i) => part === path[i] || part === ':id' && !/^\.{0,2}$/.test(path[i] ?? ''))) {
      return { entry, id: path[parts.indexOf(':id')] ?? '' };
    }
  }
  return null;
}
