// The administrator's page: sign-in, tokens, drafts, people and clients. The other screens have files of their own, admin-*.test.mjs.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { administrative, assertCalm, assertInert, enter, fillSignIn, go, hostile, look, poison, root, settled } from './admin.mjs';
import { axeVersion, eachWithAPage } from './browser.mjs';
import { report } from './consumer.mjs';

const button = (page, name) => page.getByRole('button', { name, exact: true });
const link = (page, name) => page.getByRole('link', { name, exact: true });

const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==', 'base64');

// importFile writes lines to a file, for `sesame user import`.
function importFile(lines) {
  const folder = mkdtempSync(join(tmpdir(), 'sesame-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'users.jsonl');
  writeFileSync(file, lines.join('\n'));
  return file;
}

// tokenRequests are the bodies of the requests to the token endpoint.
const tokenRequests = (at, grant) => at.requests.filter((request) => request.url() === `${at.sesame.origin}/token` && request.postData().includes(`grant_type=${grant}`));

describe('sign-in', () => {
  const at = eachWithAPage({ path: '/admin/' });

  test('leads back to the screen that was asked for, and leaves no code in the address', async () => {
    await enter(at, 'New client', { path: '#/clients/new' });
    assert.equal(at.page.url(), `${at.sesame.origin}/admin/#/clients/new`);
    await at.page.reload(); // signs in again without a page
    await at.page.getByRole('heading', { name: 'New client' }).waitFor();
    assert.equal(at.page.url(), `${at.sesame.origin}/admin/#/clients/new`);
    const asked = at.requests.filter((request) => request.url().includes('/authorize?')).map((request) => new URL(request.url()).searchParams.get('prompt'));
    assert.deepEqual(asked, [null, 'none']);
    assertCalm(at);
  });

  test('keeps its tokens out of every storage and every global', async () => {
    const given = at.page.waitForResponse((answer) => answer.url().endsWith('/token'));
    await enter(at, 'People');
    const { access_token: access, refresh_token: refresh, id_token: id } = await (await given).json();
    const kept = await at.page.evaluate(async () => JSON.stringify([
      { ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML, location.href, history.state, await indexedDB.databases(), await caches.keys(),
      Object.getOwnPropertyNames(window).map((name) => { try { return JSON.stringify(window[name]); } catch { return ''; } }), // some refer to themselves
    ]));
    assert.ok(access && refresh && id && kept.length > 1000);
    for (const token of [access, refresh, id]) assert.ok(!kept.includes(token.split('.').at(-1)), kept);
    assert.ok(!kept.includes('verifier'), 'the request is kept after its answer');
    assertCalm(at);
  });

  test('takes no answer that belongs to another one', async () => {
    await enter(at, 'People');
    const exchanged = tokenRequests(at, 'authorization_code').length;
    for (const query of ['code=x&state=y', 'code=x', `code=x&state=y&iss=${encodeURIComponent(at.sesame.origin)}`, 'error=access_denied&state=']) {
      await at.page.goto(`${at.sesame.origin}/admin/?${query}#//evil.example/`);
      if (query === 'code=x') await at.page.getByRole('heading', { name: 'Nothing here' }).waitFor(); // no answer at all: it signs in
      else await at.page.getByText('The answer belongs to another sign-in').waitFor();
      assert.equal(new URL(at.page.url()).search, '');
      assert.equal(new URL(at.page.url()).origin, at.sesame.origin);
    }
    assert.equal(tokenRequests(at, 'authorization_code').length, exchanged + 1);
    await button(at.page, 'Sign in').click();
    await at.page.getByRole('heading', { name: 'People' }).waitFor();
  });

  test('refuses somebody who administers nothing, and shows others what they may', async () => {
    const { page, sesame } = at;
    const reader = { username: 'reader', password: root.password };
    sesame.createUser({ ...reader, scopes: ['clients:read'] });
    await enter(at, 'No access', { account: { username: 'johndoe', password: 'knock-knock' } });
    await page.getByText('johndoe is not an administrator').waitFor();
    await look(at, 'no-access');
    await button(page, 'Sign in as somebody else').click();
    await fillSignIn(page, reader);
    await page.getByRole('heading', { name: 'Clients' }).waitFor();
    await settled(page);
    assert.deepEqual(await page.getByRole('navigation').getByRole('link').allInnerTexts(), ['Clients', 'Providers', 'Scopes and consents']);
    assert.equal(await link(page, 'New client').count(), 0);
    await go(at, 'people', 'Nothing here');
    await go(at, 'clients/new', 'Nothing here');
    const { client_id: id } = JSON.parse(sesame.command('client', 'create', 'ledger', '--json'));
    await go(at, `clients/${id}`, 'ledger');
    assert.ok(await page.getByLabel('Name', { exact: true }).isDisabled());
    for (const name of ['Delete the client', 'Replace the secret', 'Save']) assert.equal(await button(page, name).count(), 0);
    assertCalm(at);
  });

  test('ends with the session in the browser', async () => {
    await enter(at, 'New person', { path: '#/people/new' });
    await at.page.getByLabel('Username').fill('half');
    await button(at.page, 'Sign out').click();
    await at.page.waitForURL(`${at.sesame.origin}/admin/`);
    await at.page.getByText('You are signed out.').waitFor();
    assert.equal(await at.page.evaluate(() => JSON.stringify({ ...sessionStorage }).includes('half')), false);
    await look(at, 'signed-out');
    await at.page.goBack().catch(() => {}); // what was on the screen is not shown again
    await at.page.getByText('You are signed out.').waitFor();
    await at.page.goto(`${at.sesame.origin}/admin/`);
    await button(at.page, 'Sign in').click();
    await at.page.locator('#password').waitFor();
    assertCalm(at);
  });

  test('is asked about when the Back button brings the page again', async () => {
    const { page, sesame } = at;
    await enter(at, 'Clients', { path: '#/clients' });
    sesame.command('user', 'sessions', 'root', '--end-all');
    // Playwright switches the cache for the Back button off, so the test says what the browser says.
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })) && dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
    await page.getByText('Your session has ended.').waitFor();
    assert.equal(await page.getByRole('heading', { name: 'Clients' }).count(), 0);
  });

  test('leads no request to another operation', async () => {
    await enter(at, 'Clients', { path: '#/clients' });
    for (const path of ['people/..', 'clients/.', 'webhooks/%2e%2e', 'people//']) {
      await at.page.evaluate((hash) => { location.hash = hash; }, `#/${path}`);
      await at.page.waitForFunction(() => !document.querySelector('.loading'));
    }
    await go(at, 'clients/..', 'Nothing here');
    const known = /^\/(admin|people|clients|users|webhooks|authorize|sign-in|token|\.well-known)/;
    assert.deepEqual(at.requests.map((request) => new URL(request.url()).pathname).filter((path) => !known.test(path) || /^\/(clients|users|webhooks)\/$/.test(path)), []);
  });

  test('is asked for again where an operation demands it, and the screen comes back', async () => {
    const { page, sesame } = at;
    const { client_id: id } = JSON.parse(sesame.command('client', 'create', 'vault', '--json'));
    await enter(at, 'vault', { path: `#/clients/${id}` });
    await page.route(`${sesame.origin}/clients/${id}`, (route) => route.request().method() === 'DELETE' ? route.fulfill({
      status: 401, contentType: 'application/problem+json', body: '{}',
      headers: { 'WWW-Authenticate': 'Bearer realm="sesame", error="insufficient_user_authentication", error_description="x", max_age="0"' },
    }) : route.continue());
    await button(page, 'Delete the client').click();
    await page.getByLabel('To confirm, type vault').fill('vault');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete the client' }).click();
    await fillSignIn(page);
    await page.getByText('You have signed in again. Repeat the step.').waitFor();
    assert.equal(page.url(), `${sesame.origin}/admin/#/clients/${id}`);
    assert.ok(at.requests.some((request) => new URL(request.url()).searchParams.get('max_age') === '0'));
  });
});

