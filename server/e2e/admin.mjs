// Functions for the tests of the administrator's page: sign in, look at a screen, texts of strangers.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { screenshot, seriousFindings } from './browser.mjs';

export const root = { username: 'root', password: 'a wooden horse' };
export const administrative = ['users:read', 'users:write', 'clients:read', 'clients:write', 'events:read', 'settings:read', 'settings:write'];

// hostile are texts that somebody may store wherever there is room for one.
export const hostile = ['<img src=x onerror=alert(1)>', '"><script>alert(1)</script>', 'javascript:alert(1)', '{{7*7}}${7*7}', '&lt;b&gt;'];

// poison puts the texts of a stranger into every field of what the server answers below a path, but for ids, times and cursors: also into those
// that the server itself would never take them for.
export async function poison(at, path) {
  let turn = 0;
  const spoil = (value, key) => {
    if (Array.isArray(value)) return value.map((item) => spoil(item, key));
    if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, spoil(item, name)]));
    return typeof value === 'string' && !/(^|_)(id|at|cursor|logo_uri)$/.test(key) ? `${hostile[turn++ % hostile.length]} \u202e${key}` : value;
  };
  await at.page.route((url) => url.origin === at.sesame.origin && url.pathname.startsWith(path), async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: spoil(await answer.json(), '') });
  });
}

// makeRoot makes the administrator once for a server.
function makeRoot(at) {
  if (!at.root) at.sesame.createUser({ ...root, scopes: administrative });
  at.root = true;
}

// enter opens the administrator's page, signs in, and waits for a screen by its heading.
export async function enter(at, heading, { path = '', account = root } = {}) {
  const { page, sesame } = at;
  makeRoot(at);
  await page.goto(`${sesame.origin}/admin/${path}`);
  await fillSignIn(page, account);
  await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
}

// fillSignIn fills the server's own page in.
export async function fillSignIn(page, { username, password } = root) {
  const name = page.locator('#username');
  await name.waitFor();
  await name.fill(username);
  await page.locator('#password').fill(password);
  await page.getByRole('button', { name: /^(Sign in|Anmelden)$/ }).click();
}

// go opens a screen by its address.
export async function go(at, path, heading) {
  await at.page.evaluate((hash) => { location.hash = hash; }, `#/${path}`);
  await at.page.getByRole('heading', { name: heading, level: 1 }).waitFor();
}

// settled waits until nothing is being loaded.
export const settled = (page) => page.waitForFunction(() => !document.querySelector('.loading'));

// look checks that axe finds nothing serious on a screen, light and dark, and that it fits a phone. It takes pictures.
export async function look(at, name) {
  const { page } = at;
  await settled(page);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    assert.deepEqual(await seriousFindings(page), [], `${name}, ${colorScheme}`);
    await screenshot(page, `admin-${name}-${colorScheme}`);
    await page.setViewportSize({ width: 360, height: 740 });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (await page.locator('dialog[open]').count() > 0) await page.evaluate(() => scrollTo(0, 0)); // axe compares places on the page
    assert.ok(width <= 360, `${name} is ${width} pixels wide on a phone`);
    assert.deepEqual(await seriousFindings(page), [], `${name}, ${colorScheme}, on a phone`);
    await screenshot(page, `admin-${name}-phone-${colorScheme}`);
    await page.setViewportSize({ width: 1280, height: 900 });
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
}

// assertInert checks that no text of a stranger has become an element, a link or a script of the page.
export async function assertInert(page) {
  const found = await page.evaluate(() => [...document.querySelectorAll('#app *')].filter((element) =>
    [...element.attributes].some(({ name, value }) => name.startsWith('on') || /^\s*javascript:/i.test(value) && ['href', 'src', 'action', 'formaction'].includes(name))
    || ['script', 'iframe', 'object', 'embed'].includes(element.localName)
    || element.localName === 'img' && new URL(element.src).origin !== location.origin).map((element) => element.outerHTML));
  assert.deepEqual(found, []);
}

// assertCalm checks that the page sent requests to its own server alone and violated no policy. Refusals that a test provokes are not
// counted.
export function assertCalm(at) {
  assert.deepEqual(at.complaints.filter((text) => !/status of 4\d\d/.test(text)), []);
  assert.deepEqual(at.requests.map((request) => request.url()).filter((url) => new URL(url).origin !== at.sesame.origin), []);
}

// receiver is a server that answers every request with a status, until the process ends. It resolves with its address.
export async function receiver(status = () => 200, received = () => {}) {
  const server = createServer((request, answer) => {
    received(request);
    request.resume().on('end', () => { answer.statusCode = status(); answer.end(); });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve).unref(); });
  return `http://127.0.0.1:${server.address().port}/hook`;
}
