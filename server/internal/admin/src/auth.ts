// Sign-in: the authorization code flow with PKCE (RFC 7636), by redirects of the whole page. The tokens are in the variables of this
// module and nowhere else, so a reload asks the server for new ones, which it gives without a question while the person is signed in.
import { deleteDrafts, openDrafts } from './drafts';
import { Store } from './store';

const page = document.documentElement.dataset;
const issuer = page.public ?? '';
const client = 'admin';
const redirect = `${issuer}/admin/`;
const root = new URL('../', document.baseURI);
const timeout = 15_000; // milliseconds

// base is the path in front of every operation: the path of the public URL.
export const base = root.pathname.replace(/\/$/, '');

// administrative are the scopes that the page can use. A person gets those that they have.
export const administrative = ['users:read', 'users:write', 'clients:read', 'clients:write', 'events:read', 'settings:read', 'settings:write'];
const scopes = ['openid', 'me:read', ...administrative].join(' ');

export type State =
  | { name: 'starting' }
  | { name: 'signed-in' | 'ended'; username: string; subject: string; scopes: string[] } // ended: the session, and not the screen
  | { name: 'signed-out'; reason: 'left' | 'ended' | 'foreign-answer' | 'failed'; detail?: string }
  | { name: 'elsewhere'; address: string }
  | { name: 'insecure' };

export const state = new Store<State>({ name: 'starting' });

// stepped is set after a sign-in that an operation demanded: the person repeats the step.
export const stepped = new Store(false);

interface Tokens { access: string; refresh: string; id: string; due: number }
let tokens: Tokens | null = null;
let refreshing: Promise<boolean> | null = null;

// Pending is what this tab remembers of an authorization request, until the answer. hash is the screen to come back to.
interface Pending { state: string; nonce: string; verifier: string; hash: string; step: boolean }

const keys = { pending: 'sesame.sign-in', known: 'sesame.signed-in' };

const encode = (bytes: ArrayBuffer) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => encode(crypto.getRandomValues(new Uint8Array(32)).buffer);

// signIn leaves for the server's page. It comes back to this screen.
export async function signIn(more: Record<string, string> = {}, step = false) {
  const pending: Pending = { state: random(), nonce: random(), verifier: random(), hash: location.hash, step };
  const challenge = encode(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(pending.verifier)));
  sessionStorage.setItem(keys.pending, JSON.stringify(pending));
  location.replace(new URL(`authorize?${new URLSearchParams({
    response_type: 'code', client_id: client, redirect_uri: redirect, scope: scopes, state: pending.state, nonce: pending.nonce,
    code_challenge: challenge, code_challenge_method: 'S256', ui_locales: document.documentElement.lang, ...more,
  })}`, root));
}

// start signs the person in: with the answer in the address, or else by asking the server, silently after a reload.
export async function start() {
  if (location.origin + location.pathname !== redirect) return state.set({ name: 'elsewhere', address: redirect });
  if (!crypto.subtle) return state.set({ name: 'insecure' });
  const answer = new URLSearchParams(location.search);
  if (answer.has('state')) return finish(answer);
  const known = sessionStorage.getItem(keys.known);
  if (known === 'left') return state.set({ name: 'signed-out', reason: 'left' });
  await signIn(known ? { prompt: 'none' } : {});
}

// finish takes the answer of the server (RFC 6749 §4.1.2). Before anything else it removes the code from the address.
async function finish(answer: URLSearchParams) {
  const pending = takePending();
  history.replaceState(null, '', location.pathname + (pending?.hash ?? ''));
  dispatchEvent(new HashChangeEvent('hashchange'));
  if (!pending || answer.get('state') !== pending.state || answer.get('iss') !== issuer) {
    return leave('foreign-answer');
  }
  const error = answer.get('error');
  if (error) return leave(error === 'login_required' ? 'ended' : 'failed', answer.get('error_description') ?? error);
  const got = await exchange({ grant_type: 'authorization_code', code: answer.get('code') ?? '', redirect_uri: redirect, code_verifier: pending.verifier });
  if (typeof got === 'string') return leave('failed', got);
  const claims = claimsOf(got.id_token ?? '');
  if (claims.nonce !== pending.nonce || claims.iss !== issuer || ![claims.aud].flat().includes(client) || !claims.sub) return leave('foreign-answer');
  take(got);
  sessionStorage.setItem(keys.known, 'yes');
  openDrafts(claims.sub);
  stepped.set(pending.step);
  state.set({ name: 'signed-in', username: await username(), subject: claims.sub, scopes: got.scope?.split(' ') ?? scopes.split(' ') });
}

// username is the name to show. Without it, the page still works.
async function username() {
  try {
    return (await (await authorizedFetch(new Request(new URL('users/me', root)))).json() as { username?: string }).username ?? '';
  } catch {
    return '';
  }
}

function takePending(): Pending | null {
  const text = sessionStorage.getItem(keys.pending);
  sessionStorage.removeItem(keys.pending);
  return text ? JSON.parse(text) as Pending : null;
}

function leave(reason: 'ended' | 'foreign-answer' | 'failed', detail?: string) {
  sessionStorage.removeItem(keys.known);
  state.set({ name: 'signed-out', reason, ...detail && { detail } });
}

interface Claims { iss?: string; aud?: string | string[]; sub?: string; nonce?: string }

