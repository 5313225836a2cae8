// Functions for the tests of pages: the real server, Chromium, and the actions of a person.
//
// SESAME_TEST_CHROMIUM names another browser than /usr/bin/chromium. SESAME_TEST_UPDATE_IMAGES=1 replaces the pictures in
// docs/images by those of this run.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { startSesame } from './sesame.mjs';

const screenshots = fileURLToPath(new URL('screenshots', import.meta.url));
const images = fileURLToPath(new URL('../../docs/images', import.meta.url));

// swaggerUI is the version of Swagger UI, for the reports.
export const swaggerUI = /swagger-ui-dist@([\d.]+)/.exec(readFileSync(new URL('../../docs/swagger/ui/README.md', import.meta.url), 'utf8'))[1];

const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
export const axeVersion = JSON.parse(readFileSync(new URL('node_modules/axe-core/package.json', import.meta.url), 'utf8')).version;

// seriousFindings returns what axe-core calls serious or critical on a page, with the elements.
export async function seriousFindings(page, accepted = []) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => window.axe.run(document));
  assert.ok(passes.some(({ id }) => id === 'color-contrast'), 'axe-core has checked nothing');
  return violations.filter(({ impact, id }) => ['serious', 'critical'].includes(impact) && !accepted.includes(id))
    .map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html.slice(0, 200))]);
}

export const demo = { username: 'johndoe', password: 'knock-knock' };

// launch starts Chromium without any requests of its own.
export const launch = () => chromium.launch({
  executablePath: process.env.SESAME_TEST_CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});

// eachWithAPage starts one server for the tests of a file, `at.sesame`, and opens a page for each test, `at.page`. Its
// options are the settings of the server, those of the browser (a viewport, for example), and a path that the tests visit.
// The settings may be a function, for values that are known only when the tests begin.
export function eachWithAPage({ env = {}, context = {}, path = '/docs/' } = {}) {
  const at = {};
  let browser, session;
  before(async () => {
    mkdirSync(screenshots, { recursive: true });
    at.sesame = await startSesame(typeof env === 'function' ? env() : env);
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    if (at.sesame) await stopSesame(at.sesame, path);
  });
  beforeEach(async () => {
    session = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...context });
    at.requests = [];
    at.complaints = [];
    session.on('request', (request) => at.requests.push(request));
    session.on('weberror', (fault) => at.complaints.push(String(fault.error())));
    session.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) {
        at.complaints.push(`${message.text()} ${message.location().url}`);
      }
    });
    await session.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        console.error('violates', event.violatedDirective, event.blockedURI, event.sample);
      });
    });
    at.page = await session.newPage();
    at.page.setDefaultTimeout(15_000);
  });
  afterEach(() => session?.close());
  return at;
}

// stopSesame stops the server and checks its exit code and log.
async function stopSesame(sesame, path) {
  const code = await sesame.stop();
  assert.equal(code, 0, `the server ended with ${code}:\n${sesame.log()}`);
  // The server checks its own answers against the contract here and logs every fault.
  const log = sesame.log().split('\n').filter((line) => line.startsWith('{')); // the lines after the greeting
  assert.deepEqual(log.filter((line) => JSON.parse(line).level === 'ERROR' || JSON.parse(line).status >= 500), []);
  assert.ok(log.some((line) => line.includes(`"${path}"`)), 'the log has no requests');
  assert.deepEqual(log.filter((line) => line.includes(demo.password)), []);
}

// assertCalm checks that the page sent requests to its origin alone, violated no policy, and logged no errors except the
// refusals that the test provoked.
export function assertCalm(at, refusals = [], origin = at.sesame.origin) {
  const expected = refusals.map(([status, path]) =>
    `Failed to load resource: the server responded with a status of ${status} ${origin}${path}`);
  assert.deepEqual(at.complaints, expected);
  const urls = at.requests.map((request) => request.url());
  assert.ok(urls.length > 0, 'recorded no requests');
  assert.deepEqual(urls.filter((url) => !/^(data|blob):/.test(url) && new URL(url).origin !== origin), []);
}

