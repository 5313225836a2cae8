// Sesame's mails at a real mail server, and the pages that their links open as a person uses them: without scripts, with the
// keyboard alone, on a phone, behind a proxy.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { assertCalm, axeVersion, eachWithAPage, screenshot, seriousFindings } from './browser.mjs';
import { report, run } from './consumer.mjs';
import { startMailpit, version } from './mailpit.mjs';
import { freePort, startSesame, until } from './sesame.mjs';

const horse = 'a wooden horse';
const bigger = 'a bigger wooden horse';

let mailpit;
// Mails that cannot be delivered are retried a minute later; the other tests run in the meantime.
const trouble = {};

before(async () => {
  mailpit = await startMailpit();
  await makeTrouble();
});

after(async () => {
  await trouble.sesame?.stop();
  await trouble.mailpit?.stop();
  await mailpit?.stop();
});

// register creates an account with an address.
async function register({ origin }, username, email = `${username}@example.com`) {
  const answer = await fetch(`${origin}/users`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username, email, password: horse }),
  });
  assert.equal(answer.status, 201);
}

// forget requests a password reset for an account with a confirmed address.
async function forget(sesame, username) {
  sesame.createUser({ username, password: horse, email: `${username}@example.com` });
  const answer = await fetch(`${sesame.origin}/password-resets`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ email: `${username}@example.com` }),
  });
  assert.equal(answer.status, 202);
}

// logIn returns the status of a login.
const logIn = async ({ origin }, username, password) => (await fetch(`${origin}/token`, {
  method: 'POST', body: new URLSearchParams({ grant_type: 'password', username, password }),
})).status;

