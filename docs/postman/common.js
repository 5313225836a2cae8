// What the handwritten scripts share. A script cannot import another, so each has this in front of it.

// send calls the server beside the request at hand. It knows nothing of the collection's authorization.
function send(method, path, { token, form, json } = {}, then) {
  const header = {};
  if (token) header.Authorization = `Bearer ${token}`;
  if (form) header['Content-Type'] = 'application/x-www-form-urlencoded';
  if (json) header['Content-Type'] = 'application/json';
  let body;
  if (form) body = { mode: 'urlencoded', urlencoded: Object.entries(form).map(([key, value]) => ({ key, value })) };
  if (json) body = { mode: 'raw', raw: JSON.stringify(json) };
  const url = pm.variables.replaceIn('{{baseUrl}}') + path;
  pm.sendRequest({ url, method, header, body }, (error, answer) => {
    if (error) giveUp(`${method} ${url}: ${error.message || error}`);
    else then(answer);
  });
}

// giveUp is the one failure that is shown when going on makes no sense, and the end of the run.
function giveUp(message) {
  pm.test(message, () => pm.expect.fail(message));
  if (!pm.execution) throw new Error(message);
  pm.execution.setNextRequest(null);
  if (pm.info.eventName === 'prerequest') pm.execution.skipRequest();
}

// skip leaves the request out.
function skip(why) {
  if (!pm.execution) throw new Error(why);
  pm.test.skip(why, () => {});
  pm.execution.skipRequest();
}

// requireCredentials gives the username and the password that the person has set.
function requireCredentials() {
  const [username, password] = ['username', 'password'].map((name) => pm.variables.get(name));
  if (!username || !password) giveUp('Set the variables username and password, in an environment or with --env-var.');
  return { username, password };
}

// logIn opens a session of the account whose username and password were given.
function logIn(then) {
  const { username, password } = requireCredentials();
  const form = { grant_type: 'password', username, password, scope: pm.variables.get('scope') };
  send('POST', '/token', { form }, (answer) => {
    if (answer.code === 200) then(answer.json());
    else giveUp(`Logging in as ${username}: ${refusal(answer)}`);
  });
}

// keep makes a session the one that the requests use. The password is not kept.
function keep(session) {
  const values = {
    accessToken: session.access_token,
    refreshToken: session.refresh_token,
    grantedScope: session.scope,
    renewAt: Date.now() + session.expires_in * 800, // a fifth of its life is for slow requests
    loggedInAs: pm.variables.get('username'),
  };
  for (const [name, value] of Object.entries(values)) pm.collectionVariables.set(name, String(value));
  pm.variables.set('openedInThisRun', 'yes');
}

// forget makes the next request log in again.
function forget() {
  for (const name of ['accessToken', 'refreshToken', 'loggedInAs']) pm.collectionVariables.set(name, '');
}

// claims are what an access token says (RFC 9068). Other services verify its signature first.
function claims(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64').toString());
}

function random() {
  return pm.variables.replaceIn('{{$guid}}');
}

// nameGuest chooses the random name and password of an account that nobody will miss.
function nameGuest() {
  pm.variables.set('guestName', `guest-${random()}`);
  pm.variables.set('guestPassword', random());
}

// logInAsGuest tries a password of the guest. Its token may delete the guest's account, which a login has to ask for.
function logInAsGuest(password, then) {
  const form = { grant_type: 'password', username: pm.variables.get('guestName'), password, scope: 'me:read me:write me:delete' };
  send('POST', '/token', { form }, then);
}

// registerGuest makes the guest's account, with more in it or not. The request is skipped where it cannot be made.
function registerGuest(then, more = {}) {
  nameGuest();
  const json = { username: pm.variables.get('guestName'), password: pm.variables.get('guestPassword'), ...more };
  send('POST', '/users', { json }, (created) => {
    if (created.code === 403) return skip('Registration is closed, so there is no guest to do this to.');
    if (created.code !== 201) return giveUp(`Registering a guest: ${refusal(created)}`);
    pm.variables.set('guestId', created.json().id);
    if (then) then(json);
  });
}

// makeGuest registers the guest, and logs in as it.
function makeGuest(more) {
  registerGuest(({ password }) => logInAsGuest(password, (answer) => {
    if (answer.code === 200) pm.variables.set('guestToken', answer.json().access_token);
    else giveUp(`Logging in as the guest: ${refusal(answer)}`);
  }), more);
}

// removeGuest deletes the guest, whose password is now this one.
function removeGuest(password) {
  logInAsGuest(password, (answer) => {
    send('DELETE', '/users/me', { token: answer.json().access_token }, (deleted) => {
      pm.test('the guest is removed', () => pm.expect(deleted.code).to.equal(204));
    });
  });
}
