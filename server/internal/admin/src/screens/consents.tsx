// Scopes and consents: what each scope is for and who has it, and which people have agreed to the clients of third parties.
import { useEffect, useState } from 'preact/hooks';
import { api, useLoad, usePages, type Schemas } from '../api';
import { base, may } from '../auth';
import { texts } from '../i18n';
import { href } from '../router';
import type { ScreenProps } from '../screens';
import { useDialog } from '../ui/dialog';
import { Code, Fault, Loading, Scopes, Screen, Section, Theirs, Time } from '../ui/parts';
import { Table } from '../ui/table';
import { Withdraw } from './person-parts';

const t = texts({
  title: 'Scopes and consents', scopes: 'Scopes', scopesHint: 'The contract of this server declares them. Services behind it have contracts of their own.', scope: 'Scope', meaning: 'Lets its holder', who: 'Who has it', operations: 'Operations',
  default: 'everybody', request: 'everybody, if a login asks for it', granted: 'administrators', given: 'those to whom it is granted', noScopes: 'The scopes cannot be read.',
  consents: 'Consents', consentsHint: 'People are asked before they sign in to an application of a third party. Choose one to see who has agreed.', application: 'Application', may: 'May get', created: 'Created',
  noThird: 'No application belongs to a third party.', of: 'Consents to {client}', person: 'Person', agreed: 'Has agreed to', since: 'Since', last: 'Last agreed', nobody: 'Nobody has agreed to this application.', withdraw: 'Withdraw', settings: 'Settings of the client',
}, {
  title: 'Scopes und Zustimmungen', scopes: 'Scopes', scopesHint: 'Der Vertrag dieses Servers legt sie fest. Dienste hinter ihm haben eigene Verträge.', scope: 'Scope', meaning: 'Erlaubt', who: 'Wer ihn hat', operations: 'Operationen',
  default: 'alle', request: 'alle, wenn eine Anmeldung darum bittet', granted: 'Administratorinnen und Administratoren', given: 'wem er verliehen wurde', noScopes: 'Die Scopes sind nicht lesbar.',
  consents: 'Zustimmungen', consentsHint: 'Bevor sich Personen bei einer Anwendung von Dritten anmelden, werden sie gefragt. Wählen Sie eine aus, um zu sehen, wer zugestimmt hat.', application: 'Anwendung', may: 'Kann bekommen', created: 'Angelegt',
  noThird: 'Keine Anwendung gehört Dritten.', of: 'Zustimmungen zu {client}', person: 'Person', agreed: 'Hat zugestimmt zu', since: 'Seit', last: 'Zuletzt zugestimmt', nobody: 'Niemand hat dieser Anwendung zugestimmt.', withdraw: 'Widerrufen', settings: 'Einstellungen des Clients',
});

interface Flow { scopes: Record<string, string>; 'x-default'?: string[]; 'x-on-request'?: string[]; 'x-administrative'?: string[] }
interface Contract {
  components: { securitySchemes: Record<string, { flows?: Record<string, Flow> }> };
  paths: Record<string, Record<string, { operationId?: string; summary?: string; security?: Record<string, string[]>[] }>>;
}

interface Scope { name: string; meaning: string; who: 'default' | 'request' | 'granted' | 'given'; operations: string[] }

// scopesOf reads the scopes of a contract, with the operations that need each.
function scopesOf(contract: Contract): Scope[] {
  const flow = Object.values(contract.components.securitySchemes).flatMap(({ flows = {} }) => Object.values(flows)).find((each) => each['x-default']);
  const operations = Object.values(contract.paths).flatMap((path) => Object.values(path)).filter(({ operationId }) => operationId);
  return Object.entries(flow?.scopes ?? {}).map(([name, meaning]) => ({
    name, meaning,
    who: flow?.['x-default']?.includes(name) ? 'default' : flow?.['x-on-request']?.includes(name) ? 'request' : flow?.['x-administrative']?.includes(name) ? 'granted' : 'given',
    operations: operations.filter(({ security = [] }) => security.some((way) => Object.values(way).flat().includes(name))).map(({ summary = '' }) => summary),
  }));
}

