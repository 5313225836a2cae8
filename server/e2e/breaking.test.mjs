// `make check-breaking` in a repository with a tagged version: a breaking change fails until CHANGELOG.md names it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { report, run } from './consumer.mjs';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const contract = readFileSync(join(repository, 'openapi.yaml'), 'utf8');
const patience = { timeout: 170_000 }; // the first run compiles oasdiff

let folder;
let seen = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sesame-breaking-'));
  for (const path of ['.make/check-breaking', 'Makefile', 'openapi.yaml']) cpSync(join(repository, path), join(folder, path));
  changelog('## [0.1.0] - 2026-11-24', '', 'The first.');
  git('init', '--quiet');
  commit();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const git = (...args) => run('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false', ...args], { cwd: folder });
const commit = () => { git('add', '--all'); git('commit', '--quiet', '--message', 'test'); };
const changelog = (...lines) => writeFileSync(join(folder, 'CHANGELOG.md'), `# Changelog\n\n${lines.join('\n')}\n`);
const unreleased = (...lines) => changelog('## [Unreleased]', '', ...lines, '', '## [0.1.0] - 2026-11-24', '', 'The first.');

// change replaces a text that occurs once. It fails if the contract no longer has it.
function change(from, to) {
  const parts = contract.split(from);
  assert.equal(parts.length, 2, `openapi.yaml has ${parts.length - 1} times: ${from}`);
  writeFileSync(join(folder, 'openapi.yaml'), parts.join(to));
}

function check(where = folder) {
  const { status, stdout, stderr } = spawnSync('make', ['--silent', 'check-breaking'], { cwd: where, encoding: 'utf8', timeout: patience.timeout });
  return { passed: status === 0, said: stdout + stderr };
}

// endSessions is the text of an operation.
const endSessions = contract.slice(contract.indexOf('    delete:\n      operationId: endSessions'), contract.indexOf('  /users/me/sessions/{session_id}:'));

