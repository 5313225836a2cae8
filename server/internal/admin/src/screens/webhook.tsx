// One webhook: its settings, its secret, its deliveries, its end.
import { useState } from 'preact/hooks';
import { api, ask, useAction, useLoad, usePages, type Schemas } from '../api';
import { may } from '../auth';
import { formatNumber, texts } from '../i18n';
import { go, href } from '../router';
import type { ScreenProps } from '../screens';
import { Confirm, showSecret, useDialog } from '../ui/dialog';
import { Form, useForm } from '../ui/form';
import { Badge, Facts, Fault, Loading, Screen, Section, Theirs, Time, toast } from '../ui/parts';
import { Choice, Filters, Table } from '../ui/table';
import { inWords } from './kinds';
import { mayChange, sent, State, valuesOf, WebhookFields } from './webhooks';

const t = texts({
  list: 'Webhooks', state: 'State', failing: 'Fails since', full: 'Queue full since', old: 'Old secret valid until', created: 'Created', enable: 'Enable', disable: 'Disable', enabled: 'The webhook is enabled.', switchedOff: 'The webhook is disabled.',
  settings: 'Settings', save: 'Save', saved: 'The changes are saved.',
  secret: 'Secret', secretHint: 'The receiver verifies the signatures with it.', replace: 'Replace the secret', sure: 'Replace the secret?', effect: 'For as long as you choose here, each delivery has a signature by the old secret, too.',
  keep: 'Keep the old secret valid for', now: 'not at all', hour: '1 hour', day: '1 day', week: '7 days', fresh: 'The new secret of the webhook',
  deliveries: 'Deliveries', deliveriesHint: 'Those that wait, and those of the last 7 days.', test: 'Send a test event', tested: 'The test event is on its way.', reload: 'Reload',
  all: 'All', pending: 'waits', delivered: 'delivered', failed: 'failed', event: 'Event', attempts: 'Attempts', answer: 'Answer', last: 'Last attempt', next: 'Next attempt', again: 'Send again', resent: 'The event is sent again.', none: 'No delivery.', ms: '{n} ms',
  end: 'Delete', endHint: 'Its deliveries and their log are deleted, too.', delete: 'Delete the webhook', deleteTitle: 'Delete the webhook?', deleteText: 'Events are no longer sent to {url}. What waits is lost. This cannot be undone.', deleted: 'The webhook is deleted.',
}, {
  list: 'Webhooks', state: 'Status', failing: 'Schlägt fehl seit', full: 'Warteschlange voll seit', old: 'Altes Secret gilt bis', created: 'Angelegt', enable: 'Einschalten', disable: 'Abschalten', enabled: 'Der Webhook ist eingeschaltet.', switchedOff: 'Der Webhook ist abgeschaltet.',
  settings: 'Einstellungen', save: 'Speichern', saved: 'Die Änderungen sind gespeichert.',
  secret: 'Secret', secretHint: 'Der Empfänger prüft damit die Signaturen.', replace: 'Secret ersetzen', sure: 'Das Secret ersetzen?', effect: 'Solange Sie hier wählen, hat jede Zustellung auch eine Signatur mit dem alten Secret.',
  keep: 'Das alte Secret gilt noch', now: 'gar nicht', hour: '1 Stunde', day: '1 Tag', week: '7 Tage', fresh: 'Das neue Secret des Webhooks',
  deliveries: 'Zustellungen', deliveriesHint: 'Die wartenden und die der letzten 7 Tage.', test: 'Testereignis senden', tested: 'Das Testereignis ist unterwegs.', reload: 'Neu laden',
  all: 'Alle', pending: 'wartet', delivered: 'zugestellt', failed: 'fehlgeschlagen', event: 'Ereignis', attempts: 'Versuche', answer: 'Antwort', last: 'Letzter Versuch', next: 'Nächster Versuch', again: 'Erneut senden', resent: 'Das Ereignis wird erneut gesendet.', none: 'Keine Zustellung.', ms: '{n} ms',
  end: 'Löschen', endHint: 'Seine Zustellungen und ihr Protokoll werden mit gelöscht.', delete: 'Webhook löschen', deleteTitle: 'Den Webhook löschen?', deleteText: 'Ereignisse gehen nicht mehr an {url}. Was wartet, ist verloren. Das lässt sich nicht rückgängig machen.', deleted: 'Der Webhook ist gelöscht.',
});

