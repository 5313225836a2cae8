// The mails that wait, and a test mail.
import { useState } from 'preact/hooks';
import { api, ask, useAction, usePages, type Schemas } from '../api';
import { may } from '../auth';
import { texts } from '../i18n';
import { Confirm, useDialog } from '../ui/dialog';
import { Badge, Code, Fault, Screen, Section, Theirs, Time, toast } from '../ui/parts';
import { Table } from '../ui/table';

const t = texts({
  title: 'Mails', test: 'Try the mail server out', testHint: 'Sends a mail to your own confirmed address, past the queue, and shows what the mail server answers.', send: 'Send a test mail',
  accepted: 'Accepted', refused: 'Failed', waiting: 'Waiting mails', waitingHint: 'Mails are sent within seconds, so this list is usually empty. A mail that fails is tried again for 24 hours. Nobody can read its content here.',
  to: 'To', since: 'since', attempts: 'Attempts', next: 'Next attempt', why: 'Last error', sending: 'being sent', none: 'No mail is waiting.', actions: 'Actions',
  retry: 'Send now', retried: 'The mail is sent now.', drop: 'Delete', sure: 'Delete the mail to {to}?', effect: 'It will not be sent, and nobody can restore it. The event log says who has deleted it.', gone: 'The mail is deleted.', somebody: 'somebody', reload: 'Reload',
}, {
  title: 'Mails', test: 'Mailserver prüfen', testHint: 'Sendet eine Mail an Ihre eigene bestätigte Adresse, an der Warteschlange vorbei, und zeigt die Antwort des Mailservers.', send: 'Testmail senden',
  accepted: 'Angenommen', refused: 'Gescheitert', waiting: 'Wartende Mails', waitingHint: 'Mails werden in Sekunden versandt, daher ist diese Liste meist leer. Eine Mail, die scheitert, wird 24 Stunden lang erneut versucht. Ihren Inhalt kann hier niemand lesen.',
  to: 'An', since: 'seit', attempts: 'Versuche', next: 'Nächster Versuch', why: 'Letzter Fehler', sending: 'wird gesendet', none: 'Keine Mail wartet.', actions: 'Aktionen',
  retry: 'Jetzt senden', retried: 'Die Mail wird jetzt gesendet.', drop: 'Löschen', sure: 'Die Mail an {to} löschen?', effect: 'Sie wird nicht versandt und lässt sich nicht wiederherstellen. Das Ereignisprotokoll hält fest, wer sie gelöscht hat.', gone: 'Die Mail ist gelöscht.', somebody: 'jemanden', reload: 'Neu laden',
});

type Mail = Schemas['WaitingMail'];

export function Mails() {
  const mails = usePages<Mail>((cursor) => api.GET('/mails', { params: { query: { limit: 50, ...cursor && { cursor } } } }), []);
  const [dialog, open] = useDialog();
  const step = useAction();
  const retry = ({ id }: Mail) => step.run(async () => {
    await ask(api.POST('/mails/{mail_id}/retry', { params: { path: { mail_id: id } } }));
    toast(t('retried'));
    setTimeout(mails.reload, 2000); // the attempt takes a moment
  });
  const drop = ({ id, to }: Mail) => open((close) => <Confirm title={<bdi>{t('sure', { to: to ?? t('somebody') })}</bdi>} action={t('drop')} danger close={close} confirm={async () => {
    await ask(api.DELETE('/mails/{mail_id}', { params: { path: { mail_id: id } } }));
    toast(t('gone'));
    mails.reload();
  }}><p>{t('effect')}</p></Confirm>);
  return <Screen title={t('title')}>
    {may('settings:write') && <Test />}
    <Section title={t('waiting')} hint={t('waitingHint')} actions={<button type="button" onClick={mails.reload}>{t('reload')}</button>}>
      <Fault failure={step.failure} />
      <Table<Mail> caption={t('waiting')} list={mails} id={({ id }) => id} empty={t('none')} columns={[
        { title: t('to'), kind: 'main', cell: ({ to, kind, sending }) => <>{to ? <Theirs>{to}</Theirs> : '–'}<div><Code>{kind}</Code> {sending && <Badge kind="good">{t('sending')}</Badge>}</div></> },
        { title: t('why'), cell: ({ last_error: why }) => why && <span class="small" lang="en"><Theirs>{why}</Theirs></span> },
        { title: t('attempts'), kind: 'short', cell: ({ attempts }) => attempts },
        { title: t('next'), kind: 'short', cell: ({ next_attempt_at: at, created_at: since }) => <><Time at={at} /><div class="muted small">{t('since')} <Time at={since} /></div></> },
        { title: t('actions'), kind: 'actions', cell: (mail) => may('settings:write') && <div class="buttons">
          <button type="button" class="small" aria-disabled={step.busy} onClick={() => { void retry(mail); }}>{t('retry')}</button>
          <button type="button" class="small" onClick={() => drop(mail)}>{t('drop')}</button>
        </div> },
      ]} />
    </Section>
    {dialog}
  </Screen>;
}

// Test sends a mail to the person, and shows the answer of the mail server.
function Test() {
  const step = useAction();
  const [result, show] = useState<Schemas['TestMail'] | null>(null);
  const send = () => {
    show(null);
    void step.run(async () => show(await ask(api.POST('/mails/test'))));
  };
  return <Section title={t('test')} hint={t('testHint')}>
    <Fault failure={step.failure} />
    {result && <p role="status"><Badge kind={result.sent ? 'good' : 'bad'}>{t(result.sent ? 'accepted' : 'refused')}</Badge> <span lang="en">{result.detail}</span></p>}
    <div class="buttons start"><button type="button" aria-disabled={step.busy} onClick={send}>{t('send')}</button></div>
  </Section>;
}
