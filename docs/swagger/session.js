// A login on this page that lasts. Swagger UI keeps the token of the Authorize dialog until it runs
// out, and its Logout button only forgets it. This plugin refreshes the token in time and ends the
// session on the server. The tokens are in this script's memory and in Swagger UI's, and nowhere else.
(() => {
  'use strict';

  const margin = 0.1; // of a token's life, before whose end it is refreshed
  const patience = 10_000; // milliseconds until a server counts as not reachable
  const retry = 5_000; // milliseconds; within the grace in which a used refresh token may come again

  const logins = new Map(); // by the name of the security scheme

  // begin follows a login in the dialog. The password is not kept.
  function begin(remember, system, { auth, token }) {
    end(auth.name); // Authorize was pressed twice before the first answer came
    system.errActions.clear({ authId: auth.name, type: 'auth', source: 'auth' });
    const login = { remember, system, auth: { ...auth, password: '' } };
    logins.set(auth.name, login);
    take(login, token);
  }

  // take makes a token the current one, and sees to it that it is refreshed.
  function take(login, token) {
    login.token = token;
    login.remember({ auth: { ...login.auth }, token });
    if (!token.refresh_token || !token.expires_in) return;
    const life = token.expires_in * 1000 * (1 - margin);
    login.due = Date.now() + life;
    login.timer = setTimeout(refresh, life, login);
  }

  // refresh is done by one request at a time, however many want it.
  function refresh(login) {
    clearTimeout(login.timer);
    login.refreshing ??= exchange(login).finally(() => { login.refreshing = null; });
    return login.refreshing;
  }

  async function exchange(login) {
    const { name, schema } = login.auth;
    let answer, token;
    try {
      answer = await post(schema.get('refreshUrl') || schema.get('tokenUrl'), {
        grant_type: 'refresh_token', refresh_token: login.token.refresh_token, ...client(login),
      });
      token = answer.ok && await answer.json();
    } catch {} // not reachable
    if (logins.get(name) !== login) return; // logged out meanwhile
    if (token) {
      take(login, token);
    } else if (answer?.status === 400 || answer?.status === 401) {
      logins.delete(name);
      login.system.authActions.logout([name]);
      tell(login, 'You are logged out: the session has ended, here or elsewhere. Press Authorize to log in again.');
    } else {
      login.timer = setTimeout(refresh, retry, login);
    }
  }

  // end forgets a login at once, and then ends its session on the server.
  async function end(name) {
    const login = logins.get(name);
    if (!login) return;
    logins.delete(name);
    clearTimeout(login.timer);
    const address = revocation(login);
    if (!address) return;
    const answer = await post(address, { token: login.token.refresh_token, ...client(login) }).catch(() => null);
    if (!answer?.ok) {
      tell(login, 'This page has forgotten the login, but the server could not be told: there, the session goes on ' +
        'until it runs out. To end it now, log in again and try “Log out everywhere”.');
    }
  }

  // revocation is where the contract has its operation revokeToken.
  function revocation({ system, token }) {
    if (!token.refresh_token) return null;
    const contract = system.specSelectors.specJson();
    const path = contract.get('paths').findKey((item) => item.getIn(['post', 'operationId']) === 'revokeToken');
    return path && contract.getIn(['servers', 0, 'url'], '').replace(/\/$/, '') + path;
  }

  // client is the service client that the login was made through, if one was named: the tokens are its.
  function client({ auth: { clientId, clientSecret } }) {
    return clientId ? { client_id: clientId, client_secret: clientSecret || '' } : {};
  }

  function post(address, form) {
    return fetch(address, {
      method: 'POST', body: new URLSearchParams(form), cache: 'no-store', credentials: 'omit', keepalive: true,
      signal: AbortSignal.timeout(patience),
    });
  }

  // tell shows a message on top of the page, and in the dialog.
  function tell({ system, auth }, message) {
    system.errActions.newAuthErr({ authId: auth.name, source: 'auth', level: 'error', message });
  }

  // No other page can use the refresh token once this one is gone, so its session ends as well. A page
  // that the browser keeps for its Back button is not gone.
  addEventListener('pagehide', ({ persisted }) => {
    if (!persisted) [...logins.keys()].forEach(end);
  });

  const plugin = {
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
          // Timers sleep when the machine does, so each request looks at the clock as well.
          execute: (original) => async (request) => {
            await Promise.all([...logins.values()].filter(({ due }) => Date.now() >= due).map(refresh));
            return original(request);
          },
          // A token that is refused before its time: perhaps the session was ended elsewhere.
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
  SwaggerUIBundle.plugins.DownloadUrl = [SwaggerUIBundle.plugins.DownloadUrl, plugin];
})();
