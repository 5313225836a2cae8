// The documentation pages as a person uses them: log in with the Authorize button, call operations, log out, mistype a
// password, read ReDoc, and follow the links between the two pages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCalm, demo, eachWithAPage, execute, logIn, logOut, openDialog, screenshot, submitLogin } from './browser.mjs';
import { report } from './consumer.mjs';

const at = eachWithAPage();

test('a person logs in, reads and changes the profile, and logs out', async () => {
  const { sesame, page } = at;
  await page.goto(`${sesame.origin}/`);
  assert.equal(page.url(), `${sesame.origin}/docs/`);
  assert.equal(await page.title(), 'Sesame API');

  await logIn(page);
  const me = await execute(page, 'getMe');
  assert.equal(me.status, 200);
  assert.match(me.text, /"username": "johndoe"/);
  await page.locator('#operations-Accounts-getMe').evaluate((block) => block.scrollIntoView());
  await screenshot(page, 'authorized', { shown: true });

  const changed = await execute(page, 'updateMe', { full_name: 'John of Chromium' });
  assert.equal(changed.status, 200);
  assert.match(changed.text, /"full_name": "John of Chromium"/);
  assert.match((await execute(page, 'getMe')).text, /"full_name": "John of Chromium"/);

  await logOut(page);
  assert.equal((await execute(page, 'getMe')).status, 401);
  assertCalm(at, [['401 (Unauthorized)', '/users/me']]);
});

test('a wrong password is explained', async () => {
  const { sesame, page } = at;
  await page.goto(`${sesame.origin}/docs/`);
  const dialog = await openDialog(page);
  await submitLogin(dialog, { ...demo, password: 'knock-knack' });
  const message = dialog.locator('.errors');
  await message.waitFor();
  assert.match(await message.innerText(), /password is wrong/);
  await message.scrollIntoViewIfNeeded();
  await screenshot(page, 'wrong-password');
  assertCalm(at, [['400 (Bad Request)', '/token']]);
});

test('the page works under another name of the same host', async () => {
  const { sesame, page } = at;
  const other = `http://localhost:${sesame.port}`;
  await page.goto(`${other}/`);
  assert.equal(page.url(), `${other}/docs/`);
  await logIn(page);
  assert.equal((await execute(page, 'getMe')).status, 200);
  assertCalm(at, [], other);
});

test('the address bar cannot make the page show another contract', async () => {
  const { sesame, page } = at;
  const foreign = encodeURIComponent('https://example.com/openapi.yaml');
  for (const query of [`url=${foreign}`, `configUrl=${foreign}`, `urls.primaryName=${foreign}`]) {
    await page.goto(`${sesame.origin}/docs/?${query}`);
    await page.locator('#operations-Accounts-getMe').waitFor();
  }
  assertCalm(at);
});

test('ReDoc shows every operation, finds one, and leads to Swagger UI and back', async () => {
  const { sesame, page } = at;
  const contract = await (await fetch(`${sesame.origin}/openapi.json`)).json();
  const operations = Object.values(contract.paths).flatMap((path) => Object.values(path))
    .map((operation) => operation.operationId).filter(Boolean);
  assert.ok(operations.length > 10);

  await page.goto(`${sesame.origin}/redoc#tag/Accounts/operation/updateMe`);
  await page.locator('li[data-item-id="tag/Accounts/operation/updateMe"] label.active').waitFor();
  await screenshot(page, 'redoc', { shown: true });
  for (const operation of operations) {
    assert.equal(await page.locator(`[id$="/operation/${operation}"]`).count(), 1, operation);
  }
  // The search runs in a worker, which the page's policy must allow.
  await page.getByPlaceholder('Search...').fill('everywhere');
  await page.locator('[data-role="search:results"]').getByText('Log out everywhere').waitFor();

  await page.getByRole('link', { name: 'Swagger UI' }).click();
  await page.locator('#operations-Accounts-getMe').waitFor();
  assert.equal(new URL(page.url()).pathname, '/docs/');
  await logIn(page);
  // Swagger UI opens links in a new tab, so the login is not lost.
  const [tab] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: 'ReDoc' }).click()]);
  await tab.locator('[id$="/operation/getMe"]').waitFor();
  assert.equal(new URL(tab.url()).pathname, '/redoc');
  assert.equal((await execute(page, 'getMe')).status, 200);
  assertCalm(at);
  report('ReDoc', '2.5.4', `shows each of ${operations.length} operations, finds one, leads to Swagger UI and back`);
});
