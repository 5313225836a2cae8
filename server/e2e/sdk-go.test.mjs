// The Go client: the guide's command generates gen/client from the running server. The tests in Go use it together with
// docs/sdk and golang.org/x/oauth2.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { report, run } from './consumer.mjs';
import { assertShown, follow, shown } from './guide.mjs';
import { startSesame } from './sesame.mjs';

const repository = fileURLToPath(new URL('../..', import.meta.url));

// goTest runs tests of Go packages and returns the names of those that passed.
function goTest(pattern, ...packages) {
  const events = run('go', ['test', '-count=1', '-json', '-run', pattern, ...packages], { cwd: repository });
  const ended = events.trim().split('\n').map((line) => JSON.parse(line)).filter(({ Test }) => Test);
  assert.deepEqual(ended.filter(({ Action }) => Action === 'fail'), []);
  const passed = ended.filter(({ Action, Test }) => Action === 'pass' && !Test.includes('/')).map(({ Test }) => Test);
  assert.ok(passed.length > 0, `no test is called ${pattern}`);
  return passed;
}

test('oapi-codegen generates gen/client from the served contract', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sesame-go-')); // outside of the module, so that it is no package of it
  const sesame = await startSesame();
  try {
    writeFileSync(join(folder, 'client.yaml'), shown('client.yaml'));
    follow('oapi-codegen', sesame.origin, { cwd: folder });
    assert.equal(readFileSync(join(folder, 'client.gen.go'), 'utf8'), readFileSync(join(repository, 'gen/client/client.gen.go'), 'utf8'));
  } finally {
    assert.equal(await sesame.stop(), 0);
    rmSync(folder, { recursive: true });
  }
  const passed = goTest('^TestTheGeneratedClient', './server/apitest');
  const [, version] = /oapi-codegen@v([\d.]+)/.exec(shown('run: oapi-codegen'));
  report('oapi-codegen (Go)', version, `made gen/client, byte for byte; ${passed.length} tests: login, refresh, null and absent, typed errors`);
});

test('golang.org/x/oauth2 logs in', () => {
  goTest('^(TestOAuth2|Example_withoutThisPackage)', './server/apitest', './docs/sdk');
  assertShown('../../docs/sdk/example_test.go', 'oauth2');
  const version = run('go', ['list', '-m', '-f', '{{.Version}}', 'golang.org/x/oauth2'], { cwd: repository }).trim().slice(1);
  report('golang.org/x/oauth2', version, 'login without a client and with one, in the form and in the header; refresh; refusals');
});

test('docs/sdk keeps a login alive', () => {
  const passed = goTest('^(TestSDK|Example$|ExampleLogin)', './server/apitest', './docs/sdk');
  assertShown('../../docs/sdk/example_test.go');
  report('docs/sdk (Go)', run('go', ['env', 'GOVERSION']).trim(), `${passed.length} tests: 50 goroutines, 1 refresh; 1 retry on 401; sign-out`);
});
