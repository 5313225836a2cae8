// Sign-in through others, in Chromium, with a real Keycloak as the provider.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { eachWithAPage, screenshot, seriousFindings } from './browser.mjs';
import { report } from './consumer.mjs';
import { person, startKeycloak, version } from './keycloak.mjs';

const ann = { username: 'ann', password: 'a wooden horse', email: 'ann@example.com' };
const at = eachWithAPage({ path: '/sign-in', env: { SESAME_PRIVATE_PROVIDERS: 'on' } });
let keycloak;

after(() => keycloak?.stop());

// provide starts Keycloak, and adds it to the server.
async function provide() {
  if (keycloak) return;
  const redirect = `${at.sesame.origin}/sign-in/keycloak/callback`;
  keycloak = await startKeycloak({ clientId: 'sesame', secret: 'a secret of the client', redirect });
  const folder = mkdtempSync(join(tmpdir(), 'secret-'));
  const file = join(folder, 'secret');
  writeFileSync(file, 'a secret of the client\n', { mode: 0o600 });
  const printed = at.sesame.command('provider', 'add', 'keycloak', '--label', 'Example Corp', '--issuer', keycloak.issuer, '--client-id', 'sesame', '--client-secret-file', file);
  rmSync(folder, { recursive: true });
  assert.ok(printed.includes(redirect), printed);
}

// signInThere fills in the page of Keycloak.
async function signInThere(page) {
  await page.waitForURL(`${keycloak.origin}/**`);
  await page.locator('#username').fill(person.username);
  await page.locator('#password').fill(person.password);
  await page.locator('#kc-login').click();
}

const violations = () => at.complaints.filter((text) => /violates|Content Security Policy/.test(text) && text.includes(at.sesame.origin));

test('a person signs in through Keycloak, and again without a page', async () => {
  await provide();
  const { page } = at;
  await page.goto(`${at.sesame.origin}/sign-in`);
  const button = page.getByRole('button', { name: 'Continue with Example Corp' });
  await button.waitFor();
  await screenshot(page, 'sign-in-providers');
  assert.deepEqual(await seriousFindings(page), []);
  await button.click();
  await signInThere(page);
  await page.getByText('You are signed in as kim').waitFor();
  await page.getByText(`Your address is ${person.email}.`).waitFor();
  assert.equal(new URL(page.url()).href, `${at.sesame.origin}/account`);
  await page.goto(`${at.sesame.origin}/sign-out`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await page.goto(`${at.sesame.origin}/sign-in`);
  await button.click(); // Keycloak knows the person
  await page.getByText('You are signed in as kim').waitFor();
  assert.deepEqual(violations(), []);
  report('Keycloak', version, 'as a provider in Chromium: sign-in, sign-in with a live session, prompt=login, linking');
});

test('a person links an account at Keycloak, and cancels first', async () => {
  await provide();
  const { page } = at;
  at.sesame.createUser(ann);
  await page.goto(`${at.sesame.origin}/sign-in`);
  await page.getByLabel('Username or e-mail address').fill(ann.username);
  await page.getByLabel('Password').fill(ann.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('link', { name: 'Linked services' }).click();
  await page.getByLabel('Current password').fill(ann.password);
  await screenshot(page, 'account-identities');
  assert.deepEqual(await seriousFindings(page), []);
  await page.getByRole('button', { name: 'Link Example Corp' }).click();
  await signInThere(page);
  await page.getByRole('alert').getByText('linked to another account here').waitFor(); // kim's, who has signed in above
  assert.deepEqual(violations(), []);
});

test('on a phone, in the dark', async () => {
  const { page } = at;
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto(`${at.sesame.origin}/sign-up`);
  await page.getByRole('button', { name: 'Continue with Example Corp' }).waitFor();
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  assert.deepEqual(await seriousFindings(page), []);
  await screenshot(page, 'sign-up-providers');
});
