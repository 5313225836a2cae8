// A login in Swagger UI: the page refreshes it in time, ends it on the server, and stores it nowhere. The tests move the
// clock of the page instead of waiting for a token to expire.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCalm, demo, eachWithAPage, execute, forPeople, logIn, logOut, openDialog, openOperation, openSignIn, press, screenshot, signIn, submitLogin, swaggerUI } from './browser.mjs';
import { report } from './consumer.mjs';

const at = eachWithAPage({ env: { SESAME_ACCESS_TOKEN_TTL: '1m' } });

async function open() {
  await at.page.clock.install();
  await at.page.goto(`${at.sesame.origin}/docs/`);
}

const grants = (type) => at.requests.filter((request) => new URLSearchParams(request.postData()).get('grant_type') === type);
const refreshed = () => at.page.waitForResponse((response) =>
  response.url().endsWith('/token') && response.request().postData().includes('grant_type=refresh_token'));
const lastToken = (path) => at.requests.findLast((request) => request.url().endsWith(path) && request.method() === 'GET')
  .headers().authorization?.replace('Bearer ', '');

// status returns the status of a request with a token that is not sent by the page.
const status = async (token) =>
  (await fetch(`${at.sesame.origin}/users/me`, { headers: { Authorization: `Bearer ${token}` } })).status;
const call = (path, body) => fetch(at.sesame.origin + path, { method: 'POST', body });

async function newAccount(username) {
  const account = { username, password: 'a wooden horse' };
  const answer = await fetch(`${at.sesame.origin}/users`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(account),
  });
  assert.equal(answer.status, 201);
  return account;
}

// sessions returns those of an account except the one that it opens itself.
async function sessions(account) {
  const { access_token: token } = await (await call('/token', new URLSearchParams({ grant_type: 'password', ...account }))).json();
  const headers = { Authorization: `Bearer ${token}` };
  const { items } = await (await fetch(`${at.sesame.origin}/users/me/sessions`, { headers })).json();
  await call('/token/revoke', new URLSearchParams({ token }));
  return items.filter((session) => !session.current);
}

test('the token is refreshed before it expires, repeatedly', async () => {
  const { page } = at;
  await open();
  const first = await logIn(page);
  await page.clock.fastForward(45_000);
  assert.equal((await execute(page, 'getMe')).status, 200);
  assert.equal(lastToken('/users/me'), first.access_token);
  assert.equal(grants('refresh_token').length, 0);

  const pairs = [first];
  for (const seconds of [10, 55]) {
    const [answer] = await Promise.all([refreshed(), page.clock.fastForward(seconds * 1000)]);
    assert.equal(answer.status(), 200);
    const sent = new URLSearchParams(answer.request().postData()).get('refresh_token');
    assert.equal(sent, pairs.at(-1).refresh_token, 'not the newest refresh token');
    pairs.push(await answer.json());
    assert.equal((await execute(page, 'getMe')).status, 200);
    assert.equal(lastToken('/users/me'), pairs.at(-1).access_token);
  }
  assert.equal(new Set(pairs.map((pair) => pair.access_token)).size, 3);
  assert.equal(grants('refresh_token').length, 2);
  assertCalm(at);
});

test('after the machine has slept, the token is refreshed once, before the next requests', async () => {
  const { page } = at;
  await open();
  const first = await logIn(page);
  const blocks = [await openOperation(page, 'getMe'), await openOperation(page, 'listSessions')];
  await page.clock.setSystemTime(Date.now() + 10 * 60_000); // no timer fires
  assert.equal(grants('refresh_token').length, 0);

  await page.evaluate(() => document.querySelectorAll('.btn.execute').forEach((button) => button.click()));
  for (const block of blocks) {
    assert.equal(await block.locator('.live-responses-table .response .response-col_status').innerText(), '200');
  }
  assert.equal(grants('refresh_token').length, 1);
  assert.notEqual(lastToken('/users/me'), first.access_token);
  assert.equal(lastToken('/users/me'), lastToken('/users/me/sessions'));
  assertCalm(at);
});