type Webhook = Schemas['Webhook'];
type Delivery = Schemas['Delivery'];
type Part = { hook: Webhook; show: (hook: Webhook) => void };

const path = (hook: Webhook) => ({ params: { path: { webhook_id: hook.id } } });

export function WebhookScreen({ id }: ScreenProps) {
  const loaded = useLoad(() => api.GET('/webhooks/{webhook_id}', { params: { path: { webhook_id: id } } }), [id]);
  const hook = loaded.data;
  const back = { href: href('webhooks'), text: t('list') };
  if (!hook) return <Screen title={t('list')} back={back}>{loaded.loading ? <Loading /> : <Fault failure={loaded.failure} retry={loaded.reload} />}</Screen>;
  const part = { hook, show: loaded.set };
  return <Screen title={<Theirs>{hook.description || hook.url}</Theirs>} back={back} actions={mayChange() && <Switch {...part} />}>
    <div class="card"><Facts entries={[
      [t('state'), <State hook={hook} />],
      hook.failing_since && [t('failing'), <Time at={hook.failing_since} />],
      hook.full_since && [t('full'), <Time at={hook.full_since} />],
      hook.old_secret_until && [t('old'), <Time at={hook.old_secret_until} />],
      [t('created'), <Time at={hook.created_at} />],
    ]} /></div>
    <Deliveries hook={hook} />
    <Section title={t('settings')}><Settings {...part} /></Section>
    {may('settings:write') && <><SecretPart {...part} /><End hook={hook} /></>}
  </Screen>;
}

function Switch({ hook, show }: Part) {
  const action = useAction();
  return <><Fault failure={action.failure} /><button type="button" aria-disabled={action.busy} onClick={() => { void action.run(async () => {
    show(await ask(api.PATCH('/webhooks/{webhook_id}', { ...path(hook), body: { disabled: !hook.disabled } })));
    toast(t(hook.disabled ? 'enabled' : 'switchedOff'));
  }); }}>{t(hook.disabled ? 'enable' : 'disable')}</button></>;
}

function Settings({ hook, show }: Part) {
  const form = useForm(`webhooks/${hook.id}`, valuesOf(hook));
  return <Form form={form} submit={t('save')} quiet send={async (values, changed) => {
    const { kinds, ...texts } = sent(values); // only what was changed: somebody else may have changed the rest
    show(await ask(api.PATCH('/webhooks/{webhook_id}', { ...path(hook), body: {
      ...Object.fromEntries(Object.entries(texts).filter(([name]) => name in changed)), ...('which' in changed || 'kinds' in changed) && { kinds },
    } })));
    toast(t('saved'));
  }}><fieldset class="plain" disabled={!mayChange()}><WebhookFields form={form} /></fieldset></Form>;
}

const kindOf: Record<string, 'good' | 'bad' | 'warn'> = { delivered: 'good', failed: 'bad', pending: 'warn' };

