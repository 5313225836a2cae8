// `sesame new`: a project in an empty folder, whose two commands work as its README says, and whose operations people
// call in the browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execute, launch, logIn, logOut, openDialog, screenshot, swaggerUI, forPeople, demo } from './browser.mjs';
import { report, repository, run } from './consumer.mjs';
import { freePort, until } from './sesame.mjs';

let folder, server, ended, browser;
let output = '';

before(() => { folder = mkdtempSync(join(tmpdir(), 'sesame-starter-')); });
after(async () => {
  await browser?.close();
  await stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

// stop is Ctrl-C in the terminal of `make run`.
async function stop() {
  if (!server) return;
  process.kill(-server.pid, 'SIGINT');
  server = undefined;
  await ended;
}

// written counts the files and lines that a person reads: all but go.sum and the generated code.
function written(project) {
  const files = readdirSync(project, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name)).filter((file) => !/go\.sum$|api\.gen\.go$/.test(file));
  const lines = files.map((file) => readFileSync(file, 'utf8').split('\n').length - 1);
  return { files: files.length, lines: lines.reduce((sum, n) => sum + n) };
}

test('a new project is small, passes its tests and serves its operations with login', async (t) => {
  const project = join(folder, 'notes');
  run('go', ['run', './server', 'new', project], { cwd: repository });
  const { files, lines } = written(project);
  assert.ok(files <= 12 && lines <= 530, `${files} files and ${lines} lines`);
  const readme = readFileSync(join(project, 'README.md'), 'utf8');
  assert.deepEqual(readme.match(/^ {4}make \w+/gm).map((line) => line.trim()), ['make run', 'make test']);

  const port = await freePort();
  const env = { ...process.env, SESAME_LISTEN: `127.0.0.1:${port}`, SESAME_CHECK_RESPONSES: 'on', SESAME_LOG_FORMAT: 'json' };
  t.diagnostic(run('make', ['test'], { cwd: project }));
  server = spawn('make', ['run'], { cwd: project, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  ended = new Promise((resolve) => { server.once('close', resolve); });
  for (const stream of [server.stdout, server.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  const origin = `http://127.0.0.1:${port}`;
  await until('the server is ready', () => fetch(`${origin}/readyz`).then((answer) => answer.ok, () => server.exitCode !== null), 120);

  browser = await launch();
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(15_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  await page.goto(`${origin}/docs/`);
  await page.locator('#operations-Notes-createNote').waitFor();
  assert.equal(await page.locator('.opblock-tag').first().getAttribute('data-tag'), 'Notes');
  assert.match(await page.locator('.info .title').innerText(), /^Notes/);
  assert.equal(await page.locator('.auth-wrapper .btn.authorize').count(), 1);
  // Its go.mod has no replace directive for swaggo/files, and yet the page has our version of Swagger UI.
  assert.ok((await (await fetch(`${origin}/docs/swagger-ui-bundle.js`)).text()).includes(`"${swaggerUI}"`), 'another version of Swagger UI');
  const dialog = await openDialog(page);
  for (const scope of ['notes:read', 'notes:write', 'me:read']) await dialog.getByText(scope, { exact: true }).waitFor();
  await screenshot(page, 'starter-authorize');
  await forPeople(dialog).getByRole('button', { name: 'Close' }).click();

  // With the scope of another operation alone, the contract refuses.
  await logIn(page, { ...demo, scopes: ['me:read'] });
  const refused = await execute(page, 'createNote', { text: 'Buy bread.' });
  assert.equal(refused.status, 403);
  assert.match(refused.text, /"insufficient_scope"/);
  await logOut(page);

  await logIn(page, { ...demo, scopes: ['notes:read', 'notes:write'] });
  const created = await execute(page, 'createNote', { text: 'Buy bread.' });
  assert.equal(created.status, 201);
  const listed = await execute(page, 'listNotes');
  assert.equal(listed.status, 200);
  assert.match(listed.text, /Buy bread\./);
  await page.locator('#operations-Notes-createNote .live-responses-table').evaluate((table) => table.scrollIntoView({ block: 'center' }));
  await screenshot(page, 'starter');
  assert.deepEqual(faults, []);

  await stop();
  assert.doesNotMatch(output, /departs from the contract|knock-knock"|"level":"ERROR"/);
  report('sesame new', '-', `${files} files, ${lines} lines; its tests pass, a note is written in the browser, 403 without the scope`);
});

test('the commands of its README manage accounts', () => {
  const project = join(folder, 'notes');
  const sesame = (input, ...words) => run('go', ['run', 'sesame/server', ...words], { cwd: project, input, stdio: ['pipe', 'pipe', 'pipe'] });
  sesame('a wooden horse\n', 'user', 'create', 'ann');
  assert.match(sesame('', 'user', 'grant', '--contract', 'openapi.yaml', 'ann', 'users:read'), /users:read/);
});
