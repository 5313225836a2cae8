// `sesame mock` as a front end uses it before the back end exists: from a page of another origin, and from its own
// Swagger UI.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execute, launch, logIn, screenshot } from './browser.mjs';
import { report } from './consumer.mjs';
import { startSesame } from './sesame.mjs';

let mock, frontend, browser, page;

before(async () => {
  mock = await startSesame({ SESAME_ACCESS_TOKEN_TTL: '1m' }, ['mock']);
  frontend = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<title>front end</title>'));
  await new Promise((resolve) => { frontend.listen(0, '127.0.0.1', resolve); });
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(15_000);
});

after(async () => {
  await browser?.close();
  frontend?.close();
  assert.equal(await mock?.stop(), 0);
});

// call sends a request from the page and returns what a script of that page can read of the answer.
const call = (path, options = {}) => page.evaluate(async ([address, { form, ...init }]) => {
  const answer = await fetch(address, { ...init, ...(form && { method: 'POST', body: new URLSearchParams(form) }) });
  return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.json().catch(() => null) };
}, [mock.origin + path, options]);

test('a front end of another origin uses it', async () => {
  await page.goto(`http://localhost:${frontend.address().port}/`);
  const refused = await call('/users/me');
  assert.equal(refused.status, 401);
  assert.match(refused.headers['www-authenticate'], /^Bearer/);

  const login = await call('/token', { form: { grant_type: 'password', username: 'anyone', password: 'anything', scope: 'me:read' } });
  assert.equal(login.status, 200);
  assert.equal(login.body.expires_in, 60);
  const headers = { Authorization: `Bearer ${login.body.access_token}` };
  const me = await call('/users/me', { headers });
  assert.equal(me.body.username, 'ann');
  assert.equal((await call('/users/me', { headers, method: 'DELETE' })).body.code, 'insufficient_scope');

  const throttled = await call('/token', { headers: { Prefer: 'code=429' }, form: { grant_type: 'password' } });
  assert.equal(throttled.status, 429);
  assert.equal(throttled.headers['retry-after'], '1');
  assert.equal((await call('/users', { method: 'POST', headers: { Prefer: 'code=409' } })).body.code, 'username_taken');
});

test('its pages say how a person must have signed in', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sesame-mock-'));
  const file = join(folder, 'openapi.yaml');
  writeFileSync(file, `
openapi: 3.0.3
info: { title: Bank, version: '1' }
security: [{ Login: [] }]
paths:
  /transfers:
    post:
      operationId: transfer
      summary: Send money
      tags: [Bank]
      description: To another account.
      x-requires-acr: '2'
      x-requires-max-age: 300
      responses: { '204': { description: Sent. }, '401': { description: Sign in again. } }
  /readyz: { get: { operationId: getReadiness, security: [], responses: { '204': { description: Ready. } } } } # startSesame asks for it
components:
  securitySchemes: { Login: { type: oauth2, flows: { password: { tokenUrl: /token, scopes: {} } } } }
`);
  const bank = await startSesame({}, ['mock', '--spec', file]);
  try {
    await page.goto(`${bank.origin}/docs/`);
    await page.locator('#operations-Bank-transfer .opblock-summary').click();
    const description = page.locator('.opblock-description');
    await description.waitFor();
    assert.match(await description.innerText(), /To another account\.\s+This needs a person who has signed in with a second factor within the last 300 seconds \(RFC 9470\)\./);
    await screenshot(page, 'mock-demand');
    await page.goto(`${bank.origin}/redoc`);
    for (const text of ['requires-acr', 'requires-max-age']) await page.getByText(text).first().waitFor();
    await screenshot(page, 'mock-demand-redoc');
  } finally {
    assert.equal(await bank.stop(), 0);
    rmSync(folder, { recursive: true });
  }
});

test('its pages work like those of the real server', async () => {
  await page.goto(`${mock.origin}/docs/`);
  await logIn(page, { username: 'whoever', password: 'whatever' });
  const me = await execute(page, 'getMe');
  assert.equal(me.status, 200);
  assert.match(me.text, /"username": "ann"/);
  await screenshot(page, 'mock');
  report('sesame mock', '-', 'a page of another origin and Swagger UI log in with any credentials, read examples, choose a 429 and a 409');
});
