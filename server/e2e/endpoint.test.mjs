// docs/guides/adding-an-endpoint.md as a reader follows it, block by block, in a copy of the repository. The paragraph above
// a block says what to do with it:
//   … `FILE`, a new file:                    the block is written there; NNNNN is the next free number
//   … In `FILE`, above|below the line `…`:   the block is inserted there; the line must occur once
//   … in a terminal of its own:              the command runs until the end of the section
//   It prints: | It fails …:                 the expected output of the commands above; … is any text
// Other commands must succeed. A block of another kind fails the test.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { copyTree, npmInstall, report, repository } from './consumer.mjs';
import { freePort } from './sesame.mjs';

const guide = readFileSync(join(repository, 'docs/guides/adding-an-endpoint.md'), 'utf8');
const address = '127.0.0.1:8080'; // the address of the server in the guide

let folder, here, env, running, newman, newmanVersion;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sesame-endpoint-'));
  copyTree(folder);
  symlinkSync(join(repository, 'server/e2e/node_modules'), join(folder, 'server/e2e/node_modules'));
  const packages = join(npmInstall('postman'), 'node_modules'); // what npx would fetch
  newman = join(packages, '.bin/newman');
  newmanVersion = JSON.parse(readFileSync(join(packages, 'newman/package.json'))).version;
  here = `127.0.0.1:${await freePort()}`;
  env = { ...process.env, SESAME_LISTEN: here };
  delete env.NODE_TEST_CONTEXT; // a test that the guide runs is not part of this one
});

after(async () => {
  await stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

const one = (text) => text.trim().replace(/\s+/g, ' '); // Markdown does not keep spaces

// steps are the blocks of the guide with their section and the paragraph above them.
const steps = guide.split(/^## /m).flatMap((section) =>
  [...section.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(({ 1: language, 2: block, index }) => ({
    language, block, section: section.split('\n')[0],
    says: one(section.slice(0, index).trimEnd().split('\n\n').at(-1)),
  })));

function create(file, block) {
  if (file.includes('NNNNN')) {
    const taken = [...readdirSync(join(folder, 'server/internal/store/migrations')),
      ...readFileSync(join(folder, 'server/internal/store/migrate.go'), 'utf8').match(/(?<=NewGoMigration\()\d+/g) ?? []];
    file = file.replace('NNNNN', String(1 + Math.max(...taken.map((name) => parseInt(name, 10)))).padStart(5, '0'));
  }
  assert.ok(!existsSync(join(folder, file)), `${file} is there already`);
  writeFileSync(join(folder, file), block);
}

function insert(file, where, neighbour, block) {
  const lines = readFileSync(join(folder, file), 'utf8').split('\n');
  const found = lines.flatMap((line, i) => (one(line) === one(neighbour) ? [i] : []));
  assert.equal(found.length, 1, `${file} has ${found.length} times the line ${neighbour}`);
  const [at] = found;
  if (where === 'below') lines.splice(at + 1, 0, block.trimEnd());
  else lines.splice(at, 0, block.trimEnd(), ...(lines[at - 1] === '' ? [''] : [])); // with an empty line if its neighbors have one
  writeFileSync(join(folder, file), lines.join('\n'));
}

// execute runs commands and compares their output with the next step.
function execute(block, expected) {
  const { status, stdout, stderr } = spawnSync('sh', ['-euc', block], { cwd: folder, env, encoding: 'utf8', timeout: 10 * 60_000, maxBuffer: 64 << 20 });
  const all = `${block}\n${stdout}\n${stderr}`;
  if (expected?.language !== 'text') return assert.equal(status, 0, all);
  const pattern = expected.block.trim().replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll('…', '.*');
  if (expected.says.startsWith('It fails')) {
    assert.notEqual(status, 0, all);
    return assert.match(stdout + stderr, new RegExp(pattern), block);
  }
  assert.equal(expected.says, 'It prints:');
  assert.equal(status, 0, all);
  return assert.match(stdout.trim(), new RegExp(`^${pattern}$`), all);
}

// serve starts a command and resolves when the server answers.
async function serve(block) {
  const child = spawn('sh', ['-euc', block], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  running = { child, exited: new Promise((resolve) => { child.once('close', resolve); }) };
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  for (const deadline = Date.now() + 5 * 60_000; ;) {
    if (await fetch(`http://${here}/readyz`).then((answer) => answer.ok, () => false)) return;
    assert.ok(child.exitCode === null && Date.now() < deadline, `the server did not become ready:\n${output}`);
    await pause(50);
  }
}

// stop is Ctrl-C in that terminal.
async function stop() {
  const { child, exited } = running ?? {};
  running = undefined;
  if (child?.exitCode !== null) return;
  process.kill(-child.pid, 'SIGINT');
  await exited;
}

async function follow({ language, block, says }, next) {
  const [, fresh] = /`([^`]+)`, a new file:$/.exec(says) ?? [];
  if (fresh) return create(fresh, block);
  const [, file, where, neighbour] = /In `([^`]+)`, (above|below) the line `([^`]+)`:$/.exec(says) ?? [];
  if (file) return insert(file, where, neighbour, block);
  assert.equal(language, 'sh', `nobody knows what to do with this block: ${says}\n${block}`);
  const command = block.replaceAll(address, here).replaceAll(`npx newman@${newmanVersion} `, `${newman} `);
  assert.doesNotMatch(command, /npx /, 'another version of newman is installed');
  return says.endsWith('in a terminal of its own:') ? serve(command) : execute(command, next);
}

test('the guide to a new endpoint does what it says', async (t) => {
  const began = performance.now();
  for (const [i, step] of steps.entries()) {
    if (step.section !== steps[i - 1]?.section) await stop();
    if (step.language === 'text' && steps[i - 1]?.language === 'sh') continue; // compared already
    await follow(step, steps[i + 1]);
    t.diagnostic(`${((performance.now() - began) / 1000).toFixed(1)} s: ${step.section}: ${step.says.slice(-60)}`);
  }
  // The browser's test needs a case for the new operation.
  const names = (root, file, pattern) => readFileSync(join(root, file), 'utf8').match(pattern).map(one);
  const operations = (root) => names(root, 'openapi.yaml', /(?<=operationId: )\w+/g);
  const added = operations(folder).filter((name) => !operations(repository).includes(name));
  const cases = names(folder, 'server/e2e/operations.test.mjs', /^  \w+(?=: \{)/gm);
  assert.ok(added.length > 0 && added.every((name) => cases.includes(name)), `operations.test.mjs lacks one of ${added}`);
  assert.ok(steps.length > 20, `read only ${steps.length} blocks`);
  report('docs/guides/adding-an-endpoint', '-', `followed in a copy of the tree, ${steps.length} blocks of it`);
});