function Deliveries({ hook }: { hook: Webhook }) {
  const [state, choose] = useState('');
  const list = usePages((cursor) => api.GET('/webhooks/{webhook_id}/deliveries', { params: { ...path(hook).params, query: { limit: 20, ...cursor && { cursor }, ...state && { state: state as Delivery['state'] } } } }), [hook.id, state]);
  const action = useAction();
  const step = (what: () => Promise<unknown>, said: string) => { void action.run(async () => { await what(); toast(said); list.reload(); setTimeout(list.reload, 2000); }); }; // a delivery takes a moment
  return <Section title={t('deliveries')} hint={t('deliveriesHint')} actions={<>
    <button type="button" class="small" onClick={list.reload}>{t('reload')}</button>
    {may('settings:write') && <button type="button" class="small" aria-disabled={action.busy} onClick={() => step(() => ask(api.POST('/webhooks/{webhook_id}/test', path(hook))), t('tested'))}>{t('test')}</button>}
  </>}>
    <Filters><Choice label={t('state')} value={state} options={[['', t('all')], ['pending', t('pending')], ['delivered', t('delivered')], ['failed', t('failed')]]} change={choose} /></Filters>
    <Fault failure={action.failure} />
    <Table<Delivery> caption={t('deliveries')} list={list} id={({ event_id: id }) => id} empty={t('none')} columns={[
      { title: t('event'), kind: 'main', cell: ({ kind }) => <Theirs>{inWords(kind)}</Theirs> },
      { title: t('state'), kind: 'short', cell: (delivery) => <Badge kind={kindOf[delivery.state] ?? 'plain'}>{t(delivery.state)}</Badge> },
      { title: t('answer'), cell: ({ status, fault, duration_ms: ms, attempted_at: at }) => at && [status, fault, t('ms', { n: formatNumber(ms) })].filter(Boolean).join(', ') },
      { title: t('attempts'), kind: 'short', cell: ({ attempts }) => formatNumber(attempts) },
      { title: t('last'), kind: 'short', cell: ({ attempted_at: at }) => <Time at={at} /> },
      { title: t('next'), kind: 'short', cell: ({ next_attempt_at: at }) => <Time at={at} /> },
      { title: t('again'), kind: 'actions', cell: ({ event_id: id, state: now }) => now !== 'pending' && may('settings:write') && <button type="button" class="small" aria-disabled={action.busy} onClick={() => step(() =>
        ask(api.POST('/webhooks/{webhook_id}/deliveries/{event_id}/resend', { params: { path: { webhook_id: hook.id, event_id: id } } })), t('resent'))}>{t('again')}</button> },
    ]} />
  </Section>;
}

function SecretPart({ hook, show }: Part) {
  const [dialog, open] = useDialog();
  return <Section title={t('secret')} hint={t('secretHint')}>
    <button type="button" onClick={() => open((close) => <Replace hook={hook} close={close} show={show} />)}>{t('replace')}</button>
    {dialog}
  </Section>;
}

function Replace({ hook, close, show }: Part & { close: () => void }) {
  const [keep, choose] = useState('86400');
  return <Confirm title={t('sure')} action={t('replace')} danger close={close} confirm={async () => {
    const { secret, ...changed } = await ask(api.POST('/webhooks/{webhook_id}/secret', { ...path(hook), body: { keep_old_for: Number(keep) } }));
    show(changed);
    showSecret({ title: t('fresh'), text: secret });
  }}>
    <p>{t('effect')}</p>
    <div class="field"><label for="keep">{t('keep')}</label>
      <select id="keep" value={keep} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="0">{t('now')}</option><option value="3600">{t('hour')}</option><option value="86400">{t('day')}</option><option value="604800">{t('week')}</option>
      </select></div>
  </Confirm>;
}

function End({ hook }: { hook: Webhook }) {
  const [dialog, open] = useDialog();
  return <Section title={t('end')} hint={t('endHint')}>
    <button type="button" class="danger" onClick={() => open((close) => <Confirm title={t('deleteTitle')} action={t('delete')} danger close={close} confirm={async () => {
      await ask(api.DELETE('/webhooks/{webhook_id}', path(hook)));
      toast(t('deleted'));
      go('webhooks');
    }}><p>{t('deleteText', { url: hook.url })}</p></Confirm>)}>{t('delete')}</button>
    {dialog}
  </Section>;
}
