// The documentation pages as a person uses them: log in with the Authorize button, call operations, log out, mistype a
// password, read ReDoc, and follow the links between the two pages.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCalm, demo, eachWithAPage, execute, forPeople, logIn, logOut, openDialog, openOperation, press, screenshot, submitLogin } from './browser.mjs';
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

test('a wrong password is reported beside the field', async () => {
  const { sesame, page } = at;
  await page.goto(`${sesame.origin}/docs/`);
  const dialog = await openDialog(page);
  await submitLogin(dialog, { ...demo, password: 'knock-knack' });
  const field = dialog.getByLabel('Password', { exact: true });
  const message = dialog.getByRole('alert').getByText('The username or the password is wrong.');
  await message.waitFor();
  const [input, text] = await Promise.all([field.boundingBox(), message.boundingBox()]);
  assert.ok(text.y >= input.y + input.height && text.y - input.y - input.height < 20, 'the message is not below the field');
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  assert.match(await field.evaluate((node) => document.getElementById(node.getAttribute('aria-describedby')).innerText), /is wrong/);
  assert.equal(await page.locator('.notice').innerText(), '');
  await screenshot(page, 'wrong-password');

  await field.fill(demo.password);
  await field.press('Enter');
  await dialog.getByText('Logged in as').waitFor();
  assertCalm(at, [['400 (Bad Request)', '/token']]);
});

test('the dialog shows the username, the granted scopes and the refused ones', async () => {
  const { sesame, page } = at;
  await page.goto(`${sesame.origin}/docs/`);
  const dialog = await openDialog(page);
  const part = forPeople(dialog);
  assert.ok(!await part.getByLabel('client_id').isVisible() && !await dialog.locator('input[name=username]').isVisible(), 'the fields of clients are not folded');
  await submitLogin(dialog, { ...demo, scopes: ['me:read', 'me:write', 'users:read', 'users:write'] });
  const status = dialog.getByRole('status');
  await status.waitFor();
  assert.match(await status.innerText(), /^Logged in as johndoe with me:read me:write\s+Not granted to this account: users:read users:write$/);
  await screenshot(page, 'logged-in');
  await part.getByRole('button', { name: 'Log out' }).click();
  await submitLogin(dialog, { ...demo, scopes: [] });
  await status.waitFor();
  assert.equal(await status.innerText(), 'Logged in as johndoe with me:read me:write');
  assertCalm(at);
});

test('credentials are not requested by the browser itself', async () => {
  const { sesame, page } = at;
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Fetch.enable', { handleAuthRequests: true, patterns: [{ urlPattern: '*' }] });
  let dialogs = 0;
  devtools.on('Fetch.requestPaused', ({ requestId }) => devtools.send('Fetch.continueRequest', { requestId }));
  devtools.on('Fetch.authRequired', ({ requestId }) => {
    dialogs += 1;
    devtools.send('Fetch.continueWithAuth', { requestId, authChallengeResponse: { response: 'CancelAuth' } });
  });
  await page.goto(`${sesame.origin}/docs/`);
  const { status, text } = await execute(page, 'introspectToken');
  assert.equal(status, 401);
  assert.match(text, /"error": "invalid_client"/);
  assert.equal(dialogs, 0, 'the browser would ask for a name and a password');
  // A request with the browser's own credentials would open that dialog, so the count above means something.
  await page.evaluate(() => fetch('/token/introspect', { method: 'POST', body: new URLSearchParams({ token: 'x' }) }));
  assert.equal(dialogs, 1);
});

