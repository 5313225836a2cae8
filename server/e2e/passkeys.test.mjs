// Passkeys with Chromium's virtual authenticator: a person adds one on the account page, signs in with it by the button and by
// what the browser offers at the field, and uses it after a password.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { axeVersion, eachWithAPage, screenshot, seriousFindings } from './browser.mjs';
import { report } from './consumer.mjs';
import { freePort } from './sesame.mjs';

const ann = { username: 'ann', password: 'a wooden horse', email: 'ann@example.com' };
const port = await freePort();
const origin = `http://localhost:${port}`; // an IP address can have no passkeys

// addAuthenticator gives the browser a key that verifies the person, such as a phone does. The browser keeps its passkeys if it is
// the same one.
async function addAuthenticator(page, more = {}) {
  const chromium = await page.context().newCDPSession(page);
  await chromium.send('WebAuthn.enable', { enableUI: false });
  const { authenticatorId } = await chromium.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...more },
  });
  return {
    credentials: async () => (await chromium.send('WebAuthn.getCredentials', { authenticatorId })).credentials,
    // pressing says whether the person confirms at once what the browser asks.
    pressing: (enabled) => chromium.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId, enabled }),
    // verifying says whether the fingerprint is the person's.
    verifying: (isUserVerified) => chromium.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified }),
    remove: (credentialId) => chromium.send('WebAuthn.removeCredential', { authenticatorId, credentialId }),
  };
}

const signedIn = (page) => page.getByText(`You are signed in as ${ann.username}`).waitFor();
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

async function withPassword(page) {
  await page.getByLabel('Username or e-mail address').fill(ann.username);
  await page.getByLabel('Password').fill(ann.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

async function signOut(page) {
  await page.goto(`${origin}/sign-out`);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
}

// addPasskey signs ann in with the password and adds her first passkey.
async function addPasskey(page) {
  await page.goto(`${origin}/sign-in`);
  await withPassword(page);
  await signedIn(page);
  await page.goto(`${origin}/account/passkeys`);
  await page.getByLabel('Name').fill('My phone');
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
}

// look checks a page: what a reader of screens meets, its size, its width on a phone, and takes pictures.
async function look(page, name) {
  assert.ok((await page.content()).length < 30_000, `${name} is too large`);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await seriousFindings(page), [], `${name}, ${colorScheme}`);
    await screenshot(page, `passkeys-${name}-${colorScheme}`);
  }
  await page.setViewportSize({ width: 320, height: 640 });
  assert.ok(await fits(page), `${name} is wider than 320 pixels`);
  await screenshot(page, `passkeys-${name}-phone`);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
}

describe('passkeys', () => {
  const at = eachWithAPage({ env: { SESAME_LISTEN: `127.0.0.1:${port}`, SESAME_PUBLIC_URL: origin }, path: '/sign-in' });
  before(() => at.sesame.createUser(ann));

  // calm checks that no policy was violated, and that the pages have asked nobody else.
  function calm() {
    assert.deepEqual(at.complaints.filter((text) => /violates|Content Security Policy|Error:/.test(text)), []);
    assert.deepEqual(at.requests.map((request) => new URL(request.url()).origin).filter((from) => from !== origin), []);
  }

  test('a person adds one, signs in with it by the button and by the field, and after a password', async () => {
    const { page } = at;
    const key = await addAuthenticator(page);
    await key.pressing(false);
    await page.goto(`${origin}/sign-in`);
    await page.getByRole('button', { name: 'Sign in with a passkey' }).waitFor();
    await look(page, 'sign-in');
    await key.pressing(true);
    await addPasskey(page);
    await page.getByRole('link', { name: 'I have kept the codes' }).click();
    await page.getByText('My phone').waitFor();
    await page.getByRole('link', { name: 'Add a passkey' }).click();
    await page.getByRole('heading', { name: 'Add a passkey' }).waitFor();
    await look(page, 'account');
    const [{ isResidentCredential, userHandle }] = await key.credentials();
    assert.ok(isResidentCredential);
    assert.match(Buffer.from(userHandle, 'base64').toString(), /^[0-9a-f-]{36}$/);

    // By the field: the browser offers the passkey where the person would type the username.
    await signOut(page);
    await page.goto(`${origin}/sign-in`);
    await signedIn(page);
    await page.goto(`${origin}/account/security`);
    await page.getByText('Last used on').waitFor();

    // By the button: the first request waits until the second one takes its place.
    await key.pressing(false);
    await signOut(page);
    await page.goto(`${origin}/sign-in`);
    const button = page.getByRole('button', { name: 'Sign in with a passkey' });
    await button.waitFor();
    await key.pressing(true);
    await button.click();
    await signedIn(page);

    // After a password.
    await key.pressing(false);
    await signOut(page);
    await page.goto(`${origin}/sign-in`);
    await withPassword(page);
    const use = page.getByRole('button', { name: 'Use a passkey' });
    await use.waitFor();
    await look(page, 'second-factor');
    await key.pressing(true);
    await use.click();
    await signedIn(page);

    // Removed.
    await page.goto(`${origin}/account/security`);
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByRole('button', { name: 'Remove it', exact: true }).click();
    await page.getByText('The second factor is removed').waitFor();
    calm();
  });

  test('a person who declines is told so, and signs in with the password', async () => {
    const { page } = at;
    const key = await addAuthenticator(page);
    await addPasskey(page);
    await key.pressing(false);
    await signOut(page);
    await page.goto(`${origin}/sign-in`);
    const button = page.getByRole('button', { name: 'Sign in with a passkey' });
    await button.waitFor();
    await key.verifying(false);
    await key.pressing(true);
    await button.click();
    await page.getByRole('alert').getByText('No passkey was used').waitFor();
    await look(page, 'declined');
    await withPassword(page);
    await page.getByRole('heading', { name: 'Second factor' }).waitFor();
    await key.verifying(true);
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await signedIn(page);
    // The browser refuses a second passkey of the account on the same key.
    await page.goto(`${origin}/account/passkeys`);
    await page.getByRole('button', { name: 'Add a passkey' }).click();
    await page.getByRole('alert').getByText('No passkey was used').waitFor();
    calm();
    report('axe-core', axeVersion, 'finds nothing serious on the pages with passkeys');
  });
});

const own = await freePort();

describe('without JavaScript', () => {
  const at = eachWithAPage({ env: { SESAME_LISTEN: `127.0.0.1:${own}`, SESAME_PUBLIC_URL: `http://localhost:${own}` }, context: { javaScriptEnabled: false, locale: 'de-DE' }, path: '/sign-in' });
  before(() => at.sesame.createUser(ann));

  test('the pages work, and offer no passkey', async () => {
    const { page } = at;
    await page.goto(`http://localhost:${own}/sign-in`);
    assert.equal(await page.getByRole('button').count(), 1);
    await page.getByLabel('Benutzername').fill(ann.username);
    await page.getByLabel('Passwort').fill(ann.password);
    await page.getByRole('button', { name: 'Anmelden' }).click();
    await page.goto(`http://localhost:${own}/account/passkeys`);
    await page.getByText('führt kein JavaScript aus').waitFor();
    assert.equal(await page.getByRole('button').count(), 0);
    await screenshot(page, 'passkeys-account-without-javascript-german');
  });
});