describe('what is typed', () => {
  const at = eachWithAPage({ path: '/admin/' });

  test('survives a reload, but for passwords', async () => {
    const { page } = at;
    await enter(at, 'New person', { path: '#/people/new' });
    await page.getByLabel('Username').fill('helen');
    await page.getByLabel('Password', { exact: true }).fill('a secret of Troy');
    assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }).includes('Troy')), false);
    await page.reload();
    await page.getByText('Your unsaved changes were kept.').waitFor();
    assert.equal(await page.getByLabel('Username').inputValue(), 'helen');
    assert.equal(await page.getByLabel('Password', { exact: true }).inputValue(), '');
    await look(at, 'draft');
    await button(page, 'Deutsch').click();
    assert.equal(await page.getByLabel('Benutzername').inputValue(), 'helen');
    await button(page, 'English').click();
    await button(page, 'Discard').click();
    assert.equal(await page.getByLabel('Username').inputValue(), '');
    await page.reload();
    await page.getByRole('heading', { name: 'New person' }).waitFor();
    assert.equal(await page.getByLabel('Username').inputValue(), '');
    assertCalm(at);
  });

  test('survives the end of the session', async () => {
    const { page, sesame } = at;
    await enter(at, 'New person', { path: '#/people/new' });
    await page.getByLabel('Username').fill('hector');
    await page.getByLabel('Name', { exact: true }).fill('Hector of Troy');
    await page.getByLabel('Password', { exact: true }).fill('a wooden horse');
    sesame.command('user', 'sessions', 'root', '--end-all');
    await button(page, 'Create').click();
    await page.getByText('Your session has ended.').waitFor();
    await page.keyboard.press('Escape'); // it stays: there is nothing to do without a session
    await look(at, 'session-ended');
    await button(page, 'Sign in again').click();
    await fillSignIn(page);
    await page.getByText('Your unsaved changes were kept.').waitFor();
    assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'Hector of Troy');
    await page.getByLabel('Password', { exact: true }).fill('a wooden horse');
    await button(page, 'Create').click();
    await page.getByText('hector has an account now.').waitFor();
    assert.equal(await page.evaluate(() => Object.keys(sessionStorage).some((key) => key.includes('draft'))), false);
    assertCalm(at);
  });

  test('is kept when it is typed while a change is being saved', async () => {
    const { page, sesame } = at;
    const { client_id: id } = JSON.parse(sesame.command('client', 'create', 'barn', '--json'));
    await enter(at, 'barn', { path: `#/clients/${id}` });
    let pass;
    await page.route(`${sesame.origin}/clients/${id}`, async (route) => {
      if (route.request().method() === 'PATCH') await new Promise((resolve) => { pass = resolve; });
      await route.continue();
    });
    const name = page.getByLabel('Name', { exact: true });
    await name.fill('stable');
    const saving = page.waitForRequest((request) => request.method() === 'PATCH');
    await button(page, 'Save').click();
    await saving;
    await name.fill('stables');
    pass();
    await page.getByRole('heading', { name: 'stable', exact: true, level: 1 }).waitFor();
    assert.equal(await name.inputValue(), 'stables');
    await page.unrouteAll();
    await page.reload();
    await page.getByText('Your unsaved changes were kept.').waitFor();
    assert.equal(await name.inputValue(), 'stables');
    await button(page, 'Save').click();
    await page.getByRole('heading', { name: 'stables', exact: true, level: 1 }).waitFor();
    assert.equal(await page.evaluate(() => Object.keys(sessionStorage).some((key) => key.includes('draft'))), false);
  });

  test('is not shown to the next person in the same tab', async () => {
    const { page, sesame } = at;
    const other = { username: 'paris', password: root.password };
    sesame.createUser({ ...other, scopes: administrative });
    await enter(at, 'New person', { path: '#/people/new' });
    await page.getByLabel('Username').fill('priam');
    sesame.command('user', 'sessions', 'root', '--end-all');
    await page.reload();
    await page.getByText('Your session has ended.').waitFor();
    await button(page, 'Sign in').click();
    await fillSignIn(page, other);
    await page.getByRole('heading', { name: 'New person' }).waitFor();
    assert.equal(await page.getByLabel('Username').inputValue(), '');
    assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage }).includes('priam')), false);
  });

  test('an expired token is refreshed once for everything that waits for it', async () => {
    const { page, sesame } = at;
    const { client_id: id } = JSON.parse(sesame.command('client', 'create', 'granary', '--json'));
    await page.clock.install();
    await enter(at, 'Clients', { path: '#/clients' });
    await link(page, 'granary').waitFor();
    await page.clock.fastForward(9.5 * 60_000); // of ten minutes
    await go(at, `clients/${id}`, 'granary'); // which reads two things
    assert.equal(tokenRequests(at, 'refresh_token').length, 1);
    await page.clock.fastForward(9.5 * 60_000);
    await go(at, 'clients', 'Clients');
    await link(page, 'granary').waitFor();
    assert.equal(tokenRequests(at, 'refresh_token').length, 2);
    assertCalm(at);
  });
});