test('optional parameters are not filled in, so no row is hidden', async () => {
  const { sesame, page } = at;
  const root = { username: 'root', password: 'a wooden horse', scopes: ['users:read', 'events:read'] };
  sesame.createUser(root);
  sesame.createUser({ username: 'zoe', password: 'a wooden horse' });
  await page.goto(`${sesame.origin}/docs/`);
  await logIn(page, root);
  for (const [id, path] of [['listUsers', '/users'], ['listEvents', '/events'], ['listMyEvents', '/users/me/events']]) {
    const sent = page.waitForRequest((request) => new URL(request.url()).pathname === path);
    const { status } = await execute(page, id);
    assert.equal(status, id === 'listMyEvents' ? 403 : 200);
    assert.equal(new URL((await sent).url()).search, id === 'listUsers' ? '?limit=50&sort=username&total=false' : '?limit=50'); // the defaults
  }
  const block = await openOperation(page, 'listUsers');
  assert.match(await block.locator('.live-responses-table').innerText(), /"zoe"/);
  await block.locator('[data-param-name=disabled] select').selectOption('true'); // a chosen filter is sent
  const { text } = await press(block);
  assert.deepEqual(JSON.parse(text).items, []);
  // Forms keep their examples: the operation works with them.
  assert.equal((await execute(page, 'createToken')).status, 200);
});

// lengths returns the number of characters of each line of text.
const lengths = (page, selector) => page.locator(selector).evaluateAll((nodes) => nodes.filter((node) => node.checkVisibility()).flatMap((node) => {
  const lines = [];
  let last = -Infinity;
  const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    for (let i = 0; i < text.length; i++) {
      const range = document.createRange();
      range.setStart(text, i);
      range.setEnd(text, i + 1);
      const { bottom, width } = range.getBoundingClientRect();
      if (width === 0) continue;
      if (bottom > last + 8) { // inline code is a little higher or lower than its line
        lines.push(0);
        last = bottom;
      }
      lines[lines.length - 1] += 1;
    }
  }
  return lines;
}));

// overlapping returns the inline code whose box leaves its line or covers another one.
const overlapping = (page) => page.locator('p code, li code').evaluateAll((nodes) => {
  const boxes = nodes.flatMap((node) => [...node.getClientRects()].map((box) => [node, box]));
  return boxes.filter(([node, box], i) => box.height > Number.parseFloat(getComputedStyle(node.parentNode).lineHeight) + 1 ||
    boxes.slice(i + 1).some(([, other]) => box.left < other.right && other.left < box.right && box.top < other.bottom - 1 && other.top < box.bottom - 1))
    .map(([node]) => node.innerText);
});

test('errors, schemas and empty elements take no space', async () => {
  const { sesame, page } = at;
  await page.goto(`${sesame.origin}/docs/`);
  await page.locator('#operations-Accounts-getMe').waitFor();
  for (const absent of ['.servers', 'text="No links"', '.models .model-box', `.info a[href$="/docs/"]`, '#operations-Accounts-createUser .authorization__btn']) {
    assert.equal(await page.locator(absent).filter({ visible: true }).count(), 0, absent);
  }
  assert.equal(await page.locator('#operations-Accounts-getMe .authorization__btn').count(), 1);
  assert.equal(await page.locator('.info__license').evaluate((node) => getComputedStyle(node, '::before').content + node.innerText), '"License: "MIT');
  assert.ok(await page.locator('section.models').isVisible(), 'the schemas are missing');

  await page.locator('#operations-Tokens-createToken .opblock-summary-control').click();
  await page.locator('#operations-Tokens-createToken .opblock-description').waitFor();
  const widths = await lengths(page, '.prose p, .prose li');
  assert.ok(Math.max(...widths) <= 72 && Math.max(...widths) > 40, `a line has ${Math.max(...widths)} characters`);
  assert.deepEqual(await overlapping(page), []);

  const block = page.locator('#operations-Accounts-getMe');
  await block.locator('.opblock-summary-control').click();
  const row = block.locator('.response[data-code="401"]');
  await row.getByText('No token, or one').waitFor();
  const { height } = await block.boundingBox();
  assert.ok(height < 1100, `GET /users/me is ${height} px high`); // with its error samples it was 3,000
  assert.equal(await row.locator('pre').count(), 0);
  await row.getByRole('button', { name: 'Example of 401' }).click();
  assert.match(await row.last().innerText(), /"code": "unauthenticated"/);
  await row.getByLabel('Examples').selectOption({ label: 'An invalid, expired or revoked token' });
  await row.getByText('"invalid_token"').waitFor();
  await row.getByRole('button', { name: 'Example of 401' }).click();
  await row.locator('pre').waitFor({ state: 'detached' });
  assertCalm(at);
});

