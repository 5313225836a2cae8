// The documentation pages as a person uses them, in Chromium against the real server: log in with the
// Authorize button, call operations, log out, mistype a password, read ReDoc.
//
//   npm ci && npm test
//
// SESAME_CHROMIUM names another browser than /usr/bin/chromium. With SESAME_UPDATE_IMAGES=1 the
// pictures in docs/images are replaced by those of this run.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { startSesame } from './sesame.mjs';

const screenshots = fileURLToPath(new URL('screenshots', import.meta.url));
const images = fileURLToPath(new URL('../../docs/images', import.meta.url));
const password = 'knock-knock';

let sesame, profile, browser, page, seen;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  sesame = await startSesame();
});

after(async () => {
  if (!sesame) return;
  const code = await sesame.stop();
  assert.equal(code, 0, `the server ended with ${code}:\n${sesame.log()}`);
  // The server checks its own answers against the contract here and logs every fault.
  const log = sesame.log().split('\n').filter((line) => line.startsWith('{')); // what follows a greeting
  assert.deepEqual(log.filter((line) => JSON.parse(line).level === 'ERROR' || JSON.parse(line).status >= 500), []);
  assert.ok(log.some((line) => line.includes('/users/me')), 'the log has no requests');
  assert.deepEqual(log.filter((line) => line.includes(password)), []);
});

beforeEach(async () => {
  profile = mkdtempSync(join(tmpdir(), 'sesame-chromium-'));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.SESAME_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    viewport: { width: 1280, height: 900 },
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });
  page = await browser.newPage();
  page.setDefaultTimeout(15_000);
  seen = { requests: [], complaints: [] };
  browser.on('request', (request) => seen.requests.push(request.url()));
  page.on('pageerror', (error) => seen.complaints.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      seen.complaints.push(`${message.text()} ${message.location().url}`);
    }
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error('violates', event.violatedDirective, event.blockedURI, event.sample);
    });
  });
});

afterEach(async () => {
  await browser?.close();
  if (profile) rmSync(profile, { recursive: true, force: true });
});

// assertCalm checks that the page asked nobody but origin for anything, broke none of its own rules, and
// complained of nothing but the refusals that the test provoked.
function assertCalm(origin, refusals = []) {
  const expected = refusals.map(([status, path]) =>
    `Failed to load resource: the server responded with a status of ${status} ${origin}${path}`);
  assert.deepEqual(seen.complaints, expected);
  assert.ok(seen.requests.length > 3, 'recorded no requests');
  const foreign = seen.requests.filter((url) => !/^(data|blob):/.test(url) && new URL(url).origin !== origin);
  assert.deepEqual(foreign, []);
}

async function screenshot(name) {
  const path = join(screenshots, `${name}.png`);
  await page.screenshot({ path });
  if (process.env.SESAME_UPDATE_IMAGES && ['authorized', 'redoc'].includes(name)) {
    mkdirSync(images, { recursive: true });
    copyFileSync(path, join(images, `${name}.png`));
  }
}

async function openDialog() {
  await page.locator('.auth-wrapper .btn.authorize').click();
  return page.locator('.dialog-ux');
}

async function submitLogin(dialog, secret) {
  for (const scope of ['me:read', 'me:write']) {
    await dialog.locator(`label[for^="${scope}-"]`).click();
  }
  await dialog.getByLabel('username:').fill('johndoe');
  await dialog.getByLabel('password:', { exact: true }).fill(secret);
  await dialog.getByRole('button', { name: 'Apply given OAuth2 credentials' }).click();
}

async function logIn() {
  const dialog = await openDialog();
  await submitLogin(dialog, password);
  await dialog.getByText('Authorized').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
}

