// Swagger UI with the keyboard alone, and on a phone.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertCalm, demo, eachWithAPage, execute, forPeople, logIn, openDialog, screenshot } from './browser.mjs';
import { report } from './consumer.mjs';

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

describe('with the keyboard alone', () => {
  const at = eachWithAPage();

  // focused describes the element that has the focus, and whether its focus is visible.
  const focused = () => at.page.evaluate(() => {
    const node = document.activeElement;
    const drawn = node.matches('.checkbox input') ? node.nextElementSibling.querySelector('.item') : node;
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(drawn);
    const { top, bottom, left, right } = drawn.getBoundingClientRect();
    return {
      name: node.getAttribute('aria-label') || node.innerText || node.id || node.tagName,
      inside: node.closest('dialog') !== null,
      visible: outlineStyle === 'solid' && outlineWidth === '3px' && outlineColor === 'rgb(27, 106, 201)' && bottom > top && right > left &&
        bottom > 0 && top < innerHeight && left >= 0,
    };
  });

  // tabTo presses Tab until an element has the focus. Every stop on the way must be visible.
  async function tabTo(selector, key = 'Tab') {
    const way = [];
    for (let i = 0; i < 100; i++) {
      await at.page.keyboard.press(key);
      const stop = await focused();
      assert.ok(stop.visible, `the focus on ${stop.name} cannot be seen; on the way to ${selector} after ${way}`);
      way.push(stop.name);
      if (await at.page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return way;
    }
    throw new Error(`${selector} cannot be reached with Tab: ${way.join(', ')}`);
  }

  test('a person logs in, tries an operation out, and logs out', async () => {
    const { sesame, page } = at;
    const { keyboard } = page;
    await page.goto(`${sesame.origin}/docs/`);
    await page.locator('.auth-wrapper .btn.authorize').waitFor();

    await tabTo('.auth-wrapper .btn.authorize');
    await keyboard.press('Enter');
    assert.equal((await focused()).name, 'oauth_username');
    await keyboard.type(demo.username);
    await tabTo('#oauth_password');
    await keyboard.type(demo.password);
    await tabTo('[data-value="me:read"]');
    await screenshot(page, 'keyboard-dialog');
    await keyboard.press('Space');
    await tabTo('[data-value="me:write"]');
    await keyboard.press('Space');
    await tabTo('[aria-label="Apply given OAuth2 credentials"]');
    await keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Authorized', exact: true }).waitFor();
    assert.equal((await focused()).name, 'Close');
    await keyboard.press('Enter');
    await page.locator('dialog').waitFor({ state: 'detached' });
    assert.ok(await page.evaluate(() => document.activeElement.matches('.auth-wrapper .btn.authorize')), 'the focus is lost');

    await tabTo('#operations-Accounts-getMe .opblock-summary-control');
    await keyboard.press('Enter');
    await page.locator('#operations-Accounts-getMe .try-out__btn').waitFor();
    await tabTo('#operations-Accounts-getMe .try-out__btn');
    await keyboard.press('Enter');
    await tabTo('#operations-Accounts-getMe .execute');
    await screenshot(page, 'keyboard-execute');
    await keyboard.press('Space');
    const answer = page.locator('#operations-Accounts-getMe .live-responses-table .response');
    assert.equal(await answer.locator('.response-col_status').innerText(), '200');
    assert.match(await answer.locator('pre').first().innerText(), /"username": "johndoe"/);

    await tabTo('.auth-wrapper .btn.authorize', 'Shift+Tab');
    await keyboard.press('Enter');
    await tabTo('[aria-label="Remove authorization"]', 'Shift+Tab');
    const told = page.waitForResponse('**/token/revoke');
    await keyboard.press('Enter');
    assert.equal((await told).status(), 200);
    assert.equal((await focused()).name, 'oauth_username');
    assertCalm(at);
  });

  test('the dialog takes the focus, keeps it, and returns it', async () => {
    const { sesame, page } = at;
    const { keyboard } = page;
    await page.goto(`${sesame.origin}/docs/`);
    for (const opener of ['.auth-wrapper .btn.authorize', '#operations-Accounts-getMe .authorization__btn']) {
      await page.locator(opener).waitFor();
      await tabTo(opener);
      await keyboard.press('Enter');
      assert.equal((await focused()).name, 'oauth_username');
      for (const key of ['Tab', 'Shift+Tab']) {
        for (let i = 0; i < 30; i++) {
          await keyboard.press(key);
          const stop = await focused();
          assert.ok(stop.inside && stop.visible, `${key} leads to ${stop.name}`);
        }
      }
      await keyboard.press('Escape');
      await page.locator('dialog').waitFor({ state: 'detached' });
      assert.ok(await page.evaluate((wanted) => document.activeElement.matches(wanted), opener), 'the focus is lost');
    }
  });

  test('Enter in a field logs in, and all scopes are ticked at once', async () => {
    const { sesame, page } = at;
    const { keyboard } = page;
    await page.goto(`${sesame.origin}/docs/`);
    await page.locator('.auth-wrapper .btn.authorize').waitFor();
    await tabTo('.auth-wrapper .btn.authorize');
    await keyboard.press('Enter');
    await tabTo('.scopes a[data-all]');
    await keyboard.press('Enter');
    const scopes = await page.locator('.scopes input').count();
    assert.ok(scopes > 1);
    assert.equal(await page.locator('.scopes input:checked').count(), scopes);
    await tabTo('#oauth_username', 'Shift+Tab');
    await keyboard.type(demo.username);
    await tabTo('#oauth_password');
    await keyboard.type(demo.password);
    await keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Authorized', exact: true }).waitFor();
    await keyboard.press('Escape');
    assertCalm(at);
  });
});

describe('on a phone', () => {
  const at = eachWithAPage({ context: phone });

  // assertFits checks that nothing makes the page scroll sideways.
  async function assertFits(where) {
    const wide = await at.page.evaluate(() => {
      const out = document.documentElement.scrollWidth > innerWidth || visualViewport.scale < 1;
      return out && [...document.querySelectorAll('.swagger-ui *')]
        .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map((node) => `${node.tagName}.${node.className}`).slice(0, 8);
    });
    assert.ok(!wide, `${where}: wider than the screen: ${wide}`);
  }

  test('the page, the dialog and an answer fit', async () => {
    const { sesame, page } = at;
    await page.goto(`${sesame.origin}/docs/`);
    await page.locator('#operations-Accounts-getMe').waitFor();
    await assertFits('the page');
    await screenshot(page, 'phone-page');

    const dialog = await openDialog(page);
    const { top, bottom, left, right } = await dialog.locator('.modal-ux').evaluate((node) => node.getBoundingClientRect().toJSON());
    assert.ok(top >= 0 && left >= 0 && bottom <= 844 && right <= 390, `the dialog is at ${[top, right, bottom, left]}`);
    await screenshot(page, 'phone-dialog');
    await dialog.getByText('me:read', { exact: true }).tap();
    await forPeople(dialog).getByLabel('username:').fill(demo.username);
    await forPeople(dialog).getByLabel('password:', { exact: true }).fill(demo.password);
    await dialog.getByRole('button', { name: 'Apply given OAuth2 credentials' }).tap();
    await forPeople(dialog).getByRole('heading', { name: 'Authorized', exact: true }).waitFor();
    await forPeople(dialog).getByRole('button', { name: 'Close' }).tap();
    assert.equal((await execute(page, 'getMe')).status, 200);
    const answer = page.locator('#operations-Accounts-getMe .live-responses-table .response');
    await answer.scrollIntoViewIfNeeded();
    const text = await answer.locator('.highlight-code').first().boundingBox();
    assert.ok(text.x >= 0 && text.x + text.width <= 390 && text.width >= 250, `the answer is ${text.width} wide, at ${text.x}`);
    await assertFits('an answer');
    await page.locator('#operations-Accounts-getMe .responses-wrapper').evaluate((node) => node.scrollIntoView());
    await screenshot(page, 'phone-answer');
    assertCalm(at);
  });

  test('every operation fits when it is unfolded', async () => {
    const { sesame, page } = at;
    await page.goto(`${sesame.origin}/docs/`);
    await logIn(page);
    for (const block of await page.locator('.opblock').all()) {
      await block.locator('.opblock-summary-control').tap();
      await block.getByRole('button', { name: 'Try it out' }).tap();
      await block.getByRole('button', { name: 'Execute' }).waitFor();
      await assertFits(await block.getAttribute('id'));
    }
    await page.locator('#operations-Tokens-createToken').evaluate((node) => node.scrollIntoView());
    await screenshot(page, 'phone-form');
    report('Swagger UI, accessibility', '5.18.2', 'used with the keyboard alone, and on a screen of 390 x 844 by touch');
  });
});