test('both pages follow the colours of the system, and share one accent', async () => {
  const { sesame, page } = at;
  const color = (selector, property) => page.locator(selector).first().evaluate((node, name) => getComputedStyle(node)[name], property);
  const accents = {};
  for (const [path, shown, link] of [['/docs/', '#operations-Accounts-getMe', '.info a[href$="/redoc"]'], ['/redoc', '[id="tag/Accounts/operation/getMe"]', '.api-content p a[href$="/docs/"]']]) {
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(sesame.origin + path);
    for (const scheme of ['light', 'dark', 'light']) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.locator(shown).waitFor();
      const want = scheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(22, 25, 29)';
      assert.equal(await color('body', 'backgroundColor').then((body) => body === 'rgba(0, 0, 0, 0)' ? color('html', 'backgroundColor') : body), want, `${path}, ${scheme}`);
      await page.waitForFunction(([selector, dark]) => {
        const node = document.querySelector(selector);
        return node && (Number(/\d+/.exec(getComputedStyle(node).color)) > 128) === dark;
      }, [path === '/docs/' ? '.info p' : '.api-content p', scheme === 'dark']);
      (accents[scheme] ??= new Set()).add(await color(link, 'color'));
    }
  }
  assert.deepEqual(Object.values(accents).map((set) => set.size), [1, 1], JSON.stringify(Object.values(accents).map((set) => [...set])));
  assertCalm(at);
});

test('the server has an icon, also at /favicon.ico', async () => {
  const { sesame, page } = at;
  for (const path of ['/docs/', '/redoc']) {
    await page.goto(sesame.origin + path);
    const icon = await page.locator('link[rel=icon]').evaluate((link) => link.href);
    for (const address of [icon, `${sesame.origin}/favicon.ico`]) {
      const answer = await fetch(address);
      assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'image/svg+xml']);
    }
    // The policy allows it, and it can be drawn.
    assert.equal(await page.evaluate((src) => new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve(image.naturalWidth > 0);
      image.onerror = () => resolve(false);
      image.src = src;
    }), icon), true);
  }
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

  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto(`${sesame.origin}/redoc#tag/Accounts/operation/updateMe`);
  await page.locator('li[data-item-id="tag/Accounts/operation/updateMe"] label.active').waitFor();
  await screenshot(page, 'redoc', { shown: true });
  // The menu is open: every operation is visible without a click.
  const closed = await page.locator('.menu-content li[data-item-id*="/operation/"]').evaluateAll((items) => items.filter((item) => !item.checkVisibility()).length);
  assert.equal(closed, 0);
  await page.waitForFunction(() => ![...document.querySelectorAll('.api-content p a[href]')].some((link) => link.pathname === '/redoc' && !link.hash));
  const widest = Math.max(...await lengths(page, '.api-content p, .api-content p ~ ul > li'));
  assert.ok(widest <= 72, `a line has ${widest} characters`);
  assert.deepEqual(await overlapping(page), []);
  for (const operation of operations) {
    assert.equal(await page.locator(`[id$="/operation/${operation}"]`).count(), 1, operation);
  }
  // Both flows are shown, with their addresses.
  const me = page.locator('[id$="/operation/getMe"]');
  await me.getByText('Authorizations:').click();
  await me.getByText('Flow type: authorizationCode').waitFor();
  const ways = await me.innerText();
  for (const way of ['Flow type: password', `Token URL: ${new URL('/token', sesame.origin).pathname}`, 'Authorization URL: /authorize', 'Refresh URL: /token']) {
    assert.ok(ways.includes(way), `${way} is not in ${ways}`);
  }
  await screenshot(page, 'redoc-flows');
  // The search runs in a worker, which the page's policy must allow.
  await page.getByPlaceholder('Search...').fill('everywhere');
  await page.locator('[data-role="search:results"]').getByText('Log out everywhere').waitFor();

  await page.getByRole('link', { name: 'Swagger UI' }).first().click();
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
