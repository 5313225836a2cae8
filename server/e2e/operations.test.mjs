// "Try it out" of every operation of the contract, once each, in Swagger UI.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { assertCalm, eachWithAPage, logIn, logOut, openOperation, press, swaggerUI, useClient } from './browser.mjs';
import { report } from './consumer.mjs';
import { totp } from './totp.mjs';

const at = eachWithAPage({ env: { SESAME_DYNAMIC_REGISTRATION: 'open' } });

const administrator = { username: 'root', password: 'a wooden horse', scopes: ['users:read', 'users:write', 'clients:read', 'clients:write', 'events:read', 'settings:read', 'settings:write'] };
const account = { username: 'trojan', password: 'a wooden horse' };
const forgetful = { username: 'paris', password: 'an apple of gold', email: 'paris@example.com' }; // its registration mails nothing
const changed = 'trojan@example.org';
const shown = {}; // the answer that the page showed for each operation
let pair; // the tokens of the page
let code; // from a mail
let television; // a client

// cases have the values of operations for which the examples do not work: `fields` for the rows of a form and of parameters,
// `body` for the JSON. `before` runs first, `login` logs in again, as the account unless it names another, `client` uses a
// service client, and `code` is from the last mail to an address. `stale` says that the first try is refused, since the tokens
// of the page are older than the second factor. `leadsTo` is the status of the page to which an operation sends the browser, which
// follows. `refused` is the status of an operation that cannot succeed here. Operations that end something come last.
const cases = {
  getHealth: {},
  getReadiness: {},
  getMetadata: {},
  getOpenIDConfiguration: {},
  getKeys: {},
  createUser: { body: () => ({ username: 'trojan', password: account.password, email: 'trojan@example.com', full_name: 'Ann of Troy' }) },
  listUsers: { before: promote, login: true, fields: () => ({ q: 'tro' }) },
  getUser: { fields: () => ({ user_id: shown.createUser.id }) },
  updateUser: { fields: () => ({ user_id: shown.createUser.id }), body: () => ({ scopes: administrator.scopes }) },
  createClient: { body: () => ({ name: 'web', redirect_uris: ['https://app.example.com/callback'] }) },
  listClients: {},
  getClient: { fields: () => ({ client_id: shown.createClient.client_id }) },
  updateClient: { fields: () => ({ client_id: shown.createClient.client_id }), body: () => ({ name: 'shop' }) },
  replaceClientSecret: { fields: () => ({ client_id: shown.createClient.client_id }), body: () => ({ keep_old_for: 0 }) },
  listClientConsents: { fields: () => ({ client_id: shown.createClient.client_id }) },
  deleteClient: { fields: () => ({ client_id: shown.createClient.client_id }) },
  createProvider: { body: () => ({ name: 'google', kind: 'oidc', issuer: 'https://accounts.google.com', client_id: 'sesame' }) },
  listProviders: {},
  getProvider: { fields: () => ({ provider: 'google' }) },
  updateProvider: { fields: () => ({ provider: 'google' }), body: () => ({ label: 'Google' }) },
  deleteProvider: { fields: () => ({ provider: 'google' }) },
  createWebhook: { body: () => ({ url: 'https://shop.example/hooks/sesame', kinds: ['account_created'], disabled: true }) },
  listWebhooks: {},
  getWebhook: { fields: () => ({ webhook_id: shown.createWebhook.id }) },
  updateWebhook: { fields: () => ({ webhook_id: shown.createWebhook.id }), body: () => ({ description: 'Orders' }) },
  replaceWebhookSecret: { fields: () => ({ webhook_id: shown.createWebhook.id }), body: () => ({ keep_old_for: 0 }) },
  testWebhook: { fields: () => ({ webhook_id: shown.createWebhook.id }) },
  listDeliveries: { fields: () => ({ webhook_id: shown.createWebhook.id, state: 'pending' }) },
  getDelivery: { fields: () => ({ webhook_id: shown.createWebhook.id, event_id: shown.testWebhook.event_id }) },
  resendDelivery: { fields: () => ({ webhook_id: shown.createWebhook.id, event_id: shown.testWebhook.event_id }) },
  deleteWebhook: { fields: () => ({ webhook_id: shown.createWebhook.id }) },
  resetFactors: { before: strengthenGuest, fields: () => ({ user_id: guest.id }) },
  startPasswordReset: { fields: () => ({ user_id: shown.createUser.id }) },
  inviteUser: { body: () => ({ email: 'helen@example.com' }) },
  resendInvitation: { fields: () => ({ user_id: shown.inviteUser.id }), refused: 429 }, // the first mail was just now
  listAllSessions: {},
  listUserSessions: { fields: () => ({ user_id: guest.id }) },
  endUserSession: { before: enterGuest, fields: () => ({ user_id: guest.id, session_id: guest.session }) },
  endUserSessions: { fields: () => ({ user_id: guest.id }) },
  listUserFactors: { fields: () => ({ user_id: guest.id }) },
  listUserIdentities: { fields: () => ({ user_id: guest.id }) },
  deleteUserIdentity: { fields: () => ({ user_id: guest.id, identity_id: '019ad827-a0f2-7a10-b4c5-52c0a7f6f5d1' }), refused: 404 }, // the account has none
  unlockUser: { fields: () => ({ user_id: guest.id }) },
  listUserConsents: { fields: () => ({ user_id: guest.id }) },
  withdrawUserConsent: { fields: () => ({ user_id: guest.id, client_id: shown.createClient.client_id }), refused: 404 }, // the account has agreed to nothing
  deleteUser: { fields: () => ({ user_id: guest.id }) },
  authorize: { fields: () => authorization() },
  authorizeWithForm: { fields: () => ({ ...authorization(), id_token_hint: '' }), leadsTo: 200 },
  pushAuthorizationRequest: { fields: () => ({ ...authorization(), id_token_hint: '' }) },
  authorizeDevice: {
    before: () => { television = JSON.parse(at.sesame.command('client', 'create', 'television', '--public', '--device', '--json')); },
    fields: () => ({ client_id: television.client_id }),
  },
  registerClient: {},
  signOut: {},
  signOutWithForm: { fields: () => ({ id_token_hint: '', post_logout_redirect_uri: '' }), leadsTo: 200 },
  createToken: { fields: () => ({ username: account.username, password: account.password, refresh_token: '', scope: 'me:read' }) },
  getMe: { login: true },
  getUserInfo: {},
  postUserInfo: {},
  requestEmailVerification: {},
  changeEmail: { body: () => ({ email: changed, password: account.password }) },
  confirmEmail: { code: changed, body: () => ({ code }) },
  requestPasswordReset: { body: () => ({ email: forgetful.email }) },
  confirmPasswordReset: { code: forgetful.email, body: () => ({ code, new_password: forgetful.password = 'an apple of discord' }) },
  updateMe: { body: () => ({ full_name: null }) },
  listSessions: {},
  listIdentities: {},
  deleteIdentity: { fields: () => ({ identity_id: '019ad827-a0f2-7a10-b4c5-52c0a7f6f5d1' }), refused: 404 }, // the account has none
  listConsents: {},
  withdrawConsent: { fields: () => ({ client_id: shown.createClient.client_id }), refused: 404 }, // the account has agreed to nothing
  createPersonalToken: {},
  listPersonalTokens: {},
  listUserPersonalTokens: { fields: () => ({ user_id: shown.createUser.id }) },
  revokeUserPersonalToken: { fields: () => ({ user_id: shown.createUser.id, token_id: shown.createPersonalToken.id }) },
  revokePersonalToken: { before: anotherToken, fields: () => ({ token_id: shown.anotherToken.id }) },
  listMyEvents: { fields: () => ({ limit: '1' }) },
  startPasskeySignIn: {},
  startTotp: {},
  confirmTotp: { body: () => ({ setup: shown.startTotp.setup, code: totp(shown.startTotp.secret), name: 'Phone' }) },
  listFactors: {},
  renameFactor: { stale: true, fields: () => ({ factor_id: shown.listFactors.items[0].id }), body: () => ({ name: 'Old phone' }) },
  replaceRecoveryCodes: {},
  removeFactor: { fields: () => ({ factor_id: shown.listFactors.items[0].id }) },
  startPasskey: {},
  addPasskey: { body: () => ({ name: 'Key', credential: passkey(shown.startPasskey) }) },
  introspectToken: { before: weaken, client: true, fields: () => ({ token: pair.access_token }) },
  endSession: { fields: () => ({ session_id: shown.listSessions.items.find((session) => !session.current).id }) },
  changePassword: {
    body: () => {
      const [current, next] = [account.password, account.password = 'a bigger wooden horse'];
      return { current_password: current, new_password: next };
    },
  },
  revokeToken: { fields: () => ({ token: pair.refresh_token }) },
  endSessions: { login: true },
  deleteMe: { before: () => { account.scopes = ['me:delete']; }, login: true },
  listEvents: { login: administrator, fields: () => ({ user_id: shown.createUser.id, kind: ['login'] }) },
  exportEvents: {},
  getSettings: {},
  listSigningKeys: {},
  rotateSigningKey: {},
  retryMail: { refused: 404 },
  deleteMail: { refused: 404 },
  sendTestMail: { refused: 409 }, // the administrator has no address
  listMails: {}, // the last one, which is not refused
};

