// Every answer must have a status that the contract documents for this caller, and a body that fits its schema.
const id = pm.variables.get('operationId');
const { security, responses, accepts } = contract.operations[id];
const status = pm.response.code;
const guest = pm.variables.get('guestToken');
const resolve = (node) => (node?.$ref ? node.$ref.split('/').slice(1).reduce((part, key) => part[key], contract) : node);

const granted = String(saved('grantedScope')).split(' ');
const may = (way) => Object.values(way).flat().every((scope) => granted.includes(scope));
const mayCall = guest || !security?.length || security.some(may); // a guest has every scope that it needs
const refusals = mayCall ? accepts : { 403: 'insufficient_scope' };
const promised = resolve(responses[status] ?? responses[`${String(status)[0]}XX`]);
const succeeded = Boolean(mayCall && status < 400 && promised);

pm.test(`${id} answers as the contract says`, () => {
  if (status in refusals) {
    if (refusals[status]) {
      const { code, error } = pm.response.json();
      pm.expect(code ?? error, refusal(pm.response)).to.equal(refusals[status]);
    }
    return;
  }
  if (!succeeded) pm.expect.fail(refusal(pm.response));
  const [answer] = Object.entries(promised.content ?? {});
  if (!answer) {
    pm.expect(pm.response.text()).to.equal('');
    return;
  }
  const [mediaType, { schema }] = answer;
  pm.expect(pm.response.headers.get('Content-Type').split(';')[0]).to.equal(mediaType);
  if (schema && mediaType.endsWith('json')) pm.response.to.have.jsonSchema({ allOf: [schema], components: contract.components });
});
if (status === 401) pm.collectionVariables.set('refreshToken', ''); // the next request logs in again

if (id === 'createToken') {
  if (succeeded) keep(pm.response.json());
  else pm.execution?.setNextRequest(null); // no other request works without a login
}

// What the request must have changed shows in what it must clean up.
function removeGuest() {
  const deleted = succeeded && id.startsWith('delete');
  logInAsGuest(pm.variables.get(succeeded && id === 'changePassword' ? 'newPassword' : 'guestPassword'), (answer) => {
    if (deleted) pm.test('the deleted account cannot log in', () => pm.expect(answer.code).to.equal(400));
    else if (answer.code !== 200) giveUp(`Logging in as the guest: ${refusal(answer)}`);
    else {
      send('DELETE', '/users/me', { token: answer.json().access_token }, (removed) => {
        pm.test('the guest is removed', () => pm.expect(removed.code).to.equal(204));
      });
    }
  });
}

// A request whose username the person has changed registers an account to keep.
const registered = succeeded && id === 'createUser' && pm.response.json().username === pm.variables.get('guestName');
if (pm.variables.get('guestId') || registered) removeGuest();
if (succeeded && id === 'inviteUser' && pm.response.json().email === `${pm.variables.get('guestName')}@example.net`) {
  send('DELETE', `/users/${pm.response.json().id}`, { token: saved('accessToken') }, (answer) => {
    pm.test('the invited account is removed', () => pm.expect(answer.code).to.equal(204));
  });
}
if (succeeded && id === 'createClient' && pm.response.json().name === pm.variables.get('guestName')) {
  send('DELETE', `/clients/${pm.response.json().client_id}`, { token: saved('accessToken') }, (answer) => {
    pm.test('the client is removed', () => pm.expect(answer.code).to.equal(204));
  });
}
if (succeeded && id === 'createProvider' && pm.response.json().name === pm.variables.get('guestName')) {
  send('DELETE', `/providers/${pm.response.json().name}`, { token: saved('accessToken') }, (answer) => {
    pm.test('the provider is removed', () => pm.expect(answer.code).to.equal(204));
  });
}
if (succeeded && id === 'createWebhook' && pm.response.json().description === pm.variables.get('guestName')) {
  send('DELETE', `/webhooks/${pm.response.json().id}`, { token: saved('accessToken') }, (answer) => {
    pm.test('the webhook is removed', () => pm.expect(answer.code).to.equal(204));
  });
}
if (succeeded && guest && /^(end|revoke)/.test(id)) {
  send('GET', '/users/me', { token: guest }, (answer) => {
    pm.test('the token of an ended session is refused', () => pm.expect(answer.code).to.equal(401));
  });
}

// The last request of a run ends its session. A request that is sent alone is no run, and keeps its login.
if (id === contract.last && pm.variables.get('openedInThisRun')) {
  send('POST', '/token/revoke', { form: { token: saved('refreshToken') } }, (answer) => {
    pm.test('the session of this run is ended', () => pm.expect(answer.code).to.equal(200));
    for (const name of ['accessToken', 'refreshToken', 'loggedInAs']) pm.collectionVariables.set(name, '');
  });
}