// screenshot saves a picture of the window. `shown` marks those in the documentation.
export async function screenshot(page, name, { shown = false } = {}) {
  const path = join(screenshots, `${name}.png`);
  await page.screenshot({ path });
  if (process.env.SESAME_TEST_UPDATE_IMAGES && shown) copyFileSync(path, join(images, `${name}.png`));
}

// forPeople is the part of the dialog in which people log in. The other part takes a client's id and secret.
export const [forPeople, forClients] = [0, 1].map((place) => (dialog) => dialog.locator('.auth-container').nth(place));

export async function openDialog(page) {
  await page.locator('.auth-wrapper .btn.authorize').first().click();
  return page.locator('dialog[open]');
}

export async function submitLogin(dialog, { username, password, scopes = ['me:read', 'me:write'] }) {
  const part = forPeople(dialog);
  for (const scope of scopes) await part.locator(`[data-value="${scope}"]`).check();
  await part.getByLabel('Username', { exact: true }).fill(username);
  await part.getByLabel('Password', { exact: true }).fill(password);
  await part.getByRole('button', { name: 'Log in' }).click();
}

// logIn resolves with the token pair that the page received.
export async function logIn(page, account = demo) {
  const dialog = await openDialog(page);
  const given = page.waitForResponse((response) => response.url().endsWith('/token'));
  await submitLogin(dialog, account);
  await forPeople(dialog).getByText(`Logged in as ${account.username}`).waitFor();
  await forPeople(dialog).getByRole('button', { name: 'Close' }).click();
  return (await given).json();
}

// openSignIn presses the button of the dialog that opens the page of the server, and resolves with that window.
export async function openSignIn(page, dialog) {
  const button = forPeople(dialog).getByRole('button', { name: 'Sign in with the browser' });
  const [popup] = await Promise.all([page.waitForEvent('popup'), button.click()]);
  return popup;
}

// signIn fills the page of the server in, which closes.
export async function signIn(popup, { username, password } = demo) {
  await popup.locator('input[name=username]').fill(username);
  await popup.locator('input[name=password]').fill(password);
  const closed = popup.waitForEvent('close');
  await popup.getByRole('button', { name: 'Sign in' }).click();
  await closed;
}

// useClient makes the page send a service client's id and secret where the contract requires them.
export async function useClient(page, { client_id: id, client_secret: secret }) {
  const dialog = await openDialog(page);
  await dialog.getByText('Credentials of a service client').click();
  const part = forClients(dialog);
  await part.locator('input[name=username]').fill(id);
  await part.locator('input[name=password]').fill(secret);
  await part.getByRole('button', { name: 'Authorize' }).click();
  await part.getByText('Authorized', { exact: true }).waitFor();
  await part.getByRole('button', { name: 'Close' }).click();
}

export async function logOut(page) {
  const part = forPeople(await openDialog(page));
  await part.getByRole('button', { name: 'Log out' }).click();
  await part.getByRole('button', { name: 'Log in' }).waitFor();
  await part.getByRole('button', { name: 'Close' }).click();
}

// openOperation unfolds an operation and presses Try it out.
export async function openOperation(page, id) {
  const block = page.locator(`[id^="operations-"][id$="-${id}"]`);
  if (!(await block.locator('.opblock-body').isVisible())) await block.locator('.opblock-summary-control').click();
  const [tryItOut, execute] = ['Try it out', 'Execute'].map((name) => block.getByRole('button', { name }));
  await tryItOut.or(execute).waitFor();
  if (await tryItOut.isVisible()) await tryItOut.click();
  return block;
}

// press presses Execute and resolves with the answer that the page shows.
export async function press(block) {
  // Otherwise the previous answer could be read as the new one.
  const clear = block.getByRole('button', { name: 'Clear' });
  if (await clear.isVisible()) await clear.click();
  await block.getByRole('button', { name: 'Execute' }).click();
  const answer = block.locator('.live-responses-table .response');
  const status = Number.parseInt(await answer.locator('.response-col_status').innerText(), 10);
  const text = answer.locator('.response-col_description .highlight-code pre').first();
  return { status, text: await text.isVisible() ? await text.innerText() : '' };
}

// execute tries an operation out, with a JSON body or without a body.
export async function execute(page, id, body) {
  const block = await openOperation(page, id);
  if (body) await block.locator('textarea.body-param__text').fill(JSON.stringify(body));
  return press(block);
}