// authorization returns the parameters of a request that gets a page.
const authorization = () => ({
  response_type: 'code', client_id: 'docs', redirect_uri: `${at.sesame.origin}/docs/oauth2-redirect.html`,
  code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
});

// promote makes an account an administrator.
function promote() {
  account.scopes = ['openid', 'me:read', 'me:write', ...administrator.scopes];
  at.sesame.command('user', 'grant', account.username, ...administrator.scopes);
}

// invite registers an account that a case may delete.
let guest;
async function invite() {
  const answer = await fetch(`${at.sesame.origin}/users`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'guest', password: account.password }),
  });
  guest = await answer.json();
}

// passkey is what navigator.credentials.create would return, at localhost: a new key, with the attestation "none".
function passkey({ challenge, rp }) {
  const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  const id = randomBytes(32);
  const key = Buffer.concat([ // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
    Buffer.from('a5010203262001215820', 'hex'), Buffer.from(x, 'base64url'), Buffer.from('225820', 'hex'), Buffer.from(y, 'base64url'),
  ]);
  const data = Buffer.concat([
    createHash('sha256').update(rp.id).digest(), Buffer.from('4500000000', 'hex'), Buffer.alloc(16), Buffer.from([0, id.length]), id, key,
  ]);
  // {"fmt": "none", "attStmt": {}, "authData": data}
  const object = Buffer.concat([Buffer.from('a363666d74646e6f6e656761747453746d74a068617574684461746158', 'hex'), Buffer.from([data.length]), data]);
  const client = JSON.stringify({ type: 'webauthn.create', challenge, origin: at.sesame.origin.replace('127.0.0.1', rp.id), crossOrigin: false });
  return JSON.stringify({
    id: id.toString('base64url'), rawId: id.toString('base64url'), type: 'public-key',
    response: { clientDataJSON: Buffer.from(client).toString('base64url'), attestationObject: object.toString('base64url') },
  });
}

