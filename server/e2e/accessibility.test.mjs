// The documentation pages with the keyboard alone, on a phone, and as axe-core judges them.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  assertCalm, axeVersion, demo, eachWithAPage, execute, forPeople, logIn, openDialog, openOperation, press, screenshot, seriousFindings, submitLogin, swaggerUI,
} from './browser.mjs';
import { report } from './consumer.mjs';

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

describe('with the keyboard alone', () => {
  const at = eachWithAPage();

  // focused describes the element that has the focus, and whether its focus is visible.
  const focused = () => at.page.evaluate(() => {
    const node = document.activeElement;
    const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(node);
    const { top, bottom, left, right } = node.getBoundingClientRect();
    return {
      name: node.getAttribute('aria-label') || node.innerText || node.id || node.tagName,
      inside: node.closest('dialog') !== null,
      visible: outlineStyle === 'solid' && outlineWidth === '3px' && outlineColor === 'rgb(27, 99, 189)' && bottom > top && right > left &&
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
    await tabTo('dialog summary');
    await keyboard.press('Enter');
    await tabTo('#client_secret');
    await tabTo('dialog form button[type=submit]');
    await keyboard.press('Enter');
    await page.getByText('Logged in as johndoe').waitFor();
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
    await keyboard.press('Shift+Tab');
    assert.equal((await focused()).name, 'Log out');
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
    await tabTo('.scopes [data-all]');
    await keyboard.press('Enter');
    const scopes = await page.locator('.scopes input').count();
    assert.ok(scopes > 1);
    assert.equal(await page.locator('.scopes input:checked').count(), scopes);
    await tabTo('#oauth_username', 'Shift+Tab');
    await keyboard.type(demo.username);
    await tabTo('#oauth_password');
    await keyboard.type(demo.password);
    await keyboard.press('Enter');
    await page.getByText('Logged in as johndoe').waitFor();
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
    // Half of the screen is left above a keyboard.
    await page.setViewportSize({ width: 390, height: 420 });
    await submitLogin(dialog, { ...demo, password: 'knock-knack' });
    const refusal = dialog.getByRole('alert').getByText('The username or the password is wrong.');
    await refusal.waitFor();
    assert.ok(await refusal.evaluate((node) => {
      const { left, top, bottom } = node.getBoundingClientRect();
      return top >= 0 && bottom <= innerHeight && document.elementFromPoint(left + 5, (top + bottom) / 2) === node;
    }), 'the refusal is out of sight');
    await screenshot(page, 'phone-wrong-password');
    await page.setViewportSize(phone.viewport);
    await forPeople(dialog).getByLabel('Password', { exact: true }).fill(demo.password);
    await forPeople(dialog).getByRole('button', { name: 'Log in' }).tap();
    await forPeople(dialog).getByText('Logged in as johndoe').waitFor();
    await screenshot(page, 'phone-logged-in');
    await forPeople(dialog).getByRole('button', { name: 'Close' }).tap();
    assert.equal((await execute(page, 'getMe')).status, 200);
    const answer = page.locator('#operations-Accounts-getMe .live-responses-table .response');
    await answer.scrollIntoViewIfNeeded();
    const text = await answer.locator('.highlight-code').first().boundingBox();
    assert.ok(text.x >= 0 && text.x + text.width <= 390 && text.width >= 250, `the answer is ${text.width} wide, at ${text.x}`);
    await assertFits('an answer');
    await page.locator('#operations-Accounts-getMe .responses-wrapper').evaluate((node) => node.scrollIntoView());
    await screenshot(page, 'phone-answer');
    assertCalm(at, [['400 (Bad Request)', '/token']]);
  });

  test('every operation fits when it is unfolded', async () => {
    const { sesame, page } = at;
    await page.goto(`${sesame.origin}/docs/`);
    await logIn(page);
    // The clicks have no place on the screen, which moves while what is folded shrinks: this is about the width.
    const click = (locator) => locator.evaluate((node) => node.click());
    for (const block of await page.locator('.opblock').all()) {
      await click(block.locator('.opblock-summary-control'));
      await click(block.getByRole('button', { name: 'Try it out' }));
      await block.getByRole('button', { name: 'Execute' }).waitFor();
      await assertFits(await block.getAttribute('id'));
      await click(block.locator('.opblock-summary-control')); // the page is slow with all operations unfolded
    }
    await click(page.locator('#operations-Tokens-createToken .opblock-summary-control'));
    await page.locator('#operations-Tokens-createToken').evaluate((node) => node.scrollIntoView());
    await screenshot(page, 'phone-form');
    report('Swagger UI, accessibility', swaggerUI, 'used with the keyboard alone, and on a screen of 390 x 844 by touch');
  });
});

describe('axe-core finds nothing serious', () => {
  const at = eachWithAPage();
  for (const colorScheme of ['light', 'dark']) {
    test(`on Swagger UI, ${colorScheme}`, async () => {
      const { sesame, page } = at;
      await page.emulateMedia({ colorScheme });
      await page.goto(`${sesame.origin}/docs/`);
      for (const id of ['createUser', 'listUsers', 'createToken', 'endSession']) await openOperation(page, id);
      await press(await openOperation(page, 'getMe'));
      await page.locator('#operations-Accounts-getMe').getByRole('button', { name: 'Example of 401' }).click();
      await page.locator('.models-control').click();
      assert.deepEqual(await seriousFindings(page), []);
      await page.locator('#operations-Accounts-getMe').evaluate((block) => block.scrollIntoView());
      await screenshot(page, `operation-${colorScheme}`);

      const dialog = await openDialog(page);
      await submitLogin(dialog, { ...demo, password: 'knock-knack' });
      await dialog.getByRole('alert').getByText('is wrong').waitFor();
      for (const folded of await dialog.locator('summary').all()) await folded.click();
      assert.deepEqual(await seriousFindings(page), []);
      await screenshot(page, `wrong-password-${colorScheme}`);
      await dialog.getByLabel('Password', { exact: true }).fill(demo.password);
      await forPeople(dialog).getByRole('button', { name: 'Log in' }).click();
      await dialog.getByRole('status').waitFor();
      assert.deepEqual(await seriousFindings(page), []);
      await screenshot(page, `logged-in-${colorScheme}`);
    });

    test(`on ReDoc, ${colorScheme}`, async () => {
      const { sesame, page } = at;
      await page.emulateMedia({ colorScheme });
      await page.goto(`${sesame.origin}/redoc`);
      await page.locator('[id="tag/Accounts/operation/getMe"]').waitFor();
      await page.locator('[id="tag/Accounts/operation/getMe"]').getByRole('button', { name: /^200/ }).click();
      await page.locator('[id="tag/Accounts/operation/getMe"]').getByText('Authorizations:').click();
      // ReDoc names an item of its menu without the method that it shows beside it.
      assert.deepEqual(await seriousFindings(page, ['label-content-name-mismatch']), []);
      await screenshot(page, `redoc-${colorScheme}`);
      if (colorScheme === 'dark') report('axe-core', axeVersion, 'finds nothing serious on Swagger UI, its dialog and ReDoc, light and dark');
    });
  }
});
