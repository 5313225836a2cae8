// The pages for people: with the keyboard alone, on a phone, light and dark, and as axe-core judges them.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { axeVersion, eachWithAPage, screenshot, seriousFindings } from './browser.mjs';
import { report } from './consumer.mjs';
import { totp } from './totp.mjs';

const ann = { username: 'ann', password: 'a wooden horse', email: 'ann@example.com' };
let callback; // the redirect address of the client

// The client: it answers whatever the browser brings.
const album = createServer((_, answer) => answer.end('Photo Album'));
before(() => new Promise((resolve) => {
  album.listen(0, '127.0.0.1', () => {
    callback = `http://127.0.0.1:${album.address().port}/callback`;
    resolve();
  });
}));
after(() => album.close());

// client makes a third party's client once for a server.
function client(at) {
  at.client ??= JSON.parse(at.sesame.command('client', 'create', 'Photo Album', '--public', '--third-party', '--redirect-uri', callback, '--json')).client_id;
  return at.client;
}

// authorizeURL is the address of an authorization request.
function authorizeURL(at, more = {}) {
  const challenge = createHash('sha256').update(randomBytes(32).toString('base64url')).digest('base64url');
  return `${at.sesame.origin}/authorize?${new URLSearchParams({
    response_type: 'code', client_id: client(at), redirect_uri: callback, scope: 'openid profile email', state: 'x', nonce: 'y',
    code_challenge: challenge, code_challenge_method: 'S256', ...more,
  })}`;
}

// makeAnn makes the account once for a server.
function makeAnn(at) {
  if (!at.made) at.sesame.createUser(ann);
  at.made = true;
}

// fits checks that nothing makes a page scroll sideways.
const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

// callbackOf resolves with the address at which the browser comes back to the client.
async function callbackOf(page, act) {
  await act();
  await page.waitForURL(`${callback}?**`);
  return new URL(page.url());
}

// assertOwn checks that a page has sent every request to its own server, apart from the last step to the client.
function assertOwn(at) {
  const foreign = at.requests.map((request) => request.url()).filter((url) => new URL(url).origin !== at.sesame.origin && !url.startsWith(new URL(callback).origin));
  assert.deepEqual(foreign, []);
  assert.deepEqual(at.complaints.filter((text) => /violates|Content Security Policy/.test(text)), []);
}

// signInAt signs ann in to the pages of her account.
async function signInAt(at) {
  makeAnn(at);
  await at.page.goto(`${at.sesame.origin}/account`);
  await at.page.getByLabel('Username or e-mail address').fill(ann.username);
  await at.page.getByLabel('Password').fill(ann.password);
  await at.page.getByRole('button', { name: 'Sign in' }).click();
  await at.page.getByRole('heading', { name: 'Your account' }).waitFor();
}

