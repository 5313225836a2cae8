// libopenapi-validator, as a second opinion beside kin-openapi: it validates every answer that the tests over HTTP compare
// with the contract, and the requests that the server accepted. SESAME_TEST_ANSWERS names a file that these tests have
// recorded already (SESAME_TEST_RECORD); without it they run here, on SQLite and without those that take long.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { report, repository, run } from './consumer.mjs';

const program = fileURLToPath(new URL('second-opinion', import.meta.url));
const contract = join(repository, 'openapi.yaml');
let folder, judge, recorded;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'sesame-answers-'));
  judge = join(folder, 'judge');
  // Without optimization, which would double the time that the library takes to compile.
  run('go', ['build', '-gcflags=github.com/pb33f/...=-N -l', '-o', judge, '.'], { cwd: program });
  recorded = process.env.SESAME_TEST_ANSWERS;
  if (recorded) return;
  recorded = join(folder, 'answers');
  const env = { ...process.env, SESAME_TEST_ENGINE: 'sqlite', SESAME_TEST_RECORD: recorded };
  delete env.SESAME_TEST_REQUIRE_ALL; // -short skips tests
  run('go', ['test', '-short', '-count=1', '-parallel=8', './server/apitest'], { cwd: repository, env });
});

after(() => rmSync(folder, { recursive: true, force: true }));

test('libopenapi-validator finds the answers of the HTTP tests valid', () => {
  const { answers, requests, operations } = JSON.parse(run(judge, [contract, recorded]));
  const ids = readFileSync(contract, 'utf8').match(/(?<=operationId: )\w+/g);
  assert.deepEqual(Object.keys(operations).sort(), ids.sort(), 'not every operation was seen');
  const [, version] = /libopenapi-validator v([\d.]+)/.exec(readFileSync(join(program, 'go.mod'), 'utf8'));
  report('libopenapi-validator', version, `${answers} answers and ${requests} accepted requests of ${ids.length} operations are valid`);
});

test('libopenapi-validator finds faults', () => {
  const all = readFileSync(recorded, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const first = (operation) => all.find(({ id, status }) => id === operation && status === 200);
  const valid = first('getMe');
  const user = JSON.parse(valid.body);
  const faults = {
    'does not exist': { ...valid, status: 418 },
    "missing property 'username'": { ...valid, body: JSON.stringify({ ...user, username: undefined }) },
    "additional properties 'password_hash'": { ...valid, body: JSON.stringify({ ...user, password_hash: '$argon2id$' }) },
    'is not valid uuid': { ...valid, body: JSON.stringify({ ...user, id: '1' }) },
    'is not valid email': { ...valid, body: JSON.stringify({ ...user, email: 'Bob <bob@example.com>' }) },
    'does not match pattern': { ...first('updateMe'), request: '{"full_name":"\u200bAnn"}' },
    'content type': { ...valid, header: { ...valid.header, 'Content-Type': ['text/plain'] } },
  };
  const file = join(folder, 'faults');
  for (const [fault, exchange] of Object.entries(faults)) {
    writeFileSync(file, `${JSON.stringify(exchange)}\n`);
    const accepted = () => run(judge, [contract, file]);
    assert.throws(accepted, ({ message }) => message.includes(fault), fault);
  }
});