describe('people and clients', () => {
  const at = eachWithAPage({ path: '/admin/' });

  test('people are found, filtered, listed page by page, and created', async () => {
    const { page, sesame } = at;
    const lines = Array.from({ length: 60 }, (_, i) => JSON.stringify({ username: `greek${String(i).padStart(2, '0')}`, full_name: `Greek ${i}`, disabled: i % 10 === 0 }));
    sesame.command('user', 'import', importFile(lines));
    await enter(at, 'People');
    const rows = page.locator('tbody tr');
    await rows.nth(49).waitFor();
    await look(at, 'people');
    await button(page, 'Load more').click();
    await page.locator('tbody').getByRole('link', { name: 'root' }).waitFor();
    assert.equal(await button(page, 'Load more').count(), 0);
    assert.equal(await rows.count(), 63); // with the demo accounts and root
    await page.getByText('63 people').waitFor();
    await page.getByLabel('Scope').selectOption('users:write');
    await page.getByText('2 people').waitFor();
    assert.deepEqual(await page.locator('tbody th').allInnerTexts(), ['admin', 'root']);
    await page.getByLabel('Order').selectOption('Newest first');
    await page.waitForFunction(() => document.querySelector('tbody th')?.innerText === 'root');
    await page.getByText('More filters').click();
    await page.getByLabel('Second factor').selectOption('With one');
    await page.getByText('Nobody fits this search.').waitFor();
    await page.getByLabel('Second factor').selectOption('Without one');
    await page.getByLabel('Created before').fill('2020-01-01');
    await page.getByText('Nobody fits this search.').waitFor();
    await page.getByLabel('Created before').fill('');
    await page.getByLabel('Created since').fill('2020-01-01');
    await page.getByText('2 people').waitFor();
    await look(at, 'people-filters');
    await button(page, 'Clear the filters').click();
    await page.getByText('63 people').waitFor();
    await page.getByLabel('Username or e-mail address').fill('greek0');
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 10);
    await page.getByLabel('State').selectOption('Disabled');
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
    assert.equal(page.url(), `${sesame.origin}/admin/#/people?q=greek0&disabled=true`);
    await page.reload();
    await link(page, 'greek00').waitFor();
    assert.equal(await rows.count(), 1);
    await page.getByLabel('Username or e-mail address').fill('nobody at all');
    await page.getByText('Nobody fits this search.').waitFor();
    await look(at, 'people-none');

    await link(page, 'New person').click();
    await page.getByRole('heading', { name: 'New person', level: 1 }).waitFor();
    await page.getByLabel('Username').fill('greek01');
    await page.getByLabel('Password', { exact: true }).fill('a wooden horse');
    await button(page, 'Create').click();
    await page.getByRole('alert').getByText('is taken').first().waitFor();
    assert.equal(await page.getByLabel('Username').getAttribute('aria-invalid'), 'true');
    assert.match(await page.locator('.fault').innerText(), /Request [0-9a-f-]{36}/);
    await look(at, 'new-person-refused');
    await page.getByLabel('Username').fill('ulysses');
    await button(page, 'Create').click();
    await page.getByText('ulysses has an account now.').waitFor();

    await go(at, 'people/invite', 'Invite somebody');
    await page.getByLabel('E-mail address').fill('penelope@example.com');
    await page.getByLabel('clients:read').check();
    await look(at, 'invite');
    await button(page, 'Send the invitation').click();
    await page.getByText('The invitation is on its way to penelope@example.com.').waitFor();
    assert.ok(await sesame.mailedCode('penelope@example.com'));
    assert.ok(JSON.parse(sesame.command('user', 'show', 'penelope', '--json')).scopes.includes('clients:read'));
    assertCalm(at);
  });

  test('a client is created, changed, gets another secret, and is deleted', async () => {
    const { page, sesame } = at;
    await enter(at, 'Clients', { path: '#/clients' });
    await link(page, 'New client').click();
    await page.getByLabel('Name').fill('Shop');
    await page.getByLabel('Redirect addresses').fill('https://shop.example/callback\njavascript:alert(1)');
    await page.getByLabel('users:read').check();
    await button(page, 'Create').click();
    await page.getByText('line 2: must begin with').waitFor();
    await look(at, 'new-client-refused');
    await page.getByLabel('Redirect addresses').fill('https://shop.example/callback');
    await button(page, 'Create').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('The server does not show this again').waitFor();
    await look(at, 'secret');
    const id = await dialog.locator('code').first().innerText();
    const first = await dialog.locator('code').last().innerText();
    await works(at, id, first, 200);
    await page.keyboard.press('Escape');
    assert.ok(await dialog.isVisible(), 'the secret was closed before it was stored');
    await button(page, 'I have stored it').click();
    await page.getByRole('heading', { name: 'Shop', level: 1 }).waitFor();
    assert.ok(!(await page.content()).includes(first));

    await page.getByLabel('Name', { exact: true }).fill('Shop of Troy');
    await page.getByLabel('Lifetime of access tokens').fill('5');
    await button(page, 'Save').click();
    await page.getByText('must be 0, or from').waitFor();
    await page.getByLabel('Lifetime of access tokens').fill('300');
    await button(page, 'Save').click();
    await page.getByRole('heading', { name: 'Shop of Troy', level: 1 }).waitFor();
    const stored = JSON.parse(sesame.command('client', 'list', '--json')).items.find((client) => client.client_id === id);
    assert.deepEqual([stored.name, stored.access_token_ttl, stored.redirect_uris], ['Shop of Troy', 300, ['https://shop.example/callback']]);
    await look(at, 'client');

    await page.locator('input[type=file]').setInputFiles({ name: 'logo.png', mimeType: 'image/png', buffer: Buffer.from('no image') });
    await page.locator('.fault').getByText('image').first().waitFor();
    await page.locator('input[type=file]').setInputFiles({ name: 'logo.png', mimeType: 'image/png', buffer: pixel });
    await page.locator('img.logo').waitFor();
    assert.ok(await page.locator('img.logo').evaluate((image) => image.decode().then(() => image.naturalWidth > 0)));

    await button(page, 'Replace the secret').click();
    await page.getByLabel('Keep the old secret valid for').selectOption('not at all');
    await dialog.getByRole('button', { name: 'Replace the secret' }).click();
    await dialog.getByText('The server does not show this again').waitFor();
    const second = await dialog.locator('code').last().innerText();
    await works(at, id, first, 401);
    await works(at, id, second, 200);
    await button(page, 'I have stored it').click();

    await button(page, 'Delete the client').click();
    await look(at, 'delete-client');
    const sure = dialog.getByRole('button', { name: 'Delete the client' });
    assert.ok(await sure.isDisabled());
    await page.getByLabel('To confirm, type Shop of Troy').fill('Shop');
    assert.ok(await sure.isDisabled());
    await page.keyboard.press('Escape');
    assert.equal(await dialog.count(), 0);
    assert.ok(await button(page, 'Delete the client').evaluate((element) => element === document.activeElement), 'the focus is lost');
    await button(page, 'Delete the client').click();
    await page.getByLabel('To confirm, type Shop of Troy').fill('Shop of Troy');
    await sure.click();
    await page.getByText('Shop of Troy is deleted.').waitFor();
    await page.getByRole('heading', { name: 'Clients', level: 1 }).waitFor();
    await works(at, id, second, 401);
    assertCalm(at);
    report('axe-core', axeVersion, 'finds nothing serious on the administrator\'s page, light and dark, on a desktop and a phone');
  });

  test('texts of strangers are texts', async () => {
    const { page, sesame } = at;
    const [first] = hostile.map((name) => ({ name, id: JSON.parse(sesame.command('client', 'create', name, '--json')).client_id }));
    page.on('dialog', () => assert.fail('a script ran'));
    await enter(at, 'People');
    await go(at, 'clients', 'Clients');
    for (const name of hostile) await page.getByText(name, { exact: true }).waitFor();
    await assertInert(page);
    await look(at, 'clients');
    await go(at, `clients/${first.id}`, first.name);
    await button(page, 'Delete the client').click();
    await page.getByRole('heading', { name: `Delete ${first.name}?` }).waitFor();
    await page.getByLabel('To confirm, type').fill(first.name);
    await page.getByRole('dialog').getByRole('button', { name: 'Delete the client' }).click();
    await page.getByText(`${first.name} is deleted.`).waitFor();
    await assertInert(page);
    for (const place of hostile) {
      await go(at, `clients/${encodeURIComponent(place)}`, 'Clients');
      await page.locator('.fault').waitFor();
      await assertInert(page);
    }
    const { client_id: id } = JSON.parse(sesame.command('client', 'create', 'Well', '--scope', 'users:read', '--redirect-uri', 'https://well.example/cb', '--json'));
    for (const path of ['/users', '/clients']) await poison(at, path);
    await go(at, 'people?q=john', 'People');
    for (const field of ['username', 'full_name', 'email']) await page.getByText(`\\u202e${field}`).first().waitFor();
    await assertInert(page);
    await look(at, 'people-hostile');
    await go(at, 'clients', 'Clients');
    await page.getByText('\\u202eredirect_uris').first().waitFor();
    await assertInert(page);
    await page.evaluate((hash) => { location.hash = hash; }, `#/clients/${id}`);
    await page.getByRole('heading', { name: '\\u202ename' }).waitFor();
    await page.getByRole('button', { name: 'Delete the client' }).waitFor();
    await assertInert(page);
    await look(at, 'client-hostile');
    assertCalm(at);
  });

  test('a script that gets into the page is not run, and reaches no other server', async () => {
    const { page } = at;
    await enter(at, 'People');
    const tried = await page.evaluate(async () => {
      const outcomes = {};
      const attempt = async (name, act) => { try { outcomes[name] = await act() ?? 'done'; } catch (fault) { outcomes[name] = fault.name; } };
      await attempt('markup', () => { document.body.innerHTML = '<img src=x onerror="window.ran = 1">'; });
      await attempt('script', () => { const script = document.createElement('script'); script.text = 'window.ran = 2'; document.head.append(script); });
      await attempt('frame', () => { const frame = document.createElement('iframe'); frame.srcdoc = '<script>parent.ran = 3</script>'; document.body.append(frame); });
      await new Promise((resolve) => { setTimeout(resolve); }); // what follows is no longer the browser's own evaluation, which may eval
      await attempt('eval', () => window.eval('window.ran = 4'));
      await attempt('fetch', () => fetch('https://evil.example/').then(() => 'sent'));
      const handler = document.createElement('button');
      document.body.append(handler);
      await attempt('handler', () => handler.setAttribute('onclick', 'window.ran = 5'));
      handler.click();
      const style = document.createElement('style');
      style.textContent = 'body { display: none }';
      document.head.append(style);
      return { ...outcomes, ran: window.ran ?? 'nothing', display: getComputedStyle(document.body).display };
    });
    assert.deepEqual(tried, { markup: 'TypeError', script: 'TypeError', frame: 'TypeError', eval: 'EvalError', fetch: 'TypeError', handler: 'TypeError', ran: 'nothing', display: 'block' });
    assert.ok(at.complaints.some((text) => text.includes('violates')));
  });
});

