// The administrator's page: the focus, the Escape key, double-clicks, and a network that fails.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertCalm, enter, fillSignIn, go, receiver, root, settled } from './admin.mjs';
import { eachWithAPage } from './browser.mjs';

const url = await receiver();

const at = eachWithAPage({ env: { SESAME_PRIVATE_WEBHOOKS: 'on' }, path: '/admin/' });
const button = (name) => at.page.getByRole('button', { name, exact: true });
const dialog = () => at.page.getByRole('dialog');

// focused waits until the element with the focus fits a selector.
const focused = (what) => at.page.waitForFunction((selector) => document.activeElement.matches(selector), what);

describe('the keyboard', () => {
  test('closes no dialog with a secret', async () => {
    const { page } = at;
    await enter(at, 'New client', { path: '#/clients/new' });
    await page.getByLabel('Name', { exact: true }).fill('shop');
    await page.getByLabel('Redirect addresses').fill('https://shop.example/callback');
    await button('Create').click();
    await page.getByText('Store it now.').waitFor();
    const secret = await dialog().locator('.copyable code').innerText();
    for (let i = 0; i < 4; i++) await page.keyboard.press('Escape'); // browsers ask the page about the first one alone
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.equal(await page.locator('dialog[open] .copyable code').innerText(), secret);
    await focused('dialog button');
    await go(at, 'people', 'People'); // as by the Back button
    assert.equal(await page.locator('dialog[open] .copyable code').innerText(), secret);
    await button('I have stored it').click();
    await page.getByRole('heading', { name: 'shop', level: 1 }).waitFor();
    let pass;
    await page.route(`${at.sesame.origin}/clients/*/secret`, async (route) => {
      await new Promise((resolve) => { pass = resolve; });
      await route.continue();
    });
    await button('Replace the secret').click();
    const sending = page.waitForRequest((request) => request.url().endsWith('/secret'));
    await dialog().getByRole('button', { name: 'Replace the secret' }).click();
    await sending;
    await page.keyboard.press('Escape');
    await go(at, 'people', 'People');
    pass();
    await page.getByText('The new secret of shop').waitFor();
    await button('I have stored it').click();
    assert.equal(await page.locator('dialog').count(), 0);
    assertCalm(at);
  });

  test('keeps its place when a step removes or refuses its button', async () => {
    const { page, sesame } = at;
    sesame.createUser({ username: 'helen', password: root.password });
    const { id } = JSON.parse(sesame.command('user', 'show', 'helen', '--json'));
    await enter(at, 'helen', { path: `#/people/${id}` });
    await settled(page);
    await page.getByLabel('Name', { exact: true }).fill('Helen');
    await page.getByLabel('E-mail address').fill('helen@example.com');
    await button('Save').press('Enter');
    await page.getByText('The changes are saved.').waitFor();
    await focused('form');
    await button('Mail the invitation again').press('Enter');
    await dialog().getByRole('button', { name: 'Mail the invitation again' }).press('Enter');
    await dialog().getByRole('alert').waitFor(); // the account has a password
    await focused('dialog button.primary');
    await page.keyboard.press('Escape');
    await button('Confirm the address').press('Enter');
    await dialog().getByRole('button', { name: 'Confirm the address' }).press('Enter');
    await page.getByText('helen@example.com is confirmed.').waitFor();
    await focused('section');
    assertCalm(at);
  });

  test('stays where it is when the language changes, with what has been typed', async () => {
    const { page } = at;
    await enter(at, 'New person', { path: '#/people/new' });
    await page.getByLabel('Password', { exact: true }).fill('a secret of Troy');
    await button('Deutsch').press('Enter');
    assert.equal(await page.getByLabel('Passwort', { exact: true }).inputValue(), 'a secret of Troy');
    await focused('.me button[lang=en]');
    await go(at, 'consents', 'Scopes und Zustimmungen');
    await page.getByText('Administratorinnen und Administratoren').first().waitFor();
    await button('English').press('Enter');
    await page.getByText('administrators', { exact: true }).first().waitFor();
    assertCalm(at);
  });

  test('removes the last of the filters without folding them', async () => {
    const { page } = at;
    await enter(at, 'People', { path: '#/people?second_factor=false' });
    await page.getByLabel('Second factor').focus();
    await page.getByLabel('Second factor').selectOption('All');
    await page.waitForURL(/#\/people$/);
    await settled(page);
    await focused('details[open] select');
    assertCalm(at);
  });
});

test('a double-click acts once', async () => {
  const { page } = at;
  await enter(at, 'New webhook', { path: '#/webhooks/new' });
  await page.getByLabel('URL').fill(url);
  await button('Create').dblclick();
  await button('I have stored it').click();
  await page.getByRole('heading', { name: url, level: 1 }).waitFor();
  const box = await button('Disable').boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.click(x, y);
  await button('Enable').waitFor();
  await page.mouse.move(x, y);
  await page.mouse.down({ clickCount: 2 }); // the second click of a person whose server is fast
  await page.mouse.up({ clickCount: 2 });
  await page.getByText('Disabled', { exact: true }).waitFor();
  assert.equal(at.requests.filter((request) => request.method() === 'PATCH').length, 1);
  assert.equal(at.requests.filter((request) => request.method() === 'POST' && request.url().endsWith('/webhooks')).length, 1);
  await page.mouse.click(x, y); // and a click of its own acts again
  await button('Disable').waitFor();
  assertCalm(at);
});

test('without a network, no rows of other filters are shown, and the next attempt finds the right ones', async () => {
  const { page } = at;
  await enter(at, 'People');
  await page.getByRole('link', { name: 'johndoe' }).waitFor();
  await page.context().setOffline(true);
  await page.getByLabel('Username or e-mail address').fill('root');
  await page.getByText('The server cannot be reached.').waitFor();
  assert.equal(await page.locator('tbody tr').count(), 0);
  await page.context().setOffline(false);
  await button('Try again').press('Enter');
  await page.locator('tbody').getByRole('link', { name: 'root' }).waitFor();
  assert.equal(await page.locator('tbody tr').count(), 1);
});

test('those with few scopes read what they can do about it', async () => {
  const { page, sesame } = at;
  const [watcher, writer] = [{ username: 'argus', password: root.password }, { username: 'hermes', password: root.password }];
  sesame.createUser({ ...watcher, scopes: ['events:read'] });
  sesame.createUser({ ...writer, scopes: ['users:write'] });
  await enter(at, 'Events', { account: watcher });
  const id = page.getByLabel('Id of the account');
  await id.fill('root');
  await page.getByText('A search by username needs the scope users:read.').waitFor();
  await id.fill(JSON.parse(sesame.command('user', 'show', 'root', '--json')).id);
  await page.locator('tbody').getByText('account_created').waitFor();
  await page.getByLabel('Whose').selectOption('Caused by');
  await id.fill('self-registration');
  await page.getByText('No event fits these filters.').waitFor();
  await button('Sign out').click();
  await button('Sign in').click();
  await fillSignIn(page, writer);
  await page.getByText('The account hermes has users:write, and no scope that a screen needs.').waitFor();
  assertCalm(at);
});

test('long names fit a phone, and a server that gives no new tokens for now is no missing network', async () => {
  const { page, sesame } = at;
  const username = 'w'.repeat(64);
  sesame.createUser({ username, password: root.password });
  const { id } = JSON.parse(sesame.command('user', 'show', username, '--json'));
  await page.clock.install();
  await page.setViewportSize({ width: 360, height: 740 });
  await enter(at, username, { path: `#/people/${id}` });
  await page.getByText('has not allowed any application').waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  await page.route(`${sesame.origin}/token`, (route) => route.fulfill({ status: 429, headers: { 'Retry-After': '7' }, json: { error: 'slow_down' } }));
  await page.clock.fastForward(9.8 * 60_000); // of ten minutes
  await go(at, 'clients', 'Clients');
  await page.getByText('The server refused this (429). Try again in 7 seconds.').waitFor();
});

test('refusals are in German on the German page', async () => {
  const { page, sesame } = at;
  const helper = { username: 'nestor', password: root.password };
  sesame.createUser({ ...helper, scopes: ['users:read', 'users:write'] });
  await enter(at, 'New person', { path: '#/people/new', account: helper });
  await button('Deutsch').click();
  await page.getByLabel('Benutzername').fill('root');
  await page.getByLabel('Passwort', { exact: true }).fill('a wooden horse');
  await button('Anlegen').click();
  await page.getByText('ist vergeben', { exact: true }).waitFor();
  await page.getByText('Dieser Benutzername ist vergeben.').waitFor();
  await page.getByLabel('Benutzername').fill('troilus');
  await page.getByLabel('Passwort', { exact: true }).fill('short');
  await button('Anlegen').click();
  await page.getByText('braucht mindestens 8 Zeichen').waitFor();
  await page.getByText('Die Eingaben sind nicht gültig.').waitFor();
  await button('English').click();
  await page.getByText('must have at least 8 characters').waitFor();
  await button('Deutsch').click();
  await go(at, `people/${JSON.parse(sesame.command('user', 'show', 'root', '--json')).id}`, 'root');
  await button('Sperren').click();
  await dialog().getByRole('button', { name: 'Sperren' }).click();
  await dialog().getByText('Ihnen fehlt ein Scope').waitFor();
  await page.keyboard.press('Escape');
  assertCalm(at);
});

test('the fault of a field is in sight when the field gets the focus', async () => {
  const { page } = at;
  await page.setViewportSize({ width: 360, height: 740 });
  await enter(at, 'New client', { path: '#/clients/new' });
  await page.getByLabel('Name', { exact: true }).fill('long');
  await page.getByLabel('Redirect addresses').fill(['javascript:alert(1)', ...Array.from({ length: 15 }, (_, i) => `https://shop.example/${i}`)].join('\n'));
  await button('Create').click();
  const fault = page.getByText('line 1: must begin with https://');
  await fault.waitFor();
  await focused('textarea');
  const [bar, box] = [await page.locator('.bar').boundingBox(), await fault.boundingBox()];
  assert.ok(box.y >= bar.y + bar.height && box.y + box.height <= 740, JSON.stringify({ bar, box }));
});

test('the menu of a phone closes on the screen that is shown already, and a sign-in without a network says so', async () => {
  const { page, sesame } = at;
  await page.setViewportSize({ width: 360, height: 740 });
  await enter(at, 'People');
  await button('Menu').click();
  await page.getByRole('navigation').getByRole('link', { name: 'People' }).click();
  await focused('h1');
  assert.equal(await page.getByRole('navigation').isVisible(), false);
  await button('Menu').click();
  await button('Deutsch').click();
  await page.route(`${sesame.origin}/token`, (route) => route.abort());
  await page.reload();
  await page.getByText('Der Server ist nicht erreichbar.').waitFor();
  await page.unrouteAll();
  await button('Anmelden').click();
  await page.getByRole('heading', { name: 'Personen', level: 1 }).waitFor();
});

test('the events of a person show what has just been done', async () => {
  const { page, sesame } = at;
  sesame.createUser({ username: 'paris', password: root.password });
  await enter(at, 'paris', { path: `#/people/${JSON.parse(sesame.command('user', 'show', 'paris', '--json')).id}` });
  await page.getByText('Account created').waitFor();
  await button('Unlock').click();
  await dialog().getByRole('button', { name: 'Unlock' }).click();
  await page.getByText('Waiting period after wrong passwords ended').waitFor();
  assertCalm(at);
});
