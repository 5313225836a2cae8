// Webhooks: a list, and a form for a new one.
import { api, ask, Failure, usePages, type Schemas } from '../api';
import { may } from '../auth';
import { formatNumber, texts } from '../i18n';
import { go, href } from '../router';
import { showSecret } from '../ui/dialog';
import { Checks, Form, Select, Text, useForm, type Bound, type FormState } from '../ui/form';
import { Badge, Screen, Theirs, Time, toast } from '../ui/parts';
import { Table } from '../ui/table';
import { inWords, kinds, type Kind } from './kinds';

const t = texts({
  title: 'Webhooks', new: 'New webhook', none: 'There is no webhook yet. A webhook sends each event of the chosen kinds to a URL.', url: 'URL', urlHint: 'https, and no private address unless the operator allows it.',
  description: 'What it is for', events: 'Events', every: 'Every kind', some: 'The chosen kinds', count: '{n} kinds', choose: 'Kinds', unchosen: 'Choose at least one kind.', state: 'State',
  works: 'Enabled', disabled: 'Disabled', failing: 'Failing', full: 'Queue is full', created: 'Created',
  create: 'Create', made: 'The webhook is created.', secret: 'The secret of the webhook', verify: 'The receiver verifies the signatures with it, by a library of Standard Webhooks.',
}, {
  title: 'Webhooks', new: 'Neuer Webhook', none: 'Kein Dienst erfährt von Ereignissen. Ein Webhook schickt jedes Ereignis der gewählten Arten an eine URL.', url: 'URL', urlHint: 'https, und keine private Adresse, wenn der Betreiber sie nicht erlaubt.',
  description: 'Wozu er dient', events: 'Ereignisse', every: 'Jede Art', some: 'Die gewählten Arten', count: '{n} Arten', choose: 'Arten', unchosen: 'Wählen Sie mindestens eine Art.', state: 'Status',
  works: 'Aktiv', disabled: 'Abgeschaltet', failing: 'Schlägt fehl', full: 'Warteschlange voll', created: 'Angelegt',
  create: 'Anlegen', made: 'Der Webhook ist angelegt.', secret: 'Das Secret des Webhooks', verify: 'Der Empfänger prüft damit die Signaturen, mit einer Bibliothek von Standard Webhooks.',
});

type Webhook = Schemas['Webhook'];

// mayChange says whether the person may create and change webhooks: these send events away.
export const mayChange = () => may('settings:write') && may('events:read');

export const State = ({ hook }: { hook: Webhook }) => hook.disabled ? <Badge kind="bad">{t('disabled')}</Badge>
  : hook.full_since ? <Badge kind="bad">{t('full')}</Badge> : hook.failing_since ? <Badge kind="warn">{t('failing')}</Badge> : <Badge kind="good">{t('works')}</Badge>;

export function Webhooks() {
  const hooks = usePages((cursor) => api.GET('/webhooks', { params: { query: { limit: 50, ...cursor && { cursor } } } }), []);
  return <Screen title={t('title')} actions={mayChange() && <a class="button primary" href={href('webhooks', 'new')}>{t('new')}</a>}>
    <Table<Webhook> caption={t('title')} list={hooks} id={({ id }) => id} empty={t('none')} columns={[
      { title: t('url'), kind: 'main', cell: ({ id, url }) => <a href={href('webhooks', id)}><Theirs>{url}</Theirs></a> },
      { title: t('description'), cell: ({ description }) => <Theirs>{description}</Theirs> },
      { title: t('events'), kind: 'short', cell: ({ kinds: chosen }) => chosen.length === 0 ? t('every') : t('count', { n: formatNumber(chosen.length) }) },
      { title: t('state'), kind: 'short', cell: (hook) => <State hook={hook} /> },
      { title: t('created'), kind: 'short', cell: ({ created_at: at }) => <Time at={at} /> },
    ]} />
  </Screen>;
}

// Values are what a form of a webhook has; Sent is what the operations take.
export interface Values extends Record<string, unknown> { url: string; description: string; which: string; kinds: Kind[] }

export const valuesOf = (hook?: Webhook): Values => ({ url: hook?.url ?? '', description: hook?.description ?? '', which: hook?.kinds.length ? 'some' : 'every', kinds: hook?.kinds ?? [] });

// sent makes of a form what the operations take, for which no kinds are every kind: somebody who chooses none must not get all of them.
export function sent({ which, kinds: chosen, url, description }: Values) {
  if (which === 'some' && chosen.length === 0) throw new Failure(422, t('unchosen'), '', '', [{ pointer: '/kinds', detail: t('unchosen') }]);
  return { url, description, kinds: which === 'some' ? chosen : [] };
}

export const WebhookFields = ({ form }: { form: FormState<Values> }) => <>
  <Text {...form.field('url')} label={t('url')} hint={t('urlHint')} required maxLength={2000} />
  <Text {...form.field('description')} label={t('description')} maxLength={200} />
  <Select {...form.field('which')} label={t('events')} options={[['every', t('every')], ['some', t('some')]]} />
  {form.values.which === 'some' && <Checks {...form.field('kinds') as Bound<string[]>} label={t('choose')} options={[...new Set([...kinds, ...form.values.kinds])].map((name) => ({ name, text: inWords(name) }))} />}
</>;

export function NewWebhook() {
  const form = useForm('webhooks/new', valuesOf());
  return <Screen title={t('new')} back={{ href: href('webhooks'), text: t('title') }}>
    <div class="card"><Form form={form} submit={t('create')} send={async (values) => {
      const hook = await ask(api.POST('/webhooks', { body: sent(values) }));
      toast(t('made'));
      showSecret({ title: t('secret'), text: hook.secret, more: <p>{t('verify')}</p>, done: () => go('webhooks', hook.id) });
    }}><WebhookFields form={form} /></Form></div>
  </Screen>;
}
