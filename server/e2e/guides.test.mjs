// The guides that build something, as a reader follows them, block by block. The paragraph above a block says what to
// do with it:
//   … `FILE`, a new file:                    the block is written there
//   … In `FILE`, above|below the line `…`:   it is put beside that line, which must be there once
//   … in a terminal of its own:              it runs until the section ends
//   It prints: | It fails …:                 what the commands above must print, … being anything
// Other commands must succeed. A block of another kind fails the test.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { copyTree, report, repository } from './consumer.mjs';
import { freePort, until } from './sesame.mjs';

const address = '127.0.0.1:8080'; // the server in the guides

let folder, current, here, env, running;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sesame-guide-'));
  here = `127.0.0.1:${await freePort()}`;
  env = { ...process.env, SESAME_LISTEN: here };
  delete env.NODE_TEST_CONTEXT; // a test that a guide runs is one of its own
});

afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

const one = (text) => text.trim().replace(/\s+/g, ' '); // Markdown does not keep spaces

// read gives the blocks of a guide, each with its section and the paragraph above it.
const read = (guide) => readFileSync(join(repository, 'docs/guides', guide), 'utf8').split(/^## /m).flatMap((section) =>
  [...section.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(({ 1: language, 2: block, index }) => ({
    language, block, section: section.split('\n')[0],
    says: one(section.slice(0, index).trimEnd().split('\n\n').at(-1)),
  })));

function create(file, block) {
  assert.ok(!existsSync(join(current, file)), `${file} is there already`);
  writeFileSync(join(current, file), block);
}

function insert(file, where, neighbour, block) {
  const lines = readFileSync(join(current, file), 'utf8').split('\n');
  const found = lines.flatMap((line, i) => (one(line) === one(neighbour) ? [i] : []));
  assert.equal(found.length, 1, `${file} has ${found.length} times the line ${neighbour}`);
  const [at] = found;
  if (where === 'below') lines.splice(at + 1, 0, block.trimEnd());
  else lines.splice(at, 0, block.trimEnd(), ...(lines[at - 1] === '' ? [''] : [])); // as far apart as its neighbours
  writeFileSync(join(current, file), lines.join('\n'));
}

// execute runs commands, keeps the folder that they change to, and compares what they print with the next step.
function execute(block, expected) {
  const options = { cwd: current, env, encoding: 'utf8', timeout: 10 * 60_000, maxBuffer: 64 << 20 };
  const { status, stdout, stderr } = spawnSync('sh', ['-euc', `${block}\npwd >'${join(folder, 'pwd')}'`], options);
  const all = `${block}\n${stdout}\n${stderr}`;
  if (status === 0) current = readFileSync(join(folder, 'pwd'), 'utf8').trim();
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

// serve leaves a command running, once the server answers.
async function serve(block) {
  const child = spawn('sh', ['-euc', block], { cwd: current, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  running = { child, ended: new Promise((resolve) => { child.once('close', resolve); }) };
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  await until('the server is ready', async () => {
    assert.ok(child.exitCode === null, `the server ended:\n${output}`);
    return fetch(`http://${here}/readyz`).then((answer) => answer.ok, () => false);
  }, 300);
}

// stop is Ctrl-C in that terminal.
async function stop() {
  if (!running) return;
  const { child, ended } = running;
  running = undefined;
  process.kill(-child.pid, 'SIGINT');
  await ended;
}

async function follow({ language, block, says }, next) {
  const [, fresh] = /`([^`]+)`, a new file:$/.exec(says) ?? [];
  if (fresh) return create(fresh, block);
  const [, file, where, neighbour] = /In `([^`]+)`, (above|below) the line `([^`]+)`:$/.exec(says) ?? [];
  if (file) return insert(file, where, neighbour, block);
  assert.equal(language, 'sh', `nobody knows what to do with this block: ${says}\n${block}`);
  const command = block.replaceAll(address, here).replaceAll('../notes', join(folder, 'notes'));
  return says.endsWith('in a terminal of its own:') ? serve(command) : execute(command, next);
}

// followAll follows a guide, and gives the lines and files that the reader wrote.
async function followAll(t, guide) {
  const began = performance.now();
  const steps = read(guide);
  for (const [i, step] of steps.entries()) {
    if (step.section !== steps[i - 1]?.section) await stop();
    if (step.language === 'text' && steps[i - 1]?.language === 'sh') continue; // compared already
    await follow(step, steps[i + 1]);
    t.diagnostic(`${((performance.now() - began) / 1000).toFixed(1)} s: ${step.section}: ${step.says.slice(-60)}`);
  }
  const written = steps.filter(({ language }) => !['sh', 'text'].includes(language));
  const files = new Set(written.map(({ says }) => /`([^`]+)`, (a new file|above|below)/.exec(says)[1]));
  const lines = written.reduce((sum, { block }) => sum + block.trimEnd().split('\n').length, 0);
  report(`docs/guides/${guide}`, '-', `followed, ${steps.length} blocks of it; ${lines} lines in ${files.size} files are written`);
  return `${lines} lines in ${files.size} files`;
}

test('the guide to a service of one\'s own does what it says', async (t) => {
  current = repository;
  const written = await followAll(t, 'your-own-service.md');
  const guide = one(readFileSync(join(repository, 'docs/guides/your-own-service.md'), 'utf8'));
  assert.ok(guide.includes(written), `the guide does not say that the reader writes ${written}`);
});

test('the guide to changing Sesame does what it says', async (t) => {
  current = join(folder, 'sesame');
  copyTree(current);
  symlinkSync(join(repository, 'server/e2e/node_modules'), join(current, 'server/e2e/node_modules'));
  await followAll(t, 'changing-sesame.md');
  // The test in the browser would miss a case.
  const names = (file, pattern) => readFileSync(join(current, file), 'utf8').match(pattern).map(one);
  const cases = names('server/e2e/operations.test.mjs', /^  \w+(?=: \{)/gm);
  const added = names('openapi.yaml', /(?<=operationId: )\w+/g).filter((name) => !cases.includes(name));
  assert.deepEqual(added, [], 'operations.test.mjs lacks operations');
});