describe('with the keyboard alone', () => {
  const at = eachWithAPage({ path: '/authorize' });

  // focused describes the element that has the focus, and whether the focus can be seen.
  const focused = () => at.page.evaluate(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    return { name: document.activeElement.id || document.activeElement.innerText, seen: outlineStyle === 'solid' && outlineWidth === '3px' };
  });

  test('a person signs in and agrees', async () => {
    makeAnn(at);
    const { page } = at;
    const { keyboard } = page;
    await page.goto(authorizeURL(at));
    assert.deepEqual(await focused(), { name: 'username', seen: true });
    await keyboard.type(ann.username);
    await keyboard.press('Tab');
    assert.deepEqual(await focused(), { name: 'password', seen: true });
    await keyboard.type('not the password');
    await keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    assert.match(await page.title(), /^Error: Sign in/);
    assert.deepEqual(await focused(), { name: 'password', seen: true }); // the name is kept
    assert.equal(await page.locator('#password').getAttribute('aria-describedby'), 'fault');
    await keyboard.type(ann.password);
    await keyboard.press('Tab');
    assert.deepEqual(await focused(), { name: 'Sign in', seen: true });
    await keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Allow Photo Album?' }).waitFor();
    const way = [];
    for (const _ of [1, 2]) {
      await keyboard.press('Tab');
      const { name, seen } = await focused();
      assert.ok(seen, `${name} has no visible focus`);
      way.push(name);
    }
    assert.deepEqual(way, ['Allow', 'Do not allow']);
    await keyboard.press('Shift+Tab');
    const back = await callbackOf(page, () => keyboard.press('Enter'));
    assert.ok(back.searchParams.get('code'), String(back));
    assert.equal(back.searchParams.get('state'), 'x');
    assertOwn(at);
  });

  test('a person makes an account, after a fault at its field', async () => {
    const { page } = at;
    const { keyboard } = page;
    await page.goto(authorizeURL(at, { prompt: 'create' }));
    assert.equal((await focused()).name, 'email');
    await keyboard.type('zoe@example.com');
    await keyboard.press('Tab');
    await keyboard.press('Tab');
    assert.equal((await focused()).name, 'password');
    await keyboard.type('short');
    await keyboard.press('Enter');
    await page.getByRole('alert').getByText('must have at least').waitFor();
    assert.equal((await focused()).name, 'password');
    assert.equal(await page.locator('#password').getAttribute('aria-describedby'), 'password-fault password-hint');
    assert.equal(await page.locator('#email').inputValue(), 'zoe@example.com');
    await keyboard.type('a wooden horse');
    await keyboard.press('Enter');
    await page.getByText('You are signed in as zoe').waitFor();
    assertOwn(at);
  });
});

// visit opens each page in turn, and calls look with its name.
async function visit(at, look) {
  const { page, sesame } = at;
  const { origin } = sesame;
  makeAnn(at);
  await page.goto(authorizeURL(at));
  await look('sign-in');
  await page.getByLabel('Username or e-mail address').fill('nobody');
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').waitFor();
  await look('sign-in-refused');
  await page.getByRole('link', { name: 'Create an account' }).click();
  await look('sign-up');
  await page.getByLabel('E-mail address').fill('eve@example.com');
  await page.locator('#username').fill('admin');
  await page.locator('#password').fill('short');
  await page.getByRole('button', { name: 'Create the account' }).click();
  await page.locator('#password-fault').waitFor();
  await look('sign-up-refused');
  await page.getByRole('link', { name: 'Sign in to an account' }).click();
  await page.getByRole('link', { name: 'Forgotten your password?' }).click();
  await look('forgot-password');
  await page.getByLabel('E-mail address').fill(ann.email);
  await page.getByRole('button', { name: 'Send the mail' }).click();
  await page.getByText('is on its way').waitFor();
  await look('forgot-password-sent');
  await page.goto(`${origin}/reset-password?code=${await sesame.mailedCode(ann.email)}`);
  await look('reset-password');
  await page.goto(`${origin}/reset-password?code=x`);
  await look('link-no-longer-valid');
  await page.goto(`${origin}/nothing`);
  await look('not-found');
  await signInAt(at);
  await look('account');
  await page.locator('#email').fill('annie@example.com');
  await page.locator('#password').fill('not the password');
  await page.getByRole('button', { name: 'Change the address' }).click();
  await page.locator('#password-fault').waitFor();
  await look('account-refused');
  await page.goto(authorizeURL(at, { prompt: 'consent' }));
  await look('consent');
  await callbackOf(page, () => page.getByRole('button', { name: 'Allow', exact: true }).click());
  for (const [name, title] of [['sessions', 'Sessions'], ['applications', 'Applications'], ['events', 'Events'], ['delete', 'Delete the account']]) {
    await page.goto(`${origin}/account`);
    await page.getByRole('link', { name: title, exact: true }).click();
    await page.getByRole('heading', { name: title }).waitFor();
    await look(`account-${name}`);
  }
  await page.goto(`${origin}/account`);
  await page.getByRole('link', { name: 'Second factors', exact: true }).click();
  await page.getByRole('link', { name: 'Set up an authenticator app' }).click();
  await look('authenticator');
  await page.locator('#code').fill('x');
  await page.getByRole('button', { name: 'Finish', exact: true }).click();
  await page.locator('#code-fault').waitFor();
  await look('authenticator-refused');
  await page.locator('#code').fill(totp((await page.locator('code').innerText()).replaceAll(' ', '')));
  await page.getByRole('button', { name: 'Finish', exact: true }).click();
  await page.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
  await look('recovery-codes');
  await page.getByRole('link', { name: 'I have kept the codes' }).click();
  await look('account-security');
  await page.getByRole('button', { name: 'Change' }).click();
  await look('account-factor');
  await page.getByRole('button', { name: 'Remove it', exact: true }).click();
  await page.getByText('The second factor is removed.').waitFor();
  await page.goto(`${origin}/sign-out`);
  await look('sign-out');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await look('signed-out');
}