// useContract reads the contract that the server serves, which is no operation of it.
function useContract() {
  const [now, show] = useState<{ scopes: Scope[]; loading: boolean }>({ scopes: [], loading: true });
  useEffect(() => {
    let current = true;
    fetch(`${base}/openapi.json`, { credentials: 'omit' }).then((answer) => answer.json() as Promise<Contract>).then(scopesOf, () => [])
      .then((scopes) => { if (current) show({ scopes, loading: false }); });
    return () => { current = false; };
  }, []);
  return now;
}

export function ScopesAndConsents() {
  const contract = useContract();
  return <Screen title={t('title')}>
    <Section title={t('scopes')} hint={t('scopesHint')}>
      <Table<Scope> caption={t('scopes')} list={{ items: contract.scopes, loading: contract.loading }} id={({ name }) => name} empty={t('noScopes')} columns={[
        { title: t('scope'), kind: 'main', cell: ({ name }) => <Code>{name}</Code> },
        { title: t('meaning'), cell: ({ meaning }) => <Theirs>{meaning}</Theirs> },
        { title: t('who'), cell: ({ who }) => t(who) },
        { title: t('operations'), cell: ({ operations }) => operations.length > 0 && <details><summary>{operations.length}</summary><ul>{operations.map((summary) => <li key={summary}>{summary}</li>)}</ul></details> },
      ]} />
    </Section>
    <Section title={t('consents')} hint={t('consentsHint')}><ThirdParties /></Section>
  </Screen>;
}

// ThirdParties lists the clients that people are asked about.
function ThirdParties() {
  const clients = usePages<Schemas['OAuthClient']>((cursor) => api.GET('/clients', { params: { query: { limit: 100, ...cursor && { cursor } } } }), []);
  const third = clients.items.filter(({ third_party: yes }) => yes);
  return <Table caption={t('consents')} list={{ ...clients, items: third }} id={({ client_id: id }) => id} empty={t('noThird')} columns={[
    { title: t('application'), kind: 'main', cell: ({ client_id: id, name, logo_uri: logo }) => <a class="with-logo" href={href('consents', id)}>{logo && <img src={logo} alt="" />}<Theirs>{name}</Theirs></a> },
    { title: t('may'), cell: ({ scopes }) => <Scopes names={scopes} /> },
    { title: t('created'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
  ]} />;
}

export function ClientConsents({ id }: ScreenProps) {
  const client = useLoad(() => api.GET('/clients/{client_id}', { params: { path: { client_id: id } } }), [id]);
  const consents = usePages<Schemas['ClientConsent']>((cursor) => api.GET('/clients/{client_id}/consents', {
    params: { path: { client_id: id }, query: { limit: 50, ...cursor && { cursor } } },
  }), [id]);
  const [dialog, open] = useDialog();
  const back = { href: href('consents'), text: t('title') };
  if (!client.data) return <Screen title={t('title')} back={back}>{client.loading ? <Loading /> : <Fault failure={client.failure} retry={client.reload} />}</Screen>;
  const { name } = client.data;
  return <Screen title={t('of', { client: name })} back={back} actions={<a class="button" href={href('clients', id)}>{t('settings')}</a>}>
    <Table caption={t('consents')} list={consents} id={({ user_id: user }) => user} empty={t('nobody')} columns={[
      { title: t('person'), kind: 'main', cell: ({ user_id: user, username }) => may('users:read') ? <a href={href('people', user)}><Theirs>{username ?? user}</Theirs></a> : <Code>{user}</Code> },
      { title: t('agreed'), cell: ({ scopes }) => <Scopes names={scopes} /> },
      { title: t('since'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
      { title: t('last'), kind: 'short', cell: ({ updated_at: at }) => <Time at={at} /> },
      { title: t('withdraw'), kind: 'actions', cell: ({ user_id: user, username }) => may('users:write') && <button type="button" class="small" onClick={() => open((close) =>
        <Withdraw user={user} name={username ?? user} client={id} clientName={name} close={close} done={consents.reload} />)}>{t('withdraw')}</button> },
    ]} />
    {dialog}
  </Screen>;
}
