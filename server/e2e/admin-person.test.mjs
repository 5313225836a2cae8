// The administrator's page: one person, the sessions of everybody, scopes and consents.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { assertCalm, assertInert, enter, fillSignIn, go, look, poison, root, settled } from './admin.mjs';
import { eachWithAPage } from './browser.mjs';
import { freePort, startSesame } from './sesame.mjs';
import { totp } from './totp.mjs';

const at = eachWithAPage({ path: '/admin/', env: { SESAME_PRIVATE_PROVIDERS: 'on' } });
const helen = { username: 'helen', password: 'a thousand ships', email: 'helen@example.com' };
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0';
let corp; // another Sesame, which is a provider of the first one
let shop; // the client of a third party

after(() => corp?.stop());

const button = (name) => at.page.getByRole('button', { name, exact: true });
const section = (title) => at.page.locator('section.card').filter({ has: at.page.getByRole('heading', { name: title, exact: true }) });
const rows = (title) => section(title).locator('tbody tr');
const dialog = () => at.page.getByRole('dialog');
const stored = (...words) => JSON.parse(at.sesame.command('user', ...words, '--json'));

// call sends a request of helen, and resolves with the body of its answer.
async function call(method, path, { token, form, json } = {}) {
  const answer = await fetch(at.sesame.origin + path, {
    method, body: form ? new URLSearchParams(form) : json && JSON.stringify(json),
    headers: { 'User-Agent': firefox, ...token && { Authorization: `Bearer ${token}` }, ...json && { 'Content-Type': 'application/json' } },
  });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

const logIn = async () => (await call('POST', '/token', { form: { username: helen.username, password: helen.password } })).access_token;

// agree opens the page of the shop's sign-in in another browser, where a person signs in and agrees.
async function agree(page, account = helen) {
  await page.goto(`${at.sesame.origin}/authorize?${new URLSearchParams({
    response_type: 'code', client_id: shop, redirect_uri: 'https://shop.example/callback', scope: 'openid profile', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256',
  })}`);
  await fillSignIn(page, account);
  await page.route('https://shop.example/**', (route) => route.fulfill({ body: 'the shop' }));
  await page.getByRole('button', { name: 'Allow', exact: true }).click();
  await page.waitForURL('https://shop.example/**');
}

// link links an account at the provider to helen's.
async function link(page) {
  const folder = mkdtempSync(join(tmpdir(), 'secret-'));
  const file = join(folder, 'secret');
  const port = await freePort();
  const issuer = `http://localhost:${port}`; // another host, for cookies do not know ports
  corp = await startSesame({ SESAME_LISTEN: `127.0.0.1:${port}`, SESAME_PUBLIC_URL: issuer });
  const { client_id: id, client_secret: secret } = JSON.parse(corp.command('client', 'create', 'sesame', '--redirect-uri', `${at.sesame.origin}/sign-in/corp/callback`, '--json'));
  writeFileSync(file, secret, { mode: 0o600 });
  at.sesame.command('provider', 'add', 'corp', '--label', 'Example Corp', '--issuer', issuer, '--client-id', id, '--client-secret-file', file);
  rmSync(folder, { recursive: true });
  await page.goto(`${at.sesame.origin}/account/identities`);
  await page.getByLabel('Current password').fill(helen.password);
  await page.getByRole('button', { name: 'Link Example Corp' }).click();
  await fillSignIn(page, { username: 'johndoe', password: 'knock-knock' });
  await page.getByText('is linked to your account').waitFor();
}

// populate makes helen, who has something in every list.
let made;
async function populate() {
  if (made) return made;
  const { sesame, page } = at;
  sesame.createUser(helen);
  shop = JSON.parse(sesame.command('client', 'create', 'Shop of Troy', '--public', '--third-party', '--redirect-uri', 'https://shop.example/callback', '--json')).client_id;
  const elsewhere = await page.context().browser().newContext();
  const other = await elsewhere.newPage();
  await agree(other);
  await link(other);
  await elsewhere.close();
  const token = await logIn();
  const { setup, secret } = await call('POST', '/users/me/totp', { token });
  await call('POST', '/users/me/totp/confirm', { token, json: { setup, code: totp(secret), name: 'Phone of Helen' } });
  sesame.command('user', 'add-token', 'helen', '--name', 'Backup', '--scope', 'me:read');
  return (made = { token, id: stored('show', 'helen').id });
}

describe('one person', () => {
  test('is shown with everything that belongs to the account, and changed', async () => {
    const { id } = await populate();
    const { page, sesame } = at;
    await enter(at, 'People');
    await page.getByRole('link', { name: 'helen', exact: true }).click();
    await page.getByRole('heading', { name: 'helen', level: 1 }).waitFor();
    await settled(page);
    assert.equal(page.url(), `${sesame.origin}/admin/#/people/${id}`);
    assert.deepEqual(await Promise.all(['Sessions', 'Second factors', 'Linked accounts', 'Consents', 'Personal access tokens'].map((title) => rows(title).count())), [2, 1, 1, 1, 1]);
    await rows('Sessions').getByText('Firefox on Linux').waitFor();
    await rows('Second factors').getByText('Phone of Helen').waitFor();
    await rows('Linked accounts').getByText('http://localhost:').waitFor();
    await rows('Consents').getByText('Shop of Troy').waitFor();
    await rows('Events').getByText('Second factor added').waitFor();
    await look(at, 'person');

    await page.getByLabel('Name', { exact: true }).fill('Helen of Sparta');
    await page.getByLabel('events:read').check();
    await button('Save').click();
    await page.getByText('The changes are saved.').waitFor();
    const user = stored('show', 'helen');
    assert.deepEqual([user.full_name, user.scopes.includes('events:read'), user.email], ['Helen of Sparta', true, helen.email]);
    await rows('Events').getByText('Rights changed').waitFor();
    assertCalm(at);
  });

  test('loses a session, a linked account, a consent and a token, each after a question', async () => {
    const { id, token } = await populate();
    const { page, sesame } = at;
    await enter(at, 'helen', { path: `#/people/${id}` });
    await settled(page);
    await rows('Sessions').filter({ hasText: 'Firefox on Linux' }).getByRole('button', { name: 'End' }).click();
    await dialog().getByText('ends at once').waitFor();
    await look(at, 'end-session');
    await dialog().getByRole('button', { name: 'Cancel' }).click();
    await rows('Sessions').filter({ hasText: 'Firefox on Linux' }).getByRole('button', { name: 'End' }).click();
    await dialog().getByRole('button', { name: 'End', exact: true }).click();
    await page.getByText('The session of helen has ended.').waitFor();
    assert.equal((await fetch(`${sesame.origin}/users/me`, { headers: { Authorization: `Bearer ${token}` } })).status, 401);

    await rows('Linked accounts').getByRole('button', { name: 'Unlink' }).click();
    await dialog().getByText('can no longer sign in').waitFor();
    await dialog().getByRole('button', { name: 'Unlink' }).click();
    await section('Linked accounts').getByText('No account at a provider can sign in.').waitFor();

    await rows('Consents').getByRole('button', { name: 'Withdraw' }).click();
    await dialog().getByRole('heading', { name: 'Withdraw the consent to Shop of Troy?' }).waitFor();
    await dialog().getByRole('button', { name: 'Withdraw' }).click();
    await section('Consents').getByText('helen has not allowed any application').waitFor();

    await rows('Personal access tokens').getByRole('button', { name: 'Revoke' }).click();
    await dialog().getByText('Scripts that use Backup are refused at once.').waitFor();
    await dialog().getByRole('button', { name: 'Revoke' }).click();
    await section('Personal access tokens').getByText('The account has no tokens for scripts.').waitFor();

    await button('End all').click();
    await dialog().getByRole('button', { name: 'End all' }).click();
    await section('Sessions').getByText('Nobody is signed in to this account.').waitFor();
    assert.deepEqual(stored('sessions', 'helen').items, []);

    await section('Second factors').getByRole('button', { name: 'Reset' }).click();
    await look(at, 'reset-factors');
    await dialog().getByRole('button', { name: 'Reset' }).click();
    await section('Second factors').getByText('A reset removes them on').waitFor();
    assert.ok(stored('factors', 'helen').reset_at);
    const kinds = stored('events', 'helen').items.filter(({ actor }) => actor === stored('show', 'root').id).map(({ kind }) => kind).filter((kind) => !kind.startsWith('token'));
    assert.deepEqual(kinds.slice(0, 5), ['factors_reset_requested', 'logout_everywhere', 'consent_withdrawn', 'identity_unlinked', 'logout']);
    assertCalm(at);
  });

  test('is unlocked, vouched for, helped to a password, disabled, enabled and deleted', async () => {
    const { page, sesame } = at;
    const { id } = await call('POST', '/users', { json: { username: 'paris', password: 'an apple of gold', email: 'paris@example.com' } });
    for (let tries = 0; tries < 6; tries++) {
      await fetch(`${sesame.origin}/token`, { method: 'POST', body: new URLSearchParams({ username: 'paris', password: 'wrong' }) });
    }
    const tryAgain = async () => (await fetch(`${sesame.origin}/token`, { method: 'POST', body: new URLSearchParams({ username: 'paris', password: 'an apple of gold' }) })).status;
    assert.equal(await tryAgain(), 429);
    await enter(at, 'paris', { path: `#/people/${id}` });
    await button('Unlock').click();
    await dialog().getByRole('button', { name: 'Unlock' }).click();
    await page.getByText('paris can sign in at once.').waitFor();
    assert.equal(await tryAgain(), 200);
    await button('Confirm the address').click();
    await dialog().getByText('You vouch that paris@example.com belongs to paris').waitFor();
    await dialog().getByRole('button', { name: 'Confirm the address' }).click();
    await page.getByText('paris@example.com is confirmed.').waitFor();
    assert.equal(stored('show', 'paris').email_verified, true);
    await button('Mail the invitation again').click();
    await dialog().getByRole('button', { name: 'Mail the invitation again' }).click();
    await dialog().getByRole('alert').waitFor(); // the account has a password
    await page.keyboard.press('Escape');
    await button('Mail a password reset').click();
    await dialog().getByRole('button', { name: 'Mail a password reset' }).click();
    await page.getByText('The link is mailed to paris@example.com.').waitFor();
    assert.ok(await sesame.mailedCode('paris@example.com'));
    await button('Disable').click();
    await dialog().getByRole('button', { name: 'Disable' }).click();
    await page.getByText('paris is disabled.').waitFor();
    assert.equal(await tryAgain(), 400);
    await section('Sessions').getByText('Nobody is signed in to this account.').waitFor();
    await button('Enable').click();
    await dialog().getByRole('button', { name: 'Enable' }).click();
    await page.getByText('paris is enabled.').waitFor();
    assert.equal(await tryAgain(), 200);
    await button('Delete').click();
    await look(at, 'delete-person');
    assert.ok(await dialog().getByRole('button', { name: 'Delete' }).isDisabled());
    await page.getByLabel('To confirm, type paris').fill('paris');
    await dialog().getByRole('button', { name: 'Delete' }).click();
    await page.getByText('paris is deleted.').waitFor();
    await page.getByRole('heading', { name: 'People', level: 1 }).waitFor();
    assert.equal(await page.getByRole('link', { name: 'paris' }).count(), 0);
    assertCalm(at);
  });

  test('a refusal is shown where the step was', async () => {
    const { page, sesame } = at;
    const helper = { username: 'nestor', password: root.password };
    sesame.createUser({ ...helper, scopes: ['users:read', 'users:write'] });
    await enter(at, 'root', { path: `#/people/${stored('show', 'root').id}`, account: helper });
    await button('Disable').click();
    await dialog().getByRole('button', { name: 'Disable' }).click();
    await dialog().getByText('The account has scopes that your token does not have').waitFor();
    await look(at, 'beyond-authority');
    await page.keyboard.press('Escape');
    await page.getByText('Enabled', { exact: true }).waitFor();
    assert.equal(stored('show', 'root').disabled, false);
  });

  test('those who may only read see no buttons', async () => {
    const { page, sesame } = at;
    const reader = { username: 'homer', password: root.password };
    sesame.createUser({ ...reader, scopes: ['users:read'] });
    const { id } = await populate();
    await enter(at, 'helen', { path: `#/people/${id}`, account: reader });
    await settled(page);
    assert.ok(await page.getByLabel('Name', { exact: true }).isDisabled());
    for (const name of ['End', 'End all', 'Unlink', 'Withdraw', 'Revoke', 'Mail a password reset', 'Reset', 'Disable', 'Delete', 'Unlock', 'Save']) assert.equal(await button(name).count(), 0, name);
    assert.equal(await section('Events').count(), 0);
    assert.deepEqual(await page.getByRole('navigation').getByRole('link').allInnerTexts(), ['People', 'Sessions']);
    assertCalm(at);
  });
});

describe('sessions', () => {
  test('of everybody are listed, and one is ended', async () => {
    const { page, sesame } = at;
    sesame.createUser({ username: 'ajax', password: 'a shield of hides' });
    const { access_token: token } = await call('POST', '/token', { form: { username: 'ajax', password: 'a shield of hides' } });
    await enter(at, 'Sessions', { path: '#/sessions' });
    await settled(page);
    const own = page.locator('tbody tr').filter({ hasText: 'this session' });
    assert.equal(await own.count(), 1);
    await own.getByText('This page').waitFor();
    await look(at, 'sessions');
    await page.locator('tbody tr').filter({ hasText: 'ajax' }).getByRole('button', { name: 'End' }).click();
    await dialog().getByRole('heading', { name: 'End this session of ajax?' }).waitFor();
    await dialog().getByRole('button', { name: 'End', exact: true }).click();
    await page.getByText('The session of ajax has ended.').waitFor();
    assert.equal((await fetch(`${sesame.origin}/users/me`, { headers: { Authorization: `Bearer ${token}` } })).status, 401);
    await page.locator('tbody').getByRole('link', { name: 'root' }).first().click();
    await page.getByRole('heading', { name: 'root', level: 1 }).waitFor();
    assertCalm(at);
  });
});

describe('scopes and consents', () => {
  test('scopes say who has them, and the people of a client are listed', async () => {
    await populate();
    const { page } = at;
    const elsewhere = await page.context().browser().newContext();
    const hector = { username: 'hector', password: 'a spear of bronze' };
    at.sesame.createUser(hector);
    await agree(await elsewhere.newPage(), hector);
    await elsewhere.close();
    await enter(at, 'Scopes and consents', { path: '#/consents' });
    await settled(page);
    const scope = rows('Scopes').filter({ hasText: 'users:write' });
    await scope.getByText('administrators', { exact: true }).waitFor();
    await scope.locator('summary').click();
    await scope.getByText('Delete an account').waitFor();
    await look(at, 'consents');
    await section('Consents').getByRole('link', { name: 'Shop of Troy' }).click();
    await page.getByRole('heading', { name: 'Consents to Shop of Troy', level: 1 }).waitFor();
    await page.getByRole('link', { name: 'hector' }).waitFor();
    await look(at, 'client-consents');
    await button('Withdraw').click();
    await dialog().getByText('hector is asked again').waitFor();
    await dialog().getByRole('button', { name: 'Withdraw' }).click();
    await page.getByText('Nobody has agreed to this application.').waitFor();
    assertCalm(at);
  });
});

test('texts of strangers are texts', async () => {
  const { id } = await populate();
  const { page } = at;
  page.on('dialog', () => assert.fail('a script ran'));
  await enter(at, 'People');
  for (const path of ['/users/', '/sessions', '/events', '/clients', '/openapi.json']) await poison(at, path);
  await page.evaluate((hash) => { location.hash = hash; }, `#/people/${id}`);
  await page.getByRole('heading', { name: '\\u202eusername' }).waitFor();
  await settled(page);
  await assertInert(page);
  await look(at, 'person-hostile');
  await go(at, 'sessions', 'Sessions');
  await page.getByText('\\u202eusername').first().waitFor();
  await assertInert(page);
  await look(at, 'sessions-hostile');
  await go(at, 'consents', 'Scopes and consents');
  await page.getByText('\\u202ename').first().waitFor();
  await assertInert(page);
  assertCalm(at);
});

describe('in German', () => {
  test('every screen has its texts', async () => {
    const { id } = await populate();
    const { page } = at;
    await enter(at, 'People');
    await button('Deutsch').click();
    for (const [path, heading, name] of [[`people/${id}`, 'helen', 'person'], ['sessions', 'Sitzungen', 'sessions'], ['consents', 'Scopes und Zustimmungen', 'consents']]) {
      await go(at, path, heading);
      await look(at, `${name}-german`);
    }
    assertCalm(at);
  });
});