describe('every page', () => {
  const at = eachWithAPage({ path: '/sign-in' });
  const desktop = { width: 1280, height: 900 };

  test('is readable, light and dark, small, and fits into 320 pixels', async () => {
    const { page } = at;
    await visit(at, async (name) => {
      const size = (await page.content()).length;
      assert.ok(size < 30_000, `${name} has ${size} bytes`);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await seriousFindings(page), [], `${name}, ${colorScheme}`);
        await screenshot(page, `pages-${name}-${colorScheme}`);
        await page.setViewportSize({ width: 320, height: 640 });
        assert.ok(await fits(page), `${name} is wider than 320 pixels`);
        await screenshot(page, `pages-${name}-phone-${colorScheme}`);
        await page.setViewportSize(desktop);
      }
    });
    assertOwn(at);
    report('axe-core', axeVersion, 'finds nothing serious on the pages for people, light and dark');
  });
});

describe('in German, with the look of an operator', () => {
  const at = eachWithAPage({ env: { SESAME_ACCENT_COLOR: '#ffcc00', SESAME_MAIL_FROM: 'Acme <no-reply@example.com>' }, context: { locale: 'de-DE' }, path: '/sign-in' });
  for (const colorScheme of ['light', 'dark']) {
    test(`the colors can be read, ${colorScheme}`, async () => {
      await at.page.emulateMedia({ colorScheme });
      for (const name of ['sign-in', 'sign-up', 'forgot-password']) {
        await at.page.goto(`${at.sesame.origin}/${name}`);
        assert.equal(await at.page.evaluate(() => document.documentElement.lang), 'de');
        assert.deepEqual(await seriousFindings(at.page), [], name);
        await screenshot(at.page, `pages-${name}-german-${colorScheme}`);
      }
    });
  }
});

describe('with a mailed link', () => {
  const at = eachWithAPage({ env: { SESAME_MAGIC_LINKS: 'on' }, path: '/sign-in' });

  test('a person signs in to a client, from a page of another site, and no other browser does', async () => {
    const { page, sesame } = at;
    makeAnn(at);
    await page.goto(authorizeURL(at));
    await page.getByLabel('Username or e-mail address').fill(ann.email);
    assert.deepEqual(await seriousFindings(page), []);
    await screenshot(page, 'pages-link-asked');
    await page.getByRole('button', { name: 'Send me a link' }).click(); // without a password
    await page.getByRole('heading', { name: 'Look into your mailbox' }).waitFor();
    await screenshot(page, 'pages-link-sent');
    const link = `${sesame.origin}/sign-in-link?code=${await sesame.mailedCode(ann.email)}`;

    const other = await (await page.context().browser().newContext()).newPage();
    await other.goto(link);
    await other.getByRole('heading', { name: 'Open this link in the other browser' }).waitFor();
    await screenshot(other, 'pages-link-other');
    await other.context().close();

    // As webmail does: another site, under another name of this machine.
    await page.goto(`${callback.replace('127.0.0.1', 'localhost')}?mail`);
    await page.setContent(`<a href="${link}">Sign in</a>`);
    await page.getByRole('link', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.deepEqual(await seriousFindings(page), []);
    await screenshot(page, 'pages-link-opened');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Allow Photo Album?' }).waitFor();
    const came = await callbackOf(page, () => page.getByRole('button', { name: 'Allow', exact: true }).click());
    assert.ok(came.searchParams.get('code'));
    report('Chromium', at.page.context().browser().version(), 'signs in with a mailed link that another site shows, and in no other browser');
  });
});