// linksOf returns the URLs in a mail, and fails if one is not origin's or if the mail loads an image.
function linksOf(mail, origin) {
  assert.doesNotMatch(mail.HTML, /<(img|script|link|iframe|style|base|form)\b|url\(|@import/i);
  const found = [mail.Text, mail.HTML].map((part) => part.match(/https?:[^\s"<]+/g).map((link) => link.replaceAll('&amp;', '&')));
  for (const link of found.flat()) assert.ok(link === origin || link.startsWith(`${origin}/`), `${link} is foreign`);
  return found;
}

// linkIn returns the link of a mail, which must be the same in both parts.
function linkIn(mail, origin) {
  const [text, html] = linksOf(mail, origin).map((links) => links.filter((link) => link.includes('code=')));
  assert.equal(text.length, 1);
  assert.deepEqual(html, text);
  return text[0];
}

describe('a person without scripts', () => {
  const at = eachWithAPage({
    env: () => ({ SESAME_SMTP_URL: `smtp://127.0.0.1:${mailpit.port}`, SESAME_MAIL_FROM: 'Häuser & Co <no-reply@example.com>' }),
    context: { javaScriptEnabled: false }, path: '/confirm-email',
  });

  // openMail shows the HTML part as a mail program does and presses its link.
  async function openMail(mail, name) {
    await at.page.setContent(mail.HTML);
    await screenshot(at.page, name);
    await at.page.getByRole('link').and(at.page.locator('[href*="code="]')).click();
    await at.page.getByRole('button').waitFor();
  }

  // tabTo presses Tab until an element has the focus, which must be visible.
  async function tabTo(name) {
    for (let i = 0; i < 5; i++) {
      const stop = await at.page.evaluate(() => {
        const node = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(node);
        return { name: (node.labels?.[0] ?? node).innerText, visible: outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2 };
      });
      if (stop.name === name) return assert.ok(stop.visible, `the focus on ${name} cannot be seen`);
      await at.page.keyboard.press('Tab');
    }
    throw new Error(`${name} cannot be reached with Tab`);
  }

  test('a mail that confirms an address works in mail programs', async () => {
    const { sesame } = at;
    await register(sesame, 'ann');
    const [mail] = await mailpit.mails('ann@example.com');
    assert.equal(mail.Subject, 'Confirm your e-mail address');
    assert.deepEqual(mail.From, { Name: 'Häuser & Co', Address: 'no-reply@example.com' });
    assert.deepEqual(mail.To.map(({ Address }) => Address), ['ann@example.com']);
    assert.deepEqual([...mail.Attachments, ...mail.Inline], []);
    assert.match(mail.MessageID, /^[0-9a-f-]{36}@example\.com$/);
    assert.deepEqual(mail.headers['Auto-Submitted'], ['auto-generated']);
    assert.match(mail.headers['Content-Type'][0], /^multipart\/alternative/);
    assert.ok(Math.abs(Date.now() - Date.parse(mail.Date)) < 60_000, mail.Date);
    assert.match(linkIn(mail, sesame.origin), /\/confirm-email\?code=[\w-]{43}$/);
    for (const part of [mail.Text, mail.HTML]) {
      assert.match(part, /24 hours/);
      assert.doesNotMatch(part, /\bann\b/); // a stranger may have chosen the name
    }
    const { Total: { Supported: supported }, Warnings: warnings } = await mailpit.checkHTML(mail);
    assert.ok(supported > 90, `${supported} % of mail programs show it: ${warnings.map(({ Title }) => Title)}`);

    // A scanner that opens every link consumes no code.
    for (let i = 0; i < 2; i++) {
      const { Errors: errors, Links: links } = await mailpit.checkLinks(mail);
      assert.equal(errors, 0, JSON.stringify(links));
      assert.ok(links.some(({ URL: url }) => url.includes('code=')));
    }
    assert.equal(await logIn(sesame, 'ann@example.com', horse), 400);
  });

  test('a person confirms an address with the keyboard', async () => {
    const { sesame, page } = at;
    await register(sesame, 'bob');
    const [mail] = await mailpit.mails('bob@example.com');
    await openMail(mail, 'mail-confirm');
    await page.goto(linkIn(mail, sesame.origin)); // again, since opening it consumes nothing
    assert.match(await page.title(), /^Confirm your e-mail address – Häuser & Co$/);
    assert.equal(await page.locator('html').getAttribute('lang'), 'en');
    assert.equal(await logIn(sesame, 'bob@example.com', horse), 400);

    await page.getByText('Is bob@example.com the address of your account bob?').waitFor();
    for (const [password, answer] of [['not it', page.getByRole('alert').filter({ hasText: 'not the password' })],
      [horse, page.getByRole('heading', { name: 'Your address is confirmed' })]]) {
      await tabTo('Password of this account');
      await page.keyboard.type(password);
      await tabTo('Confirm the address');
      await page.keyboard.press('Enter');
      await answer.waitFor();
      await screenshot(page, `mail-confirm-${password === horse ? 'done' : 'refused'}`);
    }
    await screenshot(page, 'mail-confirmed');
    assert.doesNotMatch(page.url(), /code/);
    assert.equal(await logIn(sesame, 'bob@example.com', horse), 200);

    await page.goto(linkIn(mail, sesame.origin));
    await page.getByRole('heading', { name: 'This link is no longer valid' }).waitFor();
    assert.equal(await page.getByRole('button').count(), 0);
    await screenshot(page, 'mail-not-good');
    assertCalm(at, [['422 (Unprocessable Entity)', '/confirm-email'], ['422 (Unprocessable Entity)', new URL(page.url()).pathname + new URL(page.url()).search]]);
  });

  test('a person sets a new password with the keyboard', async () => {
    const { sesame, page } = at;
    const { keyboard } = page;
    await forget(sesame, 'cas');
    const [mail] = await mailpit.mails('cas@example.com');
    assert.equal(mail.Subject, 'Choose a new password');
    await openMail(mail, 'mail-reset');
    for (const [weak, reason] of [['password', 'is one of the most common'], ['cas-2026', 'consists of the username'], ['short', 'at least 8 characters']]) {
      await tabTo('New password');
      await keyboard.type(weak);
      await keyboard.press('Enter');
      await page.getByRole('alert').filter({ hasText: reason }).waitFor();
      assert.equal(await page.getByLabel('New password').inputValue(), '');
    }
    assert.ok(await page.getByLabel('New password').evaluate((field) => field.matches('[aria-describedby]') &&
      document.getElementById(field.getAttribute('aria-describedby').split(' ')[0]).role === 'alert'), 'the field does not lead to the reason');
    await screenshot(page, 'mail-refused');
    assert.equal(await logIn(sesame, 'cas', horse), 200);

    await tabTo('New password');
    await keyboard.type(bigger);
    await tabTo('Set the password');
    await keyboard.press('Space');
    await page.getByRole('heading', { name: 'Your password is changed' }).waitFor();
    assert.equal(await logIn(sesame, 'cas', horse), 400);
    assert.equal(await logIn(sesame, 'cas', bigger), 200);
    const [, told] = await mailpit.mails('cas@example.com', 2);
    assert.equal(told.Subject, 'Your password was reset');
    linksOf(told, sesame.origin);
    assert.doesNotMatch(JSON.stringify(told), /horse|code=/);
    assert.deepEqual(sesame.log().match(/horse|code=|[\w-]{43}/g), null); // no password and no code
    assertCalm(at, Array(3).fill(['422 (Unprocessable Entity)', '/reset-password']));
  });
});

describe('an address of several accounts', () => {
  const at = eachWithAPage({
    env: () => ({ SESAME_SMTP_URL: `smtp://127.0.0.1:${mailpit.port}` }), context: { javaScriptEnabled: false }, path: '/reset-password',
  });

  test('a person chooses the account with the keyboard', async () => {
    const { sesame, page } = at;
    for (const name of ['gus', 'gustav']) await register(sesame, name, 'gus@example.com');
    await fetch(`${sesame.origin}/password-resets`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ email: 'gus@example.com' }),
    });
    const mails = await mailpit.mails('gus@example.com', 3);
    const reset = mails.find(({ Subject }) => Subject === 'Choose a new password');
    assert.doesNotMatch(reset.Text + reset.HTML, /gustav/);
    await page.goto(linkIn(reset, sesame.origin));
    const group = page.getByRole('group', { name: 'Account' });
    assert.deepEqual(await group.getByRole('radio').evaluateAll((nodes) => nodes.map((node) => node.value)), ['gus', 'gustav']);
    await screenshot(page, 'mail-choose');
    await page.keyboard.press('Tab'); // to the first account
    await page.keyboard.press('ArrowDown');
    assert.ok(await page.getByLabel('gustav').isChecked());
    for (const password of ['short', bigger]) {
      await page.getByLabel('New password').focus();
      await page.keyboard.type(password);
      await page.keyboard.press('Enter');
      await (password === bigger ? page.getByText('Your password is changed') : page.getByRole('alert')).waitFor();
      if (password !== bigger) assert.ok(await page.getByLabel('gustav').isChecked(), 'the choice is lost');
    }
    assert.deepEqual([await logIn(sesame, 'gus', horse), await logIn(sesame, 'gustav', bigger)], [200, 200]);
    assertCalm(at, [['422 (Unprocessable Entity)', '/reset-password']]);
  });
});

describe('the pages', () => {
  const at = eachWithAPage({ env: () => ({ SESAME_SMTP_URL: `smtp://127.0.0.1:${mailpit.port}` }), path: '/reset-password' });

  test('fit every screen, in light and in dark', async () => {
    const { sesame, page } = at;
    const longest = 'w'.repeat(64);
    await register(sesame, longest, 'dan@example.com');
    await forget(sesame, 'eve');
    for (const name of ['hal', 'v'.repeat(64)]) await register(sesame, name, 'hal@example.com');
    await fetch(`${sesame.origin}/password-resets`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ email: 'hal@example.com' }),
    });
    const choose = (await mailpit.mails('hal@example.com', 3)).find(({ Subject }) => Subject === 'Choose a new password');
    const [confirm, reset] = [(await mailpit.mails('dan@example.com'))[0], (await mailpit.mails('eve@example.com'))[0]];
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const [size, width, height] of [['wide', 1280, 900], ['phone', 360, 740]]) {
        await page.setViewportSize({ width, height });
        const show = async (name) => {
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${name} is wider than the screen`);
          for (const [text, ratio] of await contrasts(page)) assert.ok(ratio >= 4.5, `${text}: contrast of ${ratio}`);
          if (name.startsWith('page-')) assert.deepEqual(await seriousFindings(page), []);
          await screenshot(page, `mail-${name}-${size}-${colorScheme}`);
        };
        await page.goto(`${sesame.origin}/nothing`);
        await show('page-not-found');
        await page.goto(linkIn(confirm, sesame.origin));
        await show('page-confirm');
        await page.goto(linkIn(choose, sesame.origin));
        await show('page-choose');
        await page.goto(linkIn(reset, sesame.origin));
        await page.getByLabel('New password').fill('password');
        await page.getByRole('button').click();
        await page.getByRole('alert').waitFor();
        await show('page-reset');
        const { height: target } = await page.getByRole('button').boundingBox();
        assert.ok(target >= 44, `the button is ${target} high`);
        for (const [name, mail] of Object.entries({ confirm, reset })) {
          await page.goto('about:blank'); // a page without our policy
          await page.setContent(mail.HTML);
          await show(name);
        }
      }
    }
    report('axe-core', axeVersion, 'finds nothing serious on the pages behind mailed links and of a wrong address');
    assertCalm(at, Array(4).fill([['404 (Not Found)', '/nothing'], ['422 (Unprocessable Entity)', '/reset-password']]).flat());
  });
});

// contrasts returns the contrast of each text of a page with its background (WCAG 2.2, 1.4.3).
const contrasts = (page) => page.evaluate(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const paint = (...colors) => {
    for (const color of colors) Object.assign(canvas, { fillStyle: color }).fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.setProperty('background', 'Canvas'); // allowed: not an attribute
  const canvasColor = getComputedStyle(probe).backgroundColor;
  probe.remove();
  return [...document.querySelectorAll('h1, p, label, legend, button, a, b')].map((node) => {
    const behind = [canvasColor];
    for (let n = node; n; n = n.parentElement) behind.splice(1, 0, getComputedStyle(n).backgroundColor);
    const [light, dark] = [paint(...behind), paint(...behind, getComputedStyle(node).color)].sort((a, b) => b - a);
    return [node.innerText, (light + 0.05) / (dark + 0.05)];
  });
});

describe('behind a proxy that serves it under a path', () => {
  let proxy, target;
  before(async () => {
    proxy = createServer((q, r) => {
      q.pipe(request({ port: target, path: q.url.replace(/^\/login/, ''), method: q.method, headers: q.headers }, (answer) => {
        r.writeHead(answer.statusCode, answer.headers);
        answer.pipe(r);
      }));
    });
    await new Promise((resolve) => { proxy.listen(0, '127.0.0.1', resolve); });
  });
  after(() => proxy.close());
  const origin = () => `http://127.0.0.1:${proxy.address().port}`;
  const at = eachWithAPage({
    env: () => ({ SESAME_SMTP_URL: `smtp://127.0.0.1:${mailpit.port}`, SESAME_PUBLIC_URL: `${origin()}/login` }), path: '/reset-password',
  });

  test('the link and the button work', async () => {
    const { sesame, page } = at;
    target = sesame.port;
    await forget(sesame, 'fay');
    const [mail] = await mailpit.mails('fay@example.com');
    const link = linkIn(mail, `${origin()}/login`);
    assert.ok(link.startsWith(`${origin()}/login/reset-password?code=`), link);
    await page.goto(link);
    for (const password of ['short', bigger]) {
      await page.getByLabel('New password').fill(password);
      await page.getByRole('button').click();
      await (password === bigger ? page.getByText('Your password is changed') : page.getByRole('alert')).waitFor();
      assert.equal(page.url(), `${origin()}/login/reset-password`);
    }
    assert.equal(await logIn(sesame, 'fay', bigger), 200);
    assertCalm(at, [['422 (Unprocessable Entity)', '/login/reset-password']], origin());
  });
});

test('TLS and a login at the mail server', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sesame-tls-'));
  const account = 'sesame:p@ss%w+rd/';
  const [user, password] = account.split(':').map(encodeURIComponent);
  const goroot = run('go', ['env', 'GOROOT']).trim();
  run('go', ['run', join(goroot, 'src/crypto/tls/generate_cert.go'), '-host', '127.0.0.1', '-ca', '-ecdsa-curve', 'P256'], { cwd: folder });
  writeFileSync(join(folder, 'accounts'), account);
  const common = ['--smtp-tls-cert', join(folder, 'cert.pem'), '--smtp-tls-key', join(folder, 'key.pem'), '--smtp-auth-file', join(folder, 'accounts')];
  const [upgraded, secure] = [await startMailpit({ args: [...common, '--smtp-require-starttls'] }), await startMailpit({ args: [...common, '--smtp-require-tls'] })];
  const trusted = { SSL_CERT_FILE: join(folder, 'cert.pem') };
  const started = [];
  try {
    for (const [name, to, url, env, failure] of [
      ['starttls', upgraded, `smtp://${user}:${password}@127.0.0.1:${upgraded.port}?tls=starttls`, trusted],
      ['smtps', secure, `smtps://${user}:${password}@127.0.0.1:${secure.port}`, trusted],
      ['stranger', secure, `smtps://${user}:${password}@127.0.0.1:${secure.port}`, {}, /cannot be reached.*unknown authority/],
      ['mistyped', upgraded, `smtp://${user}:x${password}@127.0.0.1:${upgraded.port}?tls=starttls`, trusted, /refused the connection or the credentials: reply code 535/],
    ]) {
      const sesame = await startSesame({ ...env, SESAME_SMTP_URL: url });
      started.push(sesame);
      await register(sesame, name);
      if (failure) {
        await until('the failure is logged', () => failure.test(sesame.log()));
        assert.equal(await to.count(`${name}@example.com`), 0);
      } else {
        linkIn((await to.mails(`${name}@example.com`))[0], sesame.origin);
      }
      assert.ok(!sesame.log().includes(password) && !sesame.log().includes(account.split(':')[1]), 'the log shows the password');
    }
  } finally {
    for (const process of [...started, upgraded, secure]) await process.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

const failures = (sesame, message) => sesame.log().split('\n').filter((line) => line.includes(message)).map((line) => JSON.parse(line));
const again = 'sending a mail failed and will be retried';

// makeTrouble sends mails to a mail server that is down, and then to one that refuses them.
async function makeTrouble() {
  const port = await freePort();
  const sesame = trouble.sesame = await startSesame({ SESAME_SMTP_URL: `smtp://127.0.0.1:${port}` });
  await register(sesame, 'away');
  await until('a mail has failed', () => failures(sesame, again).length === 1);
  trouble.mailpit = await startMailpit({ port });
  let count = 1;
  for (const [name, step, code] of [['busy', 'Recipient', 451], ['sender', 'Sender', 550]]) {
    await trouble.mailpit.refuse(step, code);
    await register(sesame, name);
    await until(`${++count} mails have failed`, () => failures(sesame, again).length === count);
  }
  await trouble.mailpit.refuse('Recipient', 550);
  await register(sesame, 'nowhere');
  await until('a mail is dropped', () => failures(sesame, 'mail dropped').length === 1);
  await trouble.mailpit.refuse();
}

test('mails that could not be delivered arrive once, a minute later', async () => {
  const { sesame, mailpit } = trouble;
  for (const name of ['away', 'busy', 'sender']) {
    const [mail] = await mailpit.mails(`${name}@example.com`, 1, 90);
    const logged = failures(sesame, again).filter((line) => mail.MessageID.startsWith(line.mail));
    assert.equal(logged.length, 1, name);
    linkIn(mail, sesame.origin);
  }
  assert.equal(await mailpit.count('nowhere@example.com'), 0);
  const said = [...failures(sesame, again), ...failures(sesame, 'mail dropped')];
  assert.deepEqual(said.map((line) => line.kind), Array(4).fill('confirm_email'));
  for (const [i, words] of [/cannot be reached/, /replied 451/, /replied 550/, /replied 550/].entries()) assert.match(said[i].error, words);
  assert.doesNotMatch(JSON.stringify(said), /@example|code=/);
  report('Mailpit', version, 'mails taken, over TLS too, and after a failure; their pages used without scripts');
});