test('a refresh that does not reach the server is retried', async () => {
  const { page } = at;
  await open();
  await logIn(page);
  await page.route('**/token', (route) => route.abort());
  await Promise.all([page.waitForEvent('requestfailed'), page.clock.fastForward(55_000)]);
  await page.unroute('**/token');
  await page.route('**/token', (route) => route.fulfill({ status: 503, json: { error: 'temporarily_unavailable' } }));
  const [unavailable] = await Promise.all([refreshed(), page.clock.fastForward(6_000)]);
  assert.equal(unavailable.status(), 503);
  await page.unroute('**/token');

  const [answer] = await Promise.all([refreshed(), page.clock.fastForward(6_000)]);
  assert.equal(answer.status(), 200);
  assert.equal((await execute(page, 'getMe')).status, 200);
  assert.equal(lastToken('/users/me'), (await answer.json()).access_token);
  assert.equal(await page.getByRole('alert').innerText(), '');
});

test('when the session has been ended elsewhere, the page logs out and says so', async () => {
  const { page } = at;
  await open();
  const { access_token: token } = await logIn(page);
  await page.locator('#operations-Health-getReadiness').scrollIntoViewIfNeeded();
  await call('/token/revoke', new URLSearchParams({ token }));
  await Promise.all([refreshed(), page.clock.fastForward(55_000)]);

  const message = page.getByRole('alert').getByText('You are logged out');
  await message.waitFor();
  assert.ok(await message.evaluate((node) => {
    const { top, bottom } = node.getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight && node.contains(document.elementFromPoint(innerWidth / 2, (top + bottom) / 2));
  }), 'the message is out of sight');
  await screenshot(page, 'logged-out');
  await page.locator('.btn.authorize.unlocked').waitFor();
  assert.equal((await execute(page, 'getMe')).status, 401);
  assert.equal(lastToken('/users/me'), undefined);

  await logIn(page);
  assert.equal((await execute(page, 'getMe')).status, 200);
  assert.equal(await page.getByRole('alert').innerText(), '');
  assertCalm(at, [['400 (Bad Request)', '/token'], ['401 (Unauthorized)', '/users/me']]);
});

test('after Log out everywhere the page shows the refusal and logs out', async () => {
  const { page } = at;
  await open();
  await logIn(page, await newAccount('everywhere'));
  assert.equal((await execute(page, 'endSessions')).status, 204);
  const { status: refused, text } = await execute(page, 'getMe');
  assert.equal(refused, 401);
  assert.match(text, /"code": "invalid_token"/);
  assert.match(text, /expired, revoked or invalid/);
  await page.getByRole('alert').getByText('You are logged out').waitFor();
  await page.locator('.btn.authorize.unlocked').waitFor();
});

test('Logout in the dialog ends the session on the server', async () => {
  const { page } = at;
  await open();
  const pair = await logIn(page);
  assert.equal(await status(pair.access_token), 200);
  const told = page.waitForResponse('**/token/revoke');
  await logOut(page);
  assert.equal((await told).status(), 200);
  assert.equal(await status(pair.access_token), 401);
  const again = await call('/token', new URLSearchParams({ grant_type: 'refresh_token', refresh_token: pair.refresh_token }));
  assert.equal(again.status, 400);
  await page.clock.fastForward(120_000);
  assert.equal(grants('refresh_token').length, 0, 'the page refreshes what it has given up');
  assertCalm(at);
});

test('a login through a service client is refreshed and ended on the server with its secret', async () => {
  const { page, sesame } = at;
  const client = JSON.parse(sesame.command('client', 'create', 'session', '--password-grant', '--json'));
  await open();
  const dialog = await openDialog(page);
  await dialog.getByText('Log in through a client').click();
  await forPeople(dialog).getByLabel('client_id').fill(client.client_id);
  await forPeople(dialog).getByLabel('client_secret').fill(client.client_secret);
  const given = page.waitForResponse('**/token');
  await submitLogin(dialog, demo);
  const { access_token: token } = await (await given).json();
  assert.equal(JSON.parse(atob(token.split('.')[1])).client_id, client.client_id);
  await forPeople(dialog).getByRole('button', { name: 'Close' }).click();
  const [answer] = await Promise.all([refreshed(), page.clock.fastForward(55_000)]);
  assert.equal(answer.status(), 200);
  const told = page.waitForResponse('**/token/revoke');
  await logOut(page);
  assert.equal((await told).status(), 200);
  assert.equal(await status(token), 401);
  assertCalm(at);
});

