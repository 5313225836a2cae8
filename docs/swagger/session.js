// The plugin that keeps a login on this page alive. Swagger UI alone keeps the token of the Authorize dialog until it
// expires, and its Logout button only drops it. This plugin refreshes the token in time and revokes it on the server. The
// tokens are only in the memory of the page.

const margin = 0.1; // the token is refreshed when this part of its lifetime is left
const timeout = 10_000; // milliseconds
const retry = 5_000; // milliseconds; within the time in which the server accepts a used refresh token again

const logins = new Map(); // by the name of the security scheme

// begin records a login in the dialog. It does not store the password. authorize is Swagger UI's own action.
function begin(authorize, system, { auth, token }) {
  end(auth.name); // Authorize was pressed twice before the first answer came
  system.errActions.clear({ authId: auth.name, type: 'auth', source: 'auth' });
  const login = { authorize, system, auth: { ...auth, password: '' } };
  logins.set(auth.name, login);
  take(login, token);
}

// take makes a token the current one and schedules its refresh.
function take(login, token) {
  login.token = token;
  login.authorize({ auth: { ...login.auth }, token });
  if (!token.refresh_token || !token.expires_in) return;
  const life = token.expires_in * 1000 * (1 - margin);
  login.due = Date.now() + life;
  login.timer = setTimeout(refresh, life, login);
}

// refresh sends one request at a time, even if several callers need the token.
function refresh(login) {
  clearTimeout(login.timer);
  login.refreshing ??= exchange(login).finally(() => { login.refreshing = null; });
  return login.refreshing;
}

async function exchange(login) {
  const { name, schema } = login.auth;
  let answer, token;
  try {
    answer = await post(endpoint(schema.get('refreshUrl') || schema.get('tokenUrl'), login.system), {
      grant_type: 'refresh_token', refresh_token: login.token.refresh_token, ...client(login),
    });
    token = answer.ok && await answer.json();
  } catch {} // the server is not reachable
  if (logins.get(name) !== login) return; // logged out in the meantime
  if (token) {
    take(login, token);
  } else if (answer?.status === 400 || answer?.status === 401) {
    logins.delete(name);
    login.system.authActions.logout([name]);
    show(login, 'You are logged out: the session was ended or has expired. Press Authorize to log in again.');
  } else {
    login.timer = setTimeout(refresh, retry, login);
  }
}

// end drops a login at once and then revokes its token, which ends the session on the server.
async function end(name) {
  const login = logins.get(name);
  if (!login) return;
  logins.delete(name);
  clearTimeout(login.timer);
  const address = revocation(login);
  if (!address) return;
  const answer = await post(address, { token: login.token.refresh_token, ...client(login) }).catch(() => null);
  if (!answer?.ok) {
    show(login, 'This page no longer has the tokens, but the server could not be reached, so the session continues there ' +
      'until it expires. To end it now, log in again and send “Log out everywhere”.');
  }
}

// revocation returns the address of the operation revokeToken in the contract.
function revocation({ system, token }) {
  if (!token.refresh_token) return null;
  const contract = system.specSelectors.specJson();
  const path = contract.get('paths').findKey((item) => item.getIn(['post', 'operationId']) === 'revokeToken');
  return path && contract.getIn(['servers', 0, 'url'], '').replace(/\/$/, '') + path;
}

// client returns the credentials of the service client to which the tokens belong, if the dialog named one.
function client({ auth: { clientId, clientSecret } }) {
  return clientId ? { client_id: clientId, client_secret: clientSecret || '' } : {};
}

// endpoint resolves an address of the contract, which may be relative to its server.
export function endpoint(address, { oas3Selectors }) {
  const server = oas3Selectors.serverEffectiveValue(oas3Selectors.selectedServer());
  return new URL(address, new URL(server || '', document.baseURI));
}

export function post(address, form) {
  return fetch(address, {
    method: 'POST', body: new URLSearchParams(form), cache: 'no-store', credentials: 'omit', keepalive: true,
    signal: AbortSignal.timeout(timeout),
  });
}

// show displays a message at the top of the page and in the dialog.
function show({ system, auth }, message) {
  system.errActions.newAuthErr({ authId: auth.name, source: 'auth', level: 'error', message });
}

// When the page is closed its refresh token is lost, so the session ends as well. A page that the browser keeps for the
// Back button is not closed.
addEventListener('pagehide', ({ persisted }) => {
  if (!persisted) [...logins.keys()].forEach(end);
});

export const session = {
  statePlugins: {
    auth: {
      wrapActions: {
        authorizeOauth2: (original, system) => (login) => begin(original, system, login),
        logout: (original) => (names) => {
          names.forEach(end);
          return original(names);
        },
      },
    },
    spec: {
      wrapActions: {
        // Timers do not run while the machine sleeps, so each request checks the clock as well.
        execute: (original) => async (request) => {
          await Promise.all([...logins.values()].filter(({ due }) => Date.now() >= due).map(refresh));
          return original(request);
        },
        // A token that is refused before it expires: the session may have been ended elsewhere.
        setResponse: (original, { specSelectors }) => (path, method, response) => {
          original(path, method, response);
          if (specSelectors.responseFor(path, method)?.get('status') === 401) {
            [...logins.values()].filter(({ due }) => due).forEach(refresh);
          }
        },
      },
    },
  },
};
