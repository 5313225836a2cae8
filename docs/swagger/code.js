// Sign-in with the browser: the authorization code flow with PKCE (RFC 7636), in a window of its own. Swagger UI has it as well,
// but in its own form, and it exchanges a code even if the answer has another state.
import { endpoint } from './session.js';

// own is the client that a server has for this page.
export const own = 'docs';

const address = () => new URL('oauth2-redirect.html', document.baseURI).href;

// flow returns the code flow that a scheme has beside its password flow, if this server is the one that signs people in.
export function flow(name, system) {
  const flows = system.specSelectors.securityDefinitions()?.getIn([name, 'flows']);
  const code = flows?.get('password') && flows.get('authorizationCode');
  if (!code || endpoint(code.get('authorizationUrl'), system).origin !== location.origin) return null;
  return code.set('flow', 'authorizationCode').set('type', 'oauth2');
}

// elsewhere is the address of this page that the server knows, if it is another one: codes are sent only there.
export function elsewhere() {
  const page = new URL('docs/', `${document.documentElement.dataset.address}/`).href;
  return new URL('oauth2-redirect.html', page).href === address() ? null : page;
}

const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => encode(crypto.getRandomValues(new Uint8Array(32)));

// signIn opens the page of the server. It resolves with the form for the token endpoint or the message to show.
export async function signIn({ name, schema, scopes, clientId, again }, system) {
  if (!crypto.subtle) return { message: 'Browsers allow this only on https:// pages and on localhost.' };
  const popup = open('', '_blank', 'popup,width=520,height=720'); // before anything that takes time, or it would be blocked
  if (!popup) return { message: 'The browser blocked the window. Allow pop-up windows for this page.' };
  const [state, verifier] = [random(), random()];
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const request = endpoint(schema.get('authorizationUrl'), system);
  const parameters = {
    response_type: 'code', client_id: clientId, redirect_uri: address(), state, code_challenge: encode(hash), code_challenge_method: 'S256',
    ...scopes.length && { scope: scopes.join(' ') }, ...again && { prompt: 'select_account' },
  };
  for (const [key, value] of Object.entries(parameters)) request.searchParams.set(key, value);
  popup.location = request;
  const { code, message } = await answerOf(popup, { name, schema }, state);
  return code ? { form: { grant_type: 'authorization_code', code, redirect_uri: address(), code_verifier: verifier } } : { message };
}

// answerOf waits for oauth2-redirect.html, which calls back through this variable. The first call counts: after a wrong state the
// page reports an error and hands the code over nevertheless.
function answerOf(popup, auth, state) {
  let watch;
  const answer = new Promise((resolve) => {
    window.swaggerUIRedirectOauth2 = {
      auth, state, redirectUrl: address(),
      callback: ({ auth: { code } }) => resolve({ code }),
      errCb: ({ level, message }) => resolve({
        message: level === 'warning' ? 'The answer belongs to another sign-in. Try again.' : message.replaceAll('+', ' '), // only a wrong state is a warning
      }),
    };
    watch = setInterval(() => { if (popup.closed) resolve({ message: 'The window was closed before the sign-in was complete.' }); }, 500);
  });
  return answer.finally(() => clearInterval(watch));
}