describe('with the keyboard, in German', () => {
  const at = eachWithAPage({ context: { locale: 'de-DE' }, path: '/admin/' });

  test('everything can be reached, and the focus is seen', async () => {
    const { page } = at;
    await enter(at, 'Personen');
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'de');
    const focused = () => page.evaluate(() => document.activeElement.innerText || document.activeElement.id || document.activeElement.name);
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Zum Inhalt');
    assert.ok(await page.locator('.skip').evaluate((element) => element.getBoundingClientRect().top >= 0), 'the link is not shown');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Einladen');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Neue Person');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, 'solid');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Neue Person' }).waitFor();
    assert.equal(await focused(), 'Neue Person'); // the heading, which a screen reader reads
    await page.keyboard.press('Tab');
    await page.keyboard.type('äneas');
    assert.equal(await page.getByLabel('Benutzername').inputValue(), 'äneas');
    await look(at, 'new-person-german');
    await page.setViewportSize({ width: 360, height: 740 });
    await button(page, 'Menü').click();
    await link(page, 'Clients').click();
    await page.getByRole('heading', { name: 'Clients' }).waitFor();
    await page.getByText('Es gibt noch keine Clients.').waitFor();
    assert.equal(await button(page, 'Menü').getAttribute('aria-expanded'), 'false');
    await page.setViewportSize({ width: 1280, height: 900 });
    await look(at, 'clients-none-german');
    assertCalm(at);
  });
});

describe('under another name', () => {
  const at = eachWithAPage({ path: '/admin/' });

  test('the page says where it works', async () => {
    await at.page.goto(`http://localhost:${at.sesame.port}/admin/`);
    const address = at.page.getByRole('link', { name: `${at.sesame.origin}/admin/` });
    await address.waitFor();
    assert.equal(tokenRequests(at, 'authorization_code').length, 0);
    await address.click();
    await at.page.locator('#password').waitFor();
  });
});

// works checks that a client is, or is not, let in with a secret.
async function works(at, id, secret, status) {
  const answer = await fetch(`${at.sesame.origin}/token`, {
    method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials' }), headers: { Authorization: `Basic ${btoa(`${id}:${secret}`)}` },
  });
  assert.equal(answer.status, status, await answer.text());
}
