// Both scripts of the collection begin with these functions, since a script cannot import another.
const saved = (name) => pm.collectionVariables.get(name);
const random = () => pm.variables.replaceIn('{{$guid}}');

// refusal describes an unexpected answer in the words of the server.
function refusal(answer) {
  try {
    const problem = answer.json();
    return `${answer.code} ${problem.code || problem.error}: ${problem.detail || problem.error_description}`;
  } catch {
    return `${answer.code} ${answer.text()}`;
  }
}

// send calls the server in addition to the current request, without the authorization of the collection.
function send(method, path, { token, form, json }, then) {
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

// giveUp shows one failure and ends the run. (Apidog has no pm.execution.)
function giveUp(message) {
  pm.test(message, () => pm.expect.fail(message));
  if (!pm.execution) throw new Error(message);
  pm.execution.setNextRequest(null);
  if (pm.info.eventName === 'prerequest') pm.execution.skipRequest();
}

function logIn(username, password, scope, then) {
  send('POST', '/token', { form: { grant_type: 'password', username, password, scope } }, then);
}

// logInAsGuest requests the scope that deletes the guest's account, which is not a default scope.
function logInAsGuest(password, then) {
  logIn(pm.variables.get('guestName'), password, 'me:read me:write me:delete', then);
}

// keep stores a session for the next requests. It does not store the password.
function keep(session) {
  const values = {
    accessToken: session.access_token,
    refreshToken: session.refresh_token,
    grantedScope: session.scope,
    renewAt: Date.now() + session.expires_in * 800, // a fifth of its lifetime remains for slow requests
    loggedInAs: pm.variables.get('username'),
  };
  for (const [name, value] of Object.entries(values)) pm.collectionVariables.set(name, String(value));
  pm.variables.set('openedInThisRun', 'yes');
}

