// The administrator's page: webhooks.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertCalm, assertInert, enter, go, look, poison, receiver } from './admin.mjs';
import { eachWithAPage } from './browser.mjs';

const received = []; // the ids of what the receiver got
let status = 500; // what it answers
const url = await receiver(() => status, (request) => received.push(request.headers['webhook-id']));

describe('webhooks', () => {
  const at = eachWithAPage({ env: { SESAME_PRIVATE_WEBHOOKS: 'on' }, path: '/admin/' });

  test('are created, tested, changed and deleted', async () => {
    const { page } = at;
    const button = (name) => page.getByRole('button', { name, exact: true });
    const dialog = page.getByRole('dialog');
    await enter(at, 'Webhooks', { path: '#/webhooks' });
    await page.getByText('There is no webhook yet').waitFor();
    await look(at, 'webhooks-none');
    await page.getByRole('link', { name: 'New webhook' }).click();
    await page.getByLabel('URL').fill('javascript:alert(1)');
    await button('Create').click();
    await page.getByRole('alert').first().waitFor();
    assert.equal(await page.getByLabel('URL').getAttribute('aria-invalid'), 'true');
    await page.getByLabel('URL').fill(url);
    await page.getByLabel('What it is for').fill('Orders');
    await page.getByLabel('Events').selectOption('The chosen kinds');
    await button('Create').click();
    await page.getByText('Choose at least one kind.').first().waitFor(); // none would be every kind
    await page.getByLabel('account_deleted').check();
    await look(at, 'new-webhook');
    await button('Create').click();
    await dialog.getByText('whsec_').waitFor();
    await look(at, 'webhook-secret');
    await button('I have stored it').click();
    await page.getByRole('heading', { name: 'Orders', level: 1 }).waitFor();
    assert.ok(!(await page.content()).includes('whsec_'));

    await button('Send a test event').click();
    await page.getByText('The test event is on its way.').waitFor();
    for (const deadline = Date.now() + 15_000; !(await page.getByText('500, answer').isVisible()); await page.waitForTimeout(200)) {
      assert.ok(Date.now() < deadline, 'the attempt is not shown');
      await button('Reload').click();
      await page.locator('.list[aria-busy=false]').waitFor();
    }
    await look(at, 'webhook');
    status = 204;
    await page.getByLabel('State').selectOption('failed');
    await page.getByText('No delivery.').waitFor();
    await page.getByLabel('State').selectOption('All');

    await button('Disable').click();
    await page.getByText('The webhook is disabled.').waitFor();
    await button('Enable').click();
    await page.getByText('The webhook is enabled.').waitFor();
    const moved = `${url}/moved`; // by somebody else meanwhile
    at.sesame.command('webhook', 'update', page.url().split('/').at(-1), '--url', moved);
    await page.getByLabel('What it is for').fill('Invoices');
    await button('Save').click();
    await page.getByRole('heading', { name: 'Invoices', level: 1 }).waitFor();
    assert.equal(await page.getByLabel('URL').inputValue(), moved);
    await button('Replace the secret').click();
    await dialog.getByRole('button', { name: 'Replace the secret' }).click();
    await dialog.getByText('whsec_').waitFor();
    await button('I have stored it').click();
    await page.getByText('Old secret valid until').waitFor();

    const hook = page.url().split('/').at(-1);
    await poison(at, '/webhooks');
    await go(at, 'webhooks', 'Webhooks');
    await page.getByText('\\u202eurl').waitFor();
    await assertInert(page);
    await page.evaluate((id) => { location.hash = `#/webhooks/${id}`; }, hook);
    await page.getByRole('heading', { name: '\\u202edescription' }).waitFor();
    await page.getByText('\\u202ekind').first().waitFor();
    await assertInert(page);
    await page.unrouteAll();

    await go(at, 'webhooks', 'Webhooks');
    await page.getByRole('link', { name: moved }).click();
    await button('Delete the webhook').click();
    await dialog.getByText(`Events are no longer sent to ${moved}`).waitFor();
    await dialog.getByRole('button', { name: 'Delete the webhook' }).click();
    await page.getByText('The webhook is deleted.').waitFor();
    await page.getByText('There is no webhook yet').waitFor();
    assert.ok(received.length > 0);
    assertCalm(at);
  });
});
