// The frame of the page: the menu, the person, and the screen of the place.
import { Component, type ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { administrative, may, signIn, signOut, state, stepped, unreachable, type State } from './auth';
import { language, setLanguage, texts } from './i18n';
import { href, place, replace } from './router';
import { find, screens } from './screens';
import { useStore } from './store';
import { Dialog, Secrets } from './ui/dialog';
import { Empty, Screen, Theirs, toast, Toasts } from './ui/parts';

const t = texts({
  administration: 'Administration', skip: 'Skip to the content', menu: 'Menu', account: 'Your account', language: 'Deutsch', languageLabel: 'Auf Deutsch anzeigen',
  signedIn: 'Signed in as', signOut: 'Sign out', signIn: 'Sign in', again: 'Sign in again', another: 'Sign in as somebody else',
  starting: 'Signing in …',
  left: 'You are signed out.',
  ended: 'Your session has ended. Sign in again. The page keeps what you have typed, but no passwords and secrets.',
  foreign: 'The answer belongs to another sign-in. Start again.',
  failed: 'The sign-in has failed.', unreachable: 'The server cannot be reached. Check your connection and try again.',
  elsewhere: 'The administration works at another address of this server:',
  insecure: 'Browsers allow a sign-in only on https:// pages and on this machine. Open the page by https.',
  refusedTitle: 'No access',
  refused: 'The account {name} is not an administrator here. Ask an administrator for a scope such as users:read.',
  unread: 'The account {name} has {scopes}, and no scope that a screen needs. Ask an administrator for one that reads, such as users:read.',
  missingTitle: 'Nothing here', missing: 'There is no screen at this address, or your account lacks the scope that it needs.',
  brokenTitle: 'This screen has failed', broken: 'That is a fault of the page. Reload it, and report it if it happens again.',
  stepped: 'You have signed in again. Repeat the step.',
}, {
  administration: 'Verwaltung', skip: 'Zum Inhalt', menu: 'Menü', account: 'Ihr Konto', language: 'English', languageLabel: 'Show in English',
  signedIn: 'Angemeldet als', signOut: 'Abmelden', signIn: 'Anmelden', again: 'Erneut anmelden', another: 'Als jemand anderes anmelden',
  starting: 'Anmeldung läuft …',
  left: 'Sie sind abgemeldet.',
  ended: 'Ihre Sitzung ist beendet. Melden Sie sich erneut an. Ihre Eingaben bleiben erhalten, nur Passwörter und Secrets nicht.',
  foreign: 'Die Antwort gehört zu einer anderen Anmeldung. Beginnen Sie von vorn.',
  failed: 'Die Anmeldung ist fehlgeschlagen.', unreachable: 'Der Server ist nicht erreichbar. Prüfen Sie die Verbindung und versuchen Sie es erneut.',
  elsewhere: 'Die Verwaltung ist unter einer anderen Adresse dieses Servers erreichbar:',
  insecure: 'Browser erlauben eine Anmeldung nur auf https://-Seiten und auf diesem Gerät. Öffnen Sie die Seite mit https.',
  refusedTitle: 'Kein Zugriff',
  refused: 'Das Konto {name} hat hier keine Verwaltungsrechte. Bitten Sie eine Administratorin oder einen Administrator um einen Scope wie users:read.',
  unread: 'Das Konto {name} hat {scopes}, und keinen Scope, den eine Ansicht braucht. Bitten Sie eine Administratorin oder einen Administrator um einen zum Lesen, etwa users:read.',
  missingTitle: 'Nichts gefunden', missing: 'Unter dieser Adresse gibt es nichts, oder Ihrem Konto fehlt der nötige Scope.',
  brokenTitle: 'Diese Ansicht ist fehlgeschlagen', broken: 'Das ist ein Fehler der Seite. Laden Sie sie neu, und melden Sie es, wenn es wieder geschieht.',
  stepped: 'Sie haben sich erneut angemeldet. Wiederholen Sie den Schritt.',
});

const { name: service = '', logo = '', public: publicURL = '' } = document.documentElement.dataset;

export function Shell() {
  const now = useStore(state);
  if (now.name === 'signed-in' || now.name === 'ended') return <Frame now={now} />;
  return <Outside now={now} />;
}

// Outside is the page while nobody is signed in.
function Outside({ now }: { now: State }) {
  return <main class="outside">
    {logo && <img src={`../${logo}`} alt="" />}
    <p class="service">{service}</p>
    <h1>{t('administration')}</h1>
    {now.name === 'starting' && <p role="status">{t('starting')}</p>}
    {now.name === 'insecure' && <p role="alert">{t('insecure')}</p>}
    {now.name === 'elsewhere' && <p>{t('elsewhere')} <a href={now.address}>{now.address}</a></p>}
    {now.name === 'signed-out' && <>
      <p role="alert">{{ left: t('left'), ended: t('ended'), 'foreign-answer': t('foreign'), failed: t('failed') }[now.reason]}</p>
      {now.reason === 'failed' && now.detail && <p class="hint"><bdi>{now.detail === unreachable ? t('unreachable') : now.detail}</bdi></p>}
      <button class="primary wide" onClick={() => { void signIn(); }}>{t('signIn')}</button>
    </>}
    <p class="foot"><LanguageSwitch /></p>
  </main>;
}

const LanguageSwitch = () => {
  const other = language() === 'en' ? 'de' : 'en';
  return <button type="button" class="link" lang={other} title={t('languageLabel')} onClick={() => setLanguage(other)}>{t('language')}</button>;
};

function Frame({ now }: { now: Extract<State, { scopes: string[] }> }) {
  const { path, query } = useStore(place);
  const [open, unfold] = useState(false);
  const main = useRef<HTMLElement>(null);
  const allowed = screens.filter(({ scopes }) => scopes.every(may));
  const menu = allowed.filter((entry) => entry.menu);
  const found = find(path);
  const shown = found && allowed.includes(found.entry) ? found : null;
  const address = path.join('/');
  const first = useRef(true);
  const arrive = () => {
    unfold(false);
    main.current?.querySelector('h1')?.focus();
  };
  useLayoutEffect(() => { if (address === '' && menu[0]) replace(...menu[0].path.split('/')); });
  useLayoutEffect(() => { // with the screen, or the focus would first be nowhere
    if (address === '') return;
    if (first.current) unfold(false); else arrive();
    first.current = false;
    scrollTo(0, 0);
  }, [address]);
  useEffect(() => {
    if (stepped.value) toast(t('stepped'));
    stepped.set(false);
  }, []);
  return <div class="frame">
    <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>{t('skip')}</a>
    <header class="bar">
      <a class="brand" href="#/">{logo && <img src={`../${logo}`} alt="" />}<span><strong>{service}</strong><small>{t('administration')}</small></span></a>
      <button type="button" class="menu-button" aria-expanded={open} aria-controls="menu" onClick={() => unfold(!open)}>{t('menu')}</button>
      <div id="menu" class={open ? 'menu open' : 'menu'}>
        <nav aria-label={t('administration')}><ul>
          {menu.map((entry) => <li key={entry.path}>
            <a href={href(...entry.path.split('/'))} aria-current={entry.path.split('/')[0] === path[0] ? 'page' : undefined}
              onClick={() => { if (entry.path === address) arrive(); }}>{entry.menu?.()}</a>
          </li>)}
        </ul></nav>
        <div class="me">
          <p>{t('signedIn')} <a href={`${publicURL}/account`} title={t('account')}><Theirs>{now.username}</Theirs></a></p>
          <p><button type="button" class="link" onClick={signOut}>{t('signOut')}</button><LanguageSwitch /></p>
        </div>
      </div>
    </header>
    <main ref={main} id="content" tabIndex={-1}>
      {shown ? <Boundary key={address}><shown.entry.component id={shown.id} query={query} /></Boundary>
        : menu.length === 0 ? <Refused name={now.username} scopes={administrative.filter(may).join(', ')} /> : address !== '' && <Screen title={t('missingTitle')}><Empty>{t('missing')}</Empty></Screen>}
    </main>
    {now.name === 'ended' && <Dialog title={t('again')}>
      <p>{t('ended')}</p>
      <div class="buttons"><button type="button" class="primary" onClick={() => { void signIn(); }}>{t('again')}</button></div>
    </Dialog>}
    <Secrets />
    <Toasts />
  </div>;
}

// Boundary shows that a screen has failed, and leaves the rest of the page working.
class Boundary extends Component<{ children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };

  override componentDidCatch(fault: unknown) {
    console.error(fault);
    this.setState({ failed: true });
  }

  render() {
    return this.state.failed ? <Screen title={t('brokenTitle')}><Empty>{t('broken')}</Empty></Screen> : this.props.children;
  }
}

const Refused = ({ name, scopes }: { name: string; scopes: string }) => <Screen title={t('refusedTitle')}>
  <Empty>
    <p>{t(scopes ? 'unread' : 'refused', { name, scopes })}</p>
    <p><button type="button" class="primary" onClick={() => { void signIn({ prompt: 'select_account' }); }}>{t('another')}</button></p>
  </Empty>
</Screen>;
