// The administrator's page: the providers through whom people sign in.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertCalm, assertInert, enter, go, look, poison } from './admin.mjs';
import { eachWithAPage } from './browser.mjs';

describe('providers', () => {
  const at = eachWithAPage({ path: '/admin/' });

  test('are created, changed and deleted, and their secret is not shown', async () => {
    const { page, sesame } = at;
    const button = (name) => page.getByRole('button', { name, exact: true });
    const stored = () => JSON.parse(sesame.command('provider', 'list', '--json')).items;
    await enter(at, 'Providers', { path: '#/providers' });
    await page.getByText('Add Google, Keycloak').waitFor();
    await look(at, 'providers-none');
    await page.getByRole('link', { name: 'New provider' }).click();
    await page.getByLabel('Name').fill('Bad Name');
    await page.getByLabel('Kind').selectOption('GitHub');
    await page.getByLabel('Client id').fill('Iv1.0123456789');
    await page.getByLabel('Client secret').fill('a secret of GitHub');
    await button('Create').click();
    await page.getByRole('alert').first().waitFor();
    assert.equal(await page.getByLabel('Name').getAttribute('aria-invalid'), 'true');
    await look(at, 'new-provider-refused');
    assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage }).includes('a secret of GitHub')), false);
    await page.getByLabel('Name').fill('github');
    await page.getByLabel('Text of the button').fill('GitHub');
    await button('Create').click();
    await page.getByRole('heading', { name: 'GitHub', level: 1 }).waitFor();
    await page.getByText(`${sesame.origin}/sign-in/github/callback`).waitFor();
    await look(at, 'provider');

    await page.getByLabel('Text of the button').fill('The Hub');
    await button('Save').click();
    await page.getByRole('heading', { name: 'The Hub', level: 1 }).waitFor();
    assert.deepEqual(stored().map(({ label, has_secret: secret, client_id: client }) => [label, secret, client]), [['The Hub', true, 'Iv1.0123456789']]);

    await poison(at, '/providers');
    await go(at, 'providers', 'Providers');
    await page.getByText('\\u202elabel').waitFor();
    await assertInert(page);
    await page.evaluate(() => { location.hash = '#/providers/github'; });
    await page.getByRole('heading', { name: '\\u202elabel' }).waitFor();
    await assertInert(page);
    await look(at, 'provider-hostile');
    await page.unrouteAll();

    await go(at, 'providers', 'Providers');
    await page.getByRole('link', { name: 'The Hub' }).click();
    await button('Delete the provider').click();
    await page.getByLabel('To confirm, type github').fill('github');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete the provider' }).click();
    await page.getByText('The Hub is deleted.').waitFor();
    assert.deepEqual(stored(), []);
    assertCalm(at);
  });
});
