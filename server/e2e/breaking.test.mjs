// The gate on breaking changes, in a repository made for it: a tagged contract, changes that break
// it, and the CHANGELOG that names them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { report, run } from './consumer.mjs';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const contract = readFileSync(join(repository, 'openapi.yaml'), 'utf8');
const unreleased = '# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Things.\n';
let folder;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sesame-gate-'));
  cpSync(join(repository, '.make/check-breaking'), join(folder, 'check-breaking'));
  git('init', '--quiet');
  write(contract, unreleased);
  git('add', '.');
  git('-c', 'user.name=t', '-c', 'user.email=t@example.com', 'commit', '--quiet', '--message', 'all');
});

after(() => rmSync(folder, { recursive: true, force: true }));

function git(...args) {
  return run('git', args, { cwd: folder });
}

function write(openapi, changelog) {
  writeFileSync(join(folder, 'openapi.yaml'), openapi);
  writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
}

function gate() {
  const { status, stdout, stderr } = spawnSync('node', ['check-breaking'], { cwd: folder, encoding: 'utf8', timeout: 300_000 });
  return { status, text: stdout + stderr };
}

// edit replaces one place, and insists that it is there.
function edit(from, to) {
  assert.ok(contract.includes(from), from);
  return contract.replace(from, to);
}

const withoutOperation = contract.replace(/\n {2}\/users\/me\/password:\n[^]*?(?=\n {2}\/)/, '');
const breaks = {
  'an operation is gone': [withoutOperation, ['PUT /users/me/password']],
  'a field is required': [edit('required: [username, password]', 'required: [username, password, email]'), ['POST /users']],
  'an enum is narrower': [edit('enum: [password, refresh_token]', 'enum: [password]'), ['POST /token']],
  'a field is gone from an answer': [
    contract.replace('full_name, disabled, scopes, created_at', 'disabled, scopes, created_at')
      .replace(/\n {8}full_name: \{ type: string, nullable: true, maxLength: 200 \}/, ''),
    ['GET /users/me', 'POST /users', 'PATCH /users/me']],
  'a scope more is needed': [edit("- OAuth2Password: ['me:read']", "- OAuth2Password: ['users:read']"), ['GET /users/me']],
  'a longer password': [edit('minLength: 8', 'minLength: 12'), ['POST /users', 'PUT /users/me/password']],
};

test('before the first release there is nothing to break', () => {
  assert.deepEqual(gate(), { status: 0, text: 'check-breaking: nothing is released yet, so there is no contract to break.\n' });
  write(contract, '# Changelog\n\n## [Unreleased]\n\n## [1.0.0]\n');
  const { status, text } = gate();
  assert.equal(status, 1);
  assert.match(text, /git fetch --tags/);
});

test('a breaking change fails unless the CHANGELOG names it', () => {
  git('tag', 'v1.0.0');
  git('tag', 'voodoo'); // no version
  write(contract, unreleased);
  assert.match(gate().text, /breaks nothing of v1\.0\.0/);

  write(edit('summary: Who am I', 'summary: Who I am') + '# a comment\n', unreleased);
  assert.equal(gate().status, 0, 'a compatible change');

  for (const [name, [broken, operations]] of Object.entries(breaks)) {
    assert.notEqual(broken, contract, name);
    write(broken, unreleased);
    const refused = gate();
    assert.equal(refused.status, 1, `${name}: ${refused.text}`);
    for (const operation of operations) assert.ok(refused.text.includes(`- \`${operation}\`: …`), `${name}: ${refused.text}`);

    const items = operations.map((operation) => `- \`${operation}\`: because.\n`).join('');
    write(broken, `${unreleased}\n### Breaking\n\n${items}\n## [1.0.0]\n`);
    assert.equal(gate().status, 0, name);
    // Named in an older section, or elsewhere in this one, it is not named.
    write(broken, `${unreleased}${items}\n## [1.0.0]\n\n### Breaking\n\n${items}`);
    assert.equal(gate().status, 1, name);
  }
  const version = /oasdiff@v([\d.]+)/.exec(readFileSync(join(repository, '.make/check-breaking'), 'utf8'))[1];
  report('oasdiff', version, `${Object.keys(breaks).length} breaking changes refused, and let through once the CHANGELOG named them`);
});
