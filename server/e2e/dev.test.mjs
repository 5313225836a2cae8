// `make dev`: within five seconds of a save, the browser shows the new openapi.yaml and the terminal names its missing
// methods. On a busy machine, such as one that runs the other tests, twenty seconds are allowed;
// SESAME_TEST_STRICT_TIME=1 requires five.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { execute, launch, logIn } from './browser.mjs';
import { copyTree, report, repository } from './consumer.mjs';
import { freePort } from './sesame.mjs';

const limit = process.env.SESAME_TEST_STRICT_TIME === '1' ? 5_000 : 20_000;

const operation = (path, method, id, status) => `  ${path}:
    ${method}:
      operationId: ${id}
      tags: [Health]
      summary: An operation that is new
      description: Made by a test.
      security: []
      responses:
        ${status}
        '500': { $ref: '#/components/responses/ServerError' }

`;
const added =
  operation('/greeting', 'get', 'getGreeting', `'200':
          description: A greeting.
          content:
            application/json:
              schema: { $ref: '#/components/schemas/Health' }
              example: { status: ok }`) +
  operation('/farewell', 'delete', 'sayFarewell', `'204': { description: Gone. }`);

// A clone may have another module path (make rename).
const [, module] = readFileSync(join(repository, 'go.mod'), 'utf8').match(/^module (\S+)/m);
const methods = `package httpapi

import (
	"context"

	"${module}/gen/api"
)

// GetGreeting is GET /greeting.
func (s *Server) GetGreeting(context.Context, api.GetGreetingRequestObject) (api.GetGreetingResponseObject, error) {
	return api.GetGreeting200JSONResponse{Status: api.HealthStatusOk}, nil
}

// SayFarewell is DELETE /farewell.
func (s *Server) SayFarewell(context.Context, api.SayFarewellRequestObject) (api.SayFarewellResponseObject, error) {
	return api.SayFarewell204Response{}, nil
}
`;

let folder, make, origin, browser, page;
let terminal = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sesame-dev-'));
  copyTree(folder);

  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  make = spawn('make', ['dev'], {
    cwd: folder, detached: true, // a group of its own, as in a terminal
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SESAME_LISTEN: `127.0.0.1:${port}`, SESAME_LOG_FORMAT: 'text' },
  });
  make.exited = new Promise((resolve) => { make.once('close', resolve); });
  for (const stream of [make.stdout, make.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => { terminal += text; });
  }
  await until('the server is ready', 5 * 60_000, () => fetch(`${origin}/readyz`).then((answer) => answer.ok, () => false));
  browser = await launch();
  page = await browser.newPage();
  page.setDefaultTimeout(60_000);
});

after(async () => {
  await browser?.close();
  if (make) {
    process.kill(-make.pid, 'SIGINT'); // Ctrl-C
    await make.exited;
  }
  if (folder) rmSync(folder, { recursive: true, force: true });
});

// until resolves with the milliseconds that it took.
async function until(what, patience, holds) {
  const began = performance.now();
  while (!await holds()) {
    assert.ok(performance.now() - began < patience, `${what}: not within ${patience / 1000} s:\n${terminal}`);
    await pause(20);
  }
  return performance.now() - began;
}

test('make dev shows a new operation at once and names its missing methods', async () => {
  const file = join(folder, 'openapi.yaml');
  const contract = readFileSync(file, 'utf8');
  const save = (text) => writeFileSync(file, text);
  const fresh = (path) => page.locator(`[id="operations-Health-${path}"]`);

  await page.goto(`${origin}/docs/`);
  await logIn(page);
  assert.equal((await execute(page, 'getMe')).status, 200);

  const before = terminal.length;
  save(contract.replace('\n  /healthz:\n', `\n${added}  /healthz:\n`));
  const [shown, named] = await Promise.all([
    until('the page shows the new operation', 60_000, () => fresh('getGreeting').isVisible()),
    until('the compiler names the missing method', 60_000, () =>
      /does not implement .*missing method (GetGreeting|SayFarewell)/.test(terminal.slice(before))),
  ]);
  await until('the list of missing methods is complete', 10_000, () =>
    ['GetGreeting', 'SayFarewell'].every((name) => terminal.slice(before).includes(`\nmissing method ${name}(ctx context.Context, `)));
  assert.equal((await execute(page, 'getMe')).status, 200, 'the page lost its login');
  assert.ok(shown < limit, `shown in the browser after ${shown} ms`);
  assert.ok(named < limit, `named by the compiler after ${named} ms`);

  // Once the methods exist, they answer, and the page still has its login.
  writeFileSync(join(folder, 'server/internal/httpapi/greeting.go'), methods);
  await until('the new operation answers', 120_000, () => fetch(`${origin}/greeting`).then((answer) => answer.ok, () => false));
  assert.equal((await execute(page, 'getGreeting')).status, 200);
  assert.equal((await execute(page, 'sayFarewell')).status, 204);
  assert.equal((await execute(page, 'getMe')).status, 200, 'the page lost its login in the restart');

  // Invalid files are reported, in the terminal and on the page, and stop nothing.
  const whole = readFileSync(file, 'utf8');
  const sofar = terminal.length;
  save(whole.replace('\npaths:\n', '\npaths:\n  }\n'));
  await page.getByRole('alert').getByText('Parser error').waitFor();
  await until('the terminal says that the file cannot be read', 60_000, () => /error loading .* openapi.yaml/.test(terminal.slice(sofar)));
  assert.ok(await fresh('getGreeting').isVisible(), 'the page is empty');
  assert.equal((await execute(page, 'getMe')).status, 200);
  save(whole.replace('An operation that is new', 'An operation that is corrected'));
  await page.getByText('An operation that is corrected').waitFor();
  assert.equal(await page.getByRole('alert').innerText(), '');
  assert.doesNotMatch(terminal, /route=\/docs\/openapi.yaml/, 'the log has the requests of the page');

  const seconds = (ms) => (ms / 1000).toFixed(1);
  report('make dev', '-', `shown in the browser after ${seconds(shown)} s, named by the compiler after ${seconds(named)} s`);
});