const codeGrants = () => grants('authorization_code');
const close = (dialog) => forPeople(dialog).getByRole('button', { name: 'Close' }).click();

test('a person signs in with the browser; the login is refreshed, and ended on the server', async () => {
  const { page, sesame } = at;
  await open();
  let dialog = await openDialog(page);
  for (const scope of ['me:read', 'openid']) await forPeople(dialog).locator(`[data-value="${scope}"]`).check();
  const popup = await openSignIn(page, dialog);
  await popup.getByText('the API documentation').waitFor();
  await screenshot(popup, 'sign-in-window');
  const given = page.waitForResponse('**/token');
  await signIn(popup);
  const pair = await (await given).json();
  assert.equal(await forPeople(dialog).getByRole('status').innerText(), 'Logged in with the browser with me:read openid');
  assert.equal(JSON.parse(atob(pair.access_token.split('.')[1])).client_id, 'docs');
  const sent = new URLSearchParams(codeGrants()[0].postData());
  assert.equal(sent.get('redirect_uri'), `${sesame.origin}/docs/oauth2-redirect.html`);
  assert.match(sent.get('code_verifier'), /^[\w-]{43}$/);
  await close(dialog);
  assert.equal((await execute(page, 'getMe')).status, 200);
  assert.equal(lastToken('/users/me'), pair.access_token);

  const [answer] = await Promise.all([refreshed(), page.clock.fastForward(55_000)]);
  assert.equal(answer.status(), 200);
  assert.equal((await execute(page, 'getMe')).status, 200);
  assert.equal(lastToken('/users/me'), (await answer.json()).access_token);

  const told = page.waitForResponse('**/token/revoke');
  await logOut(page);
  assert.equal((await told).status(), 200);
  assert.equal(await status(lastToken('/users/me')), 401);

  // The browser still knows the person, who has to choose again after the logout, and only then.
  dialog = await openDialog(page);
  await signIn(await openSignIn(page, dialog));
  await dialog.getByText('Logged in with the browser').waitFor();
  await page.reload();
  dialog = await openDialog(page);
  const silent = await openSignIn(page, dialog);
  await dialog.getByText('Logged in with the browser').waitFor();
  assert.ok(silent.isClosed() || await silent.waitForEvent('close'));
  assert.equal(codeGrants().length, 3);
  for (const request of codeGrants()) {
    assert.ok(!sesame.log().includes(new URLSearchParams(request.postData()).get('code')), 'the log has a code');
  }
  assertCalm(at);
});

test('a sign-in that comes to nothing says why, and no code of another sign-in is used', async () => {
  const { page, sesame } = at;
  await open();
  const dialog = await openDialog(page);
  const part = forPeople(dialog);
  const closed = await openSignIn(page, dialog);
  await closed.close();
  await page.clock.fastForward(1_000);
  await part.getByText('The window was closed').waitFor();

  const other = await openSignIn(page, dialog);
  await other.goto(`${sesame.origin}/docs/oauth2-redirect.html?code=stolen&state=another`).catch(() => {}); // the window closes itself
  await part.getByText('belongs to another sign-in').waitFor();
  await screenshot(page, 'sign-in-refused');

  // A client that does not exist gets no answer: the person reads why.
  await part.getByText('Log in through a client').click();
  await part.getByLabel('client_id').fill('unknown');
  const unknown = await openSignIn(page, dialog);
  await unknown.getByText('there is no client with this client_id').waitFor();
  await unknown.close();

  // A client of one's own: the same with its secret.
  const client = JSON.parse(sesame.command('client', 'create', 'pages', '--redirect-uri', `${sesame.origin}/docs/oauth2-redirect.html`, '--json'));
  await part.getByLabel('client_id').fill(client.client_id);
  await part.getByLabel('client_secret').fill('wrong');
  await signIn(await openSignIn(page, dialog));
  await part.getByText('The client is unknown or its secret is wrong.').waitFor();
  await part.getByLabel('client_secret').fill(client.client_secret);
  const again = await openSignIn(page, dialog);
  await part.getByText('Logged in with the browser').waitFor();
  assert.ok(again.isClosed() || await again.waitForEvent('close'));
  assert.equal(codeGrants().length, 2);
  assertCalm(at, [['400 (Bad Request)', `/authorize?${new URL(at.requests.find((request) => request.url().includes('client_id=unknown')).url()).searchParams}`], ['401 (Unauthorized)', '/token']]);
});