// execute presses Try it out and Execute, and resolves with the status and the body that the page shows.
async function execute(operation, body) {
  const block = page.locator(`#operations-${operation}`);
  const [tryItOut, run, clear] = ['Try it out', 'Execute', 'Clear'].map((name) => block.getByRole('button', { name }));
  if (!(await block.locator('.opblock-body').isVisible())) await block.locator('.opblock-summary-control').click();
  await tryItOut.or(run).waitFor();
  if (await tryItOut.isVisible()) await tryItOut.click();
  // Without this the answer before could be taken for the one to come.
  if (await clear.isVisible()) await clear.click();
  if (body) await block.locator('textarea.body-param__text').fill(JSON.stringify(body));
  const [response] = await Promise.all([page.waitForResponse(/.*/), run.click()]);
  const status = response.status();
  const answer = block.locator('.live-responses-table .response');
  await answer.locator('.response-col_status', { hasText: String(status) }).waitFor();
  return { status, text: await answer.locator('.highlight-code').first().innerText() };
}

test('a person logs in, reads and changes the profile, and logs out', async () => {
  await page.goto(`${sesame.origin}/`);
  assert.equal(page.url(), `${sesame.origin}/docs/`);
  assert.equal(await page.title(), 'Sesame API');

  await logIn();
  const me = await execute('Accounts-getMe');
  assert.equal(me.status, 200);
  assert.match(me.text, /"username": "johndoe"/);
  await page.locator('#operations-Accounts-getMe').evaluate((block) => block.scrollIntoView());
  await screenshot('authorized');

  const changed = await execute('Accounts-updateMe', { full_name: 'John of Chromium' });
  assert.equal(changed.status, 200);
  assert.match(changed.text, /"full_name": "John of Chromium"/);
  assert.match((await execute('Accounts-getMe')).text, /"full_name": "John of Chromium"/);

  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!/knock|eyJ/.test(stored), `the browser keeps ${stored}`);

  const dialog = await openDialog();
  await dialog.getByRole('button', { name: 'Remove authorization' }).click();
  await dialog.getByRole('button', { name: 'Close' }).click();
  assert.equal((await execute('Accounts-getMe')).status, 401);
  assertCalm(sesame.origin, [['401 (Unauthorized)', '/users/me']]);
});

test('a wrong password is said in words', async () => {
  await page.goto(`${sesame.origin}/docs/`);
  const dialog = await openDialog();
  await submitLogin(dialog, 'knock-knack');
  const message = dialog.locator('.errors');
  await message.waitFor();
  assert.match(await message.innerText(), /password is wrong/);
  await message.scrollIntoViewIfNeeded();
  await screenshot('wrong-password');
  assertCalm(sesame.origin, [['400 (Bad Request)', '/token']]);
});

test('the page works under another name of the same host', async () => {
  const other = `http://localhost:${sesame.port}`;
  await page.goto(`${other}/`);
  assert.equal(page.url(), `${other}/docs/`);
  await logIn();
  assert.equal((await execute('Accounts-getMe')).status, 200);
  assertCalm(other);
});

test('the address bar cannot make the page show another contract', async () => {
  const foreign = encodeURIComponent('https://example.com/openapi.yaml');
  for (const query of [`url=${foreign}`, `configUrl=${foreign}`, `urls.primaryName=${foreign}`]) {
    await page.goto(`${sesame.origin}/docs/?${query}`);
    await page.locator('#operations-Accounts-getMe').waitFor();
  }
  assertCalm(sesame.origin);
});

test('ReDoc shows every operation, and finds one', async () => {
  const contract = await (await fetch(`${sesame.origin}/openapi.json`)).json();
  const operations = Object.values(contract.paths).flatMap((path) => Object.values(path))
    .map((operation) => operation.operationId).filter(Boolean);
  assert.ok(operations.length > 10);

  await page.goto(`${sesame.origin}/redoc#tag/Accounts/operation/updateMe`);
  await page.locator('li[data-item-id="tag/Accounts/operation/updateMe"] label.active').waitFor();
  await screenshot('redoc');
  for (const operation of operations) {
    assert.equal(await page.locator(`[id$="/operation/${operation}"]`).count(), 1, operation);
  }
  // The search runs in a worker, which the page's policy must let it start.
  await page.getByPlaceholder('Search...').fill('everywhere');
  await page.locator('[data-role="search:results"]').getByText('Log out everywhere').waitFor();
  assertCalm(sesame.origin);
});