// claimsOf reads an ID token. It came from the token endpoint itself, so its signature proves nothing more (OpenID Connect Core
// §3.1.3.7).
function claimsOf(token: string): Claims {
  try {
    const bytes = Uint8Array.from(atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) as Claims;
  } catch {
    return {};
  }
}

interface TokenAnswer { access_token: string; refresh_token?: string; id_token?: string; expires_in: number; scope?: string }

const post = (path: string, form: Record<string, string>) => fetch(new URL(path, root), {
  method: 'POST', body: new URLSearchParams({ ...form, client_id: client }), credentials: 'omit', cache: 'no-store', keepalive: true,
  signal: AbortSignal.timeout(timeout),
});

// unreachable is why there are no tokens when the server cannot be reached.
export const unreachable = 'unreachable';

// exchange returns tokens, or why there are none.
async function exchange(form: Record<string, string>): Promise<TokenAnswer | string> {
  try {
    const answer = await post('token', form);
    const body = await answer.json() as TokenAnswer & { error?: string; error_description?: string };
    return answer.ok ? body : body.error_description ?? body.error ?? String(answer.status);
  } catch {
    return unreachable;
  }
}

function take(got: TokenAnswer) {
  tokens = {
    access: got.access_token, refresh: got.refresh_token ?? '', id: got.id_token ?? tokens?.id ?? '',
    due: Date.now() + got.expires_in * 900, // when a tenth of its life is left
  };
}

// refresh gets new tokens: one request for everybody who waits. It resolves with false when the session has ended, and fails when
// the server cannot be reached or refuses for another reason, such as too many requests.
function refresh(): Promise<boolean> {
  refreshing ??= (async () => {
    if (!tokens?.refresh) return false;
    const answer = await post('token', { grant_type: 'refresh_token', refresh_token: tokens.refresh });
    if (answer.ok) take(await answer.json() as TokenAnswer);
    else if (answer.status !== 400 && answer.status !== 401) throw new RefreshRefused(answer);
    return answer.ok;
  })().finally(() => { refreshing = null; });
  return refreshing;
}

// RefreshRefused is the error of a request that was not sent, because the server gives no new tokens for now.
export class RefreshRefused extends Error {
  constructor(readonly answer: Response) { super(String(answer.status)); }
}

// SessionEnded is the error of a request that was not sent, or refused, because the person has to sign in again.
export class SessionEnded extends Error {}

function end(): never {
  tokens = null;
  if (state.value.name === 'signed-in') state.set({ ...state.value, name: 'ended' });
  throw new SessionEnded();
}

// authorizedFetch sends a request with the access token, which it refreshes in time. A refused token is refreshed once. An operation
// that wants a more recent or a stronger sign-in gets it (RFC 9470): the page leaves, and comes back to the same screen.
export async function authorizedFetch(request: Request): Promise<Response> {
  if (!tokens || Date.now() >= tokens.due && !await refresh()) end();
  const sent = tokens?.access;
  let answer = await send(request.clone());
  if (answer.status !== 401) return answer;
  const demand = demandOf(answer);
  if (demand) {
    await signIn(demand, true);
    return new Promise(() => {}); // the page is leaving
  }
  if (tokens?.access === sent && !await refresh()) end();
  answer = await send(request);
  return answer.status === 401 ? end() : answer;
}

function send(request: Request) {
  request.headers.set('Authorization', `Bearer ${tokens?.access ?? ''}`);
  const long = request.url.includes('/events/export'); // it takes as long as there are events; the screen can stop it
  return fetch(request, { credentials: 'omit', cache: 'no-store', signal: long ? request.signal : AbortSignal.timeout(timeout) });
}

// demandOf returns what an operation asks for in its challenge (RFC 9470 §3), as parameters of an authorization request.
function demandOf(answer: Response): Record<string, string> | null {
  const challenge = answer.headers.get('WWW-Authenticate') ?? '';
  if (!challenge.includes('insufficient_user_authentication')) return null;
  const demand: Record<string, string> = {};
  for (const name of ['acr_values', 'max_age']) {
    const value = new RegExp(`${name}="?([\\w ]+)`).exec(challenge)?.[1];
    if (value) demand[name] = value;
  }
  return demand;
}

// signOut ends the session here and in the browser, by the server's own page, which comes back. The ID token says whose session it is,
// so that nobody has to be asked; it is no credential.
export function signOut() {
  const hint = tokens?.id;
  deleteDrafts();
  revoke();
  sessionStorage.setItem(keys.known, 'left');
  state.set({ name: 'signed-out', reason: 'left' }); // the Back button must not show the screen again
  location.assign(new URL(`sign-out?${new URLSearchParams({
    ...hint && { id_token_hint: hint }, client_id: client, post_logout_redirect_uri: redirect,
  })}`, root));
}

// revoke ends the session of the tokens.
function revoke() {
  if (tokens?.refresh) void post('token/revoke', { token: tokens.refresh }).catch(() => {});
  tokens = null;
}

// The tokens of a page that is left are lost, so their session ends as well. One that the browser has kept for the Back button asks the
// server again whether the person is still signed in, rather than show them, or somebody else, the screen as it was.
addEventListener('pagehide', revoke);
addEventListener('pageshow', ({ persisted }) => { if (persisted) location.reload(); });

// may reports whether the person's token has a scope.
export function may(scope: string) {
  const now = state.value;
  return 'scopes' in now && now.scopes.includes(scope);
}