// weaken removes the passkey, without which the account could not log in again.
async function weaken() {
  const headers = { Authorization: `Bearer ${pair.access_token}` };
  const answer = await fetch(`${at.sesame.origin}/users/me/factors/${shown.addPasskey.factor.id}`, { method: 'DELETE', headers });
  assert.equal(answer.status, 204);
}

// strengthenGuest gives the guest a second factor.
async function strengthenGuest() {
  await invite();
  const { access_token: token } = await post('/token', new URLSearchParams({ username: 'guest', password: account.password }));
  const { setup, secret } = await post('/users/me/totp', undefined, token);
  await post('/users/me/totp/confirm', JSON.stringify({ setup, code: totp(secret), name: 'Phone' }), token);
}

// enterGuest starts a session of another guest, who has no second factor.
async function enterGuest() {
  const username = 'second-guest';
  guest = await post('/users', JSON.stringify({ username, password: account.password }));
  const { access_token: token } = await post('/token', new URLSearchParams({ username, password: account.password }));
  guest.session = JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).sid;
}

// anotherToken makes another personal access token, after an administrator has revoked the first one.
async function anotherToken() {
  shown.anotherToken = await post('/users/me/tokens', JSON.stringify({ name: 'Another', scopes: ['me:read'], expires_in_days: 1 }), pair.access_token);
}