const breaks = {
  'an operation is gone': [endSessions, '\n', ['DELETE /users/me/sessions']],
  'a field is required': ['required: [username, password]', 'required: [username, password, email]', ['POST /users']],
  'an enum is narrower': [contract.match(/enum: \[authorization_code, [^\n]*\n +x-enum-varnames: [^\n]*/)[0], 'enum: [password]', ['POST /token']],
  'an answer lacks a field': [
    'required: [id, current, client_id, scopes, acr, amr, ip_address, user_agent, created_at, last_used_at, expires_at]\n      properties:\n        id: { type: string, format: uuid, maxLength: 36 }\n',
    'required: [current, client_id, scopes, acr, amr, ip_address, user_agent, created_at, last_used_at, expires_at]\n      properties:\n',
    ['GET /users/me/sessions', 'GET /users/{user_id}/sessions'],
  ],
  'a field is of another type': ['email_verified: { type: boolean }', 'email_verified: { type: string, maxLength: 5 }',
    ['POST /users', 'GET /users', 'GET /users/me', 'PATCH /users/me', 'GET /users/{user_id}', 'PATCH /users/{user_id}', 'POST /invitations']],
  'a bound is tighter': ['maxLength: 200\n      pattern:', 'maxLength: 100\n      pattern:', ['POST /users', 'PATCH /users/me', 'PATCH /users/{user_id}', 'POST /invitations']],
  'another scope is needed': ["summary: Who am I\n      description: The account that the access token belongs to, as it is now.\n      security:\n        - OAuth2Password: ['me:read']",
    "summary: Who am I\n      description: The account that the access token belongs to, as it is now.\n      security:\n        - OAuth2Password: ['users:read']", ['GET /users/me']],
  'a second factor is needed': ['operationId: getMe\n', "operationId: getMe\n      x-requires-acr: '2'\n", ['GET /users/me']],
  'a recent sign-in is needed': ['operationId: getMe\n', 'operationId: getMe\n      x-requires-max-age: 300\n', ['GET /users/me']],
  'nobody may call without a token': ["        - {}\n        - OAuth2Password: ['users:write']", "        - OAuth2Password: ['users:write']", ['POST /users']],
};

for (const [name, [from, to, operations]] of Object.entries(breaks)) {
  test(`${name}: fails until it is named`, patience, () => {
    git('tag', 'v0.1.0');
    change(from, to);
    const { passed, said } = check();
    assert.ok(!passed, said);
    // Every line that the command asks for is needed.
    const lines = said.slice(said.indexOf('### Breaking')).match(/^(###|- `).*/gm);
    assert.deepEqual(lines.slice(1).sort(), operations.map((operation) => `- \`${operation}\`: …`).sort());
    unreleased(...lines.slice(0, -1));
    assert.ok(!check().passed);
    unreleased('### Fixed', '', ...lines.slice(1)); // under another heading it does not count
    assert.ok(!check().passed);
    unreleased(...lines);
    assert.deepEqual(check(), { passed: true, said: 'check-breaking: what breaks clients of v0.1.0 is named in CHANGELOG.md\n' });
    seen += 1;
  });
}

test('a compatible change passes without an entry in CHANGELOG.md', patience, () => {
  git('tag', 'v0.1.0');
  assert.deepEqual(check(), { passed: true, said: 'check-breaking: nothing breaks clients of v0.1.0\n' });
  change('  /readyz:\n    get:\n      operationId: getReadiness', '  /livez:\n    get:\n      operationId: getLife\n      tags: [Health]\n      summary: Alive\n      description: Alive.\n      security: []\n' +
    "      responses: { '204': { description: Alive. } }\n\n  /readyz:\n    get:\n      operationId: getReadiness");
  assert.ok(check().passed);
  change('maxLength: 200\n      pattern:', 'maxLength: 300\n      pattern:');
  assert.ok(check().passed);
});

test('a demand for a sign-in breaks clients when it is raised, and not when it is lowered', patience, () => {
  const demand = (acr, age) => change('operationId: getMe\n', `operationId: getMe\n      x-requires-acr: '${acr}'\n      x-requires-max-age: ${age}\n`);
  demand(1, 600);
  commit();
  git('tag', 'v0.1.0');
  assert.ok(check().passed);
  demand(1, 900);
  assert.ok(check().passed);
  demand(2, 900);
  assert.match(check().said, /GET \/users\/me\n +`x-requires-acr` was 1 and is 2\n/);
  demand(1, 599);
  assert.match(check().said, /GET \/users\/me\n +`x-requires-max-age` was 600 and is 599\n/);
  change('operationId: getMe\n', 'operationId: getMe\n');
  assert.ok(check().passed);
});

test('the section of the next version counts; that of a released version does not', patience, () => {
  git('tag', 'v0.1.0');
  const [from, to] = breaks['an enum is narrower'];
  change(from, to);
  changelog('## [Unreleased]', '', '## [0.2.0] - 2026-12-24', '', '### Breaking', '', '- `POST /token`: log in.', '', '## [0.1.0] - 2026-11-24', '', 'The first.');
  assert.ok(check().passed);
  changelog('## [Unreleased]', '', '### Added', '', '- A word.', '', '## [0.1.0] - 2026-11-24', '', '### Breaking', '', '- `POST /token`: log in.');
  assert.ok(!check().passed);
  changelog('## [Unreleased]');
  assert.match(check().said, /no section \[0\.1\.0\], although v0\.1\.0 is tagged/);
});

test('a repository without a tag says so; a clone without the tags fails', patience, () => {
  const alone = { passed: true, said: 'check-breaking: no version is tagged in this repository, so openapi.yaml is compared with nothing\n' };
  assert.deepEqual(check(), alone);
  git('tag', 'v0.1.0');
  unreleased('### Added', '', '- A word.');
  commit();
  const clone = join(folder, 'shallow');
  run('git', ['clone', '--quiet', '--depth', '1', '--no-tags', `file://${folder}`, clone]);
  const { passed, said } = check(clone);
  assert.ok(!passed);
  assert.match(said, /version 0\.1\.0 is in CHANGELOG\.md, but this clone is shallow .*git fetch --unshallow --tags/);
  run('git', ['fetch', '--quiet', '--unshallow', '--tags'], { cwd: clone });
  assert.ok(check(clone).passed);
  rmSync(join(folder, '.git'), { recursive: true });
  assert.deepEqual(check(), alone);

  assert.equal(seen, Object.keys(breaks).length);
  const version = readFileSync(join(repository, 'Makefile'), 'utf8').match(/oasdiff@v(\S+)/)[1];
  report('oasdiff', version, `${seen} kinds of breaking change each failed until CHANGELOG.md named it`);
});