test('at another address than the public one, the page says where sign-in with the browser works', async () => {
  const { page, sesame } = at;
  const elsewhere = sesame.origin.replace('127.0.0.1', 'localhost');
  await page.goto(`${elsewhere}/docs/`);
  const dialog = await openDialog(page);
  assert.equal(await dialog.getByRole('link', { name: `${sesame.origin}/docs/` }).getAttribute('href'), `${sesame.origin}/docs/`);
  assert.equal(await dialog.getByRole('button', { name: 'Sign in with the browser' }).count(), 0);
  await submitLogin(dialog, demo);
  await dialog.getByText('Logged in as johndoe').waitFor();
  assertCalm(at, [], elsewhere);
});

test('Logout without a server drops the tokens and says so', async () => {
  const { page } = at;
  await open();
  await logIn(page);
  await page.route('**/token/revoke', (route) => route.abort());
  const dialog = await openDialog(page);
  await dialog.getByRole('button', { name: 'Log out' }).click();
  const message = dialog.getByText('the server could not be reached');
  await message.waitFor();
  await message.scrollIntoViewIfNeeded();
  await screenshot(page, 'logout-unreachable');
  await forPeople(dialog).getByRole('button', { name: 'Close' }).click();
  assert.equal((await execute(page, 'getMe')).status, 401);
  assert.equal(lastToken('/users/me'), undefined);
});

test('no login leaves a session behind: pressed twice, out and in again, page reloaded', async () => {
  const { page } = at;
  const account = await newAccount('twice');
  await open();
  const answers = [];
  page.on('response', (response) => { if (response.url().endsWith('/token')) answers.push(response); });
  const dialog = await openDialog(page);
  await page.route('**/token', async (route) => {
    const answer = await route.fetch();
    if (grants('password').length === 1) {
      // The first answer arrives after the second request was sent.
      await dialog.getByRole('button', { name: 'Log in' }).click();
    }
    await route.fulfill({ response: answer });
  });
  const ended = page.waitForResponse('**/token/revoke');
  await submitLogin(dialog, account);
  await ended;
  await page.unroute('**/token');
  assert.equal(answers.length, 2);
  assert.equal((await sessions(account)).length, 1);
  await forPeople(dialog).getByRole('button', { name: 'Close' }).click();
  assert.equal((await execute(page, 'getMe')).status, 200);

  const told = page.waitForResponse('**/token/revoke');
  await logOut(page);
  await told;
  await logIn(page, account);
  assert.equal((await sessions(account)).length, 1);

  await page.reload();
  for (const deadline = Date.now() + 10_000; (await sessions(account)).length > 0;) {
    assert.ok(Date.now() < deadline, 'the session outlives the page');
  }
});

test('the page stores neither the password nor the tokens', async () => {
  const { page } = at;
  await open();
  await logIn(page);
  const kept = await page.evaluate(async () => JSON.stringify([
    { ...localStorage }, { ...sessionStorage }, document.cookie, await indexedDB.databases(), await caches.keys(), location.href,
  ]));
  assert.ok(!/knock|eyJ/.test(kept), `the browser keeps ${kept}`);
  const state = () => page.evaluate(() => JSON.stringify(window.ui.getState().get('auth')));
  assert.match(await state(), /eyJ/);
  assert.doesNotMatch(await state(), /knock-knock/);

  // After a logout in the same dialog the form is empty.
  await logOut(page);
  const dialog = await openDialog(page);
  await submitLogin(dialog, demo);
  await dialog.getByRole('button', { name: 'Log out' }).click();
  await dialog.getByRole('button', { name: 'Log in' }).click();
  await dialog.getByRole('alert').getByText('needs username').waitFor();
  assert.doesNotMatch(grants('password').at(-1).postData(), /knock/);
  assert.doesNotMatch(await state(), /eyJ/);
  report('Swagger UI, login', swaggerUI, 'refreshes in time and after sleep, logs out here and on the server, keeps nothing');
});
