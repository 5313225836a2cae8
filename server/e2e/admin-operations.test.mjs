// The administrator's page: events, keys and settings, mails.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { administrative, assertCalm, assertInert, enter, go, hostile, look, poison, root, settled } from './admin.mjs';
import { eachWithAPage } from './browser.mjs';

const button = (page, name) => page.getByRole('button', { name, exact: true });

describe('events, keys and mails', () => {
  const at = eachWithAPage({ path: '/admin/', env: { SESAME_SMTP_URL: 'smtp://sesame:wooden-secret@127.0.0.1:1' } }); // where nobody listens

  const logIn = (username, password) => fetch(`${at.sesame.origin}/token`, { method: 'POST', body: new URLSearchParams({ username, password }) });
  const register = (username) => fetch(`${at.sesame.origin}/users`, {
    method: 'POST', headers: { 'Content-Type': 'application/json', 'User-Agent': hostile[0] },
    body: JSON.stringify({ username, password: root.password, email: `${username}@example.org` }),
  });

  test('events are filtered, and appear as they happen', async () => {
    const { page, sesame } = at;
    await register('ann');
    await register('bob');
    await enter(at, 'Events', { path: '#/events' });
    await page.getByText('account_created').first().waitFor();
    await look(at, 'events');
    await button(page, 'Follow').click();
    await logIn('ann', 'a wooden bird');
    await page.getByText('1 new', { exact: false }).waitFor();
    assert.match(await page.locator('tbody tr').first().innerText(), /login_failed[^]*ann/);
    await page.getByText('Kinds: All kinds').click();
    await page.getByLabel('Wrong password at the sign-in').check();
    await page.getByLabel('Username or id').fill('ANN');
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
    assert.equal(page.url(), `${sesame.origin}/admin/#/events?kind=login_failed&user_id=ANN`);
    await look(at, 'events-filtered');
    await logIn('bob', 'a wooden bird'); // does not fit
    await logIn('ann', 'a wooden bird');
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 2);
    assert.doesNotMatch(await page.locator('tbody').innerText(), /bob/);
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 2);
    await page.getByLabel('Username or id').fill('nobody at all');
    await page.getByText('There is no account with this username.').waitFor();
    assert.ok(await button(page, 'Export').isDisabled());
    await page.getByLabel('Whose').selectOption('Of the client');
    await page.getByLabel('Client id').fill('admin');
    await page.getByText('No event fits these filters.').waitFor();
    await page.getByText('Kinds: 1 chosen').click();
    await button(page, 'All kinds').click();
    await page.getByText('admin', { exact: true }).first().waitFor();
    assertCalm(at);
  });

  test('an export that the server cuts or refuses for a while goes on after its last line', async () => {
    const { page } = at;
    const lines = [1, 2, 3].map((n) => `${JSON.stringify({ id: `019ad827-a013-7b0e-8a64-00000000000${n}`, user_agent: hostile[0] })}\n`);
    const asked = [];
    await page.route((url) => url.pathname === '/events/export', (route) => {
      asked.push(new URL(route.request().url()).searchParams.get('after'));
      if (asked.length === 2) return route.fulfill({ contentType: 'application/jsonl', body: lines.join('') });
      return route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{}' });
    });
    await enter(at, 'Events', { path: '#/events' });
    await button(page, 'Export').click();
    await page.getByText('3 events are read.').waitFor();
    await button(page, 'Save the file').waitFor();
    await look(at, 'export');
    const saved = page.waitForEvent('download');
    await button(page, 'Save the file').click();
    const file = await saved;
    assert.match(file.suggestedFilename(), /^events-[\d-]+T[\d-]+\.jsonl$/);
    assert.equal(readFileSync(await file.path(), 'utf8'), lines.join(''));
    assert.deepEqual(asked, [null, null]);
    assert.equal(at.complaints.shift()?.includes('status of 503'), true);
    assertCalm(at);
  });

  test('settings are found, without their secrets, and a key is replaced', async () => {
    const { page } = at;
    await enter(at, 'Keys and settings', { path: '#/server' });
    await page.getByText('SESAME_LISTEN', { exact: true }).waitFor();
    await look(at, 'server');
    await page.getByLabel('Name or description').fill('smtp_url');
    await page.waitForFunction(() => document.querySelectorAll('section:last-of-type tbody tr').length === 1);
    assert.match(await page.locator('section').last().innerText(), /SESAME_SMTP_URL[^]*\[secret\][^]*variable/);
    assert.ok(!(await page.content()).includes('wooden-secret'));
    await page.getByLabel('Name or description').fill('');
    await page.getByLabel('Source').selectOption('Changed');
    await page.getByText('SESAME_REFRESH_TTL', { exact: true }).waitFor({ state: 'detached' });
    const dialog = page.getByRole('dialog');
    for (const said of ['The new key is published.', 'A new key is published already.']) {
      await button(page, 'New key for Access tokens').click();
      await dialog.getByText('No token is refused.').waitFor();
      if (said.startsWith('The')) await look(at, 'new-key');
      await dialog.getByRole('button', { name: 'Publish' }).click();
      await page.getByText(said).waitFor();
    }
    assert.equal(await page.getByText('published', { exact: true }).count(), 1);
    await go(at, 'events?kind=key_published', 'Events');
    await page.locator('tbody tr').waitFor();
    assertCalm(at);
  });

  test('a mail that waits is sent now or deleted, and the mail server is tried out', async () => {
    const { page, sesame } = at;
    const post = { username: 'post', password: root.password, email: 'post@example.com' };
    sesame.createUser({ ...post, scopes: administrative });
    await register('cleo');
    await enter(at, 'Mails', { path: '#/mails', account: post });
    const row = page.locator('tbody tr', { hasText: 'c…@example.org' });
    await row.getByText('the mail server cannot be reached').waitFor();
    assert.ok(!(await page.content()).includes('cleo@'));
    await look(at, 'mails');
    await button(page, 'Send a test mail').click();
    await page.getByText('Failed', { exact: true }).waitFor();
    assert.ok(!(await page.content()).includes('wooden-secret'));
    await look(at, 'test-mail');
    await button(page, 'Send a test mail').click();
    await page.getByText('You may send one test mail a minute').waitFor();
    await row.getByRole('button', { name: 'Send now' }).click();
    await row.getByText('2', { exact: true }).waitFor(); // attempts
    await row.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('heading', { name: 'Delete the mail to c…@example.org?' }).waitFor();
    await look(at, 'delete-mail');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('The mail is deleted.').waitFor();
    await row.waitFor({ state: 'detached' });
    assertCalm(at);
  });

  test('texts of strangers are texts', async () => {
    const { page } = at;
    page.on('dialog', () => assert.fail('a script ran'));
    await register('dan');
    await enter(at, 'People');
    for (const path of ['/events', '/settings', '/keys', '/mails']) await poison(at, path);
    for (const [path, heading, field] of [['events', 'Events', 'username'], ['server', 'Keys and settings', 'value'], ['mails', 'Mails', 'last_error']]) {
      await go(at, path, heading);
      await page.getByText(`\\u202e${field}`).first().waitFor();
      await settled(page);
      await assertInert(page);
      await look(at, `${path}-hostile`);
    }
    assertCalm(at);
  });
});
