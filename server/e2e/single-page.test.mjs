// A single-page app with oidc-client-ts, in Chromium, at another origin than Sesame: it signs a person in, refreshes, reads
// userinfo and signs out.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { npmInstall, report } from './consumer.mjs';
import { assertShown, stopSesame } from './guide.mjs';
import { account } from './person.mjs';
import { startSesame } from './sesame.mjs';

const packages = new URL('oauth-node/node_modules/oidc-client-ts/', import.meta.url);
let sesame, app, origin, settings, browser;

// The app: one page at every address, and its scripts.
function answer(request, response) {
  const files = {
    '/app.js': new URL('single-page/app.js', import.meta.url),
    '/oidc-client-ts.min.js': new URL('dist/browser/oidc-client-ts.min.js', packages),
  };
  const file = files[request.url];
  response.setHeader('Content-Type', file ? 'text/javascript' : 'text/html');
  let body = readFileSync(file ?? new URL('single-page/index.html', import.meta.url), 'utf8');
  for (const [name, value] of Object.entries(settings)) body = body.replace(name, value);
  response.end(body);
}

before(async () => {
  npmInstall('oauth-node');
  app = createServer(answer);
  await new Promise((resolve) => { app.listen(0, '127.0.0.1', resolve); });
  origin = `http://127.0.0.1:${app.address().port}`;
  sesame = await startSesame({ SESAME_CORS_ORIGINS: origin });
  sesame.createUser(account);
  const made = JSON.parse(sesame.command('client', 'create', 'a notebook', '--json', '--public', '--redirect-uri', `${origin}/callback`, '--post-logout-redirect-uri', `${origin}/`));
  settings = { CLIENT_ID: made.client_id, 'http://127.0.0.1:8080': sesame.origin };
  browser = await launch();
});

after(async () => {
  await browser?.close();
  app?.close();
  if (sesame) await stopSesame(sesame, '/userinfo');
});

test('oidc-client-ts signs people in', async () => {
  assertShown('single-page/app.js', 'oidc-client-ts', 'sign-in.md');
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const complaints = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (fault) => complaints.push(String(fault)));
  const press = (name) => page.getByRole('button', { name }).click();
  const tokens = () => page.evaluate(() => JSON.parse(sessionStorage[Object.keys(sessionStorage).find((key) => key.startsWith('oidc.user:'))]));

  await page.goto(origin);
  await press('Sign in');
  await page.getByLabel('Username or e-mail address').fill(account.username);
  await page.getByLabel('Password').fill(account.password);
  await press('Sign in');
  await page.getByText(`Hello ${account.username}`).waitFor();
  const first = await tokens();
  assert.deepEqual([first.profile.email, first.profile.email_verified], [account.email, true]);

  const refreshed = page.waitForResponse((response) => response.url().endsWith('/token'));
  await press('Refresh');
  assert.equal((await refreshed).status(), 200);
  await page.waitForFunction((before) => !Object.values(sessionStorage).some((value) => value.includes(before)), first.refresh_token);
  assert.equal((await tokens()).profile.sub, first.profile.sub);

  // The person comes back in another tab and needs no page.
  const other = await context.newPage();
  await other.goto(origin);
  await other.getByRole('button', { name: 'Sign in' }).click();
  await other.getByText(`Hello ${account.username}`).waitFor();

  await press('Sign out');
  await page.getByRole('button', { name: 'Sign in' }).waitFor();
  assert.equal(page.url(), `${origin}/`);
  await press('Sign in');
  await page.getByLabel('Password').waitFor();
  assert.deepEqual(complaints, []);
  report('oidc-client-ts, sign-in', JSON.parse(readFileSync(new URL('package.json', packages))).version,
    'a single-page app in Chromium at another origin: code with PKCE, userinfo, refresh, a second tab without a page, sign-out');
});