async function post(path, body, token) {
  const headers = { ...token && { Authorization: `Bearer ${token}` }, ...typeof body === 'string' && { 'Content-Type': 'application/json' } };
  const answer = await fetch(`${at.sesame.origin}${path}`, { method: 'POST', headers, body });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

async function fillIn(block, { fields, body }) {
  for (const [name, value] of Object.entries(fields?.() ?? {})) {
    const field = block.locator(`:is([data-property-name="${name}"], [data-param-name="${name}"]) :is(input:not([type=checkbox]), select)`);
    if (await field.evaluate((node) => node.matches('select'))) await field.selectOption(value);
    else await field.fill(value);
  }
  if (body) await block.locator('textarea.body-param__text').fill(JSON.stringify(body()));
}

test('every operation can be tried out', async (t) => {
  const { sesame, page } = at;
  const contract = await (await fetch(`${sesame.origin}/openapi.json`)).json();
  const operations = new Map(Object.values(contract.paths).flatMap((path) => Object.values(path))
    .filter((operation) => operation.operationId).map((operation) => [operation.operationId, operation]));
  for (const id of operations.keys()) assert.ok(id in cases, `no case for operation ${id}: add it to the cases above`);
  for (const id of Object.keys(cases)) assert.ok(operations.has(id), `the contract has no operation ${id} any more`);

  [administrator, forgetful].forEach(sesame.createUser);
  await page.goto(`${sesame.origin}/docs/`);
  for (const [id, example] of Object.entries(cases)) {
    await t.test(id, async () => {
      await example.before?.();
      if (example.login) {
        if (await page.locator('.auth-wrapper .btn.authorize.locked').isVisible()) await logOut(page);
        pair = await logIn(page, example.login === true ? account : example.login);
      }
      if (example.code) code = await sesame.mailedCode(example.code);
      if (example.client) await useClient(page, JSON.parse(sesame.command('client', 'create', 'swagger', '--json')));
      const block = await openOperation(page, id);
      await fillIn(block, example);
      if (example.stale) { // the page refreshes its tokens then
        const renewed = page.waitForResponse((response) => response.url().endsWith('/token'));
        assert.equal((await press(block)).status, 401);
        pair = await (await renewed).json();
      }
      const { status, text } = await press(block);
      const documented = Object.entries(operations.get(id).responses).filter(([each]) => each.startsWith('2') || Number(each) === example.refused);
      if (example.leadsTo) {
        assert.equal(status, example.leadsTo, text);
      } else {
        let [, success] = documented.find(([each]) => Number(each) === status) ?? [];
        assert.ok(success, `${status} instead of ${documented.map(([each]) => each)}: ${text}`);
        if (success.$ref) success = contract.components.responses[success.$ref.split('/').at(-1)];
        if (success.content) shown[id] = success.content['application/json'] || status >= 400 ? JSON.parse(text) : text;
      }
      await block.locator('.opblock-summary-control').click(); // the page is slow with all operations unfolded
    });
  }
  assert.equal(shown.createUser.username, 'trojan');
  assert.equal(shown.createToken.scope, 'me:read');
  assert.equal(shown.getMe.id, shown.createUser.id);
  assert.deepEqual([shown.getMe.full_name, shown.updateMe.full_name], ['Ann of Troy', null]);
  assert.deepEqual(shown.listUsers.items.map(({ username }) => username), ['trojan']);
  assert.deepEqual([shown.getUser.id, shown.updateUser.scopes.length], [shown.createUser.id, 13]);
  assert.deepEqual([shown.getUserInfo.sub, shown.postUserInfo.sub], [shown.createUser.id, shown.createUser.id]);
  assert.deepEqual([shown.getClient.name, shown.updateClient.name], ['web', 'shop']);
  assert.match(shown.authorize, /<title>Sign in/);
  assert.deepEqual([shown.introspectToken.active, shown.introspectToken.username], [true, 'trojan']);
  assert.deepEqual([shown.updateMe.email, shown.updateMe.email_verified], [changed, true]);
  assert.deepEqual(shown.listMyEvents.items.map(({ kind }) => kind), ['token_revoked']);
  const { email: username, password } = forgetful;
  const login = await fetch(`${sesame.origin}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'password', username, password }) });
  assert.equal(login.status, 200, 'the reset password does not log in');
  assert.ok(shown.listEvents.items.length > 2 && shown.listEvents.items.every((event) => event.kind === 'login' && event.username === 'trojan'));
  assertCalm(at);
  report('Swagger UI', swaggerUI, `tried each of ${operations.size} operations out, each with its documented success`);
});
