// schemathesis reads the contract that the server serves and tries to make the server break it: with
// an access token and without one. A failure prints the request as a curl command; the seed is fixed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { report, venv } from './consumer.mjs';
import { startSesame } from './sesame.mjs';

const folder = fileURLToPath(new URL('schemathesis', import.meta.url));
let bin, sesame;

before(async () => {
  bin = venv('schemathesis');
  sesame = await startSesame();
});

after(() => sesame?.stop());

// schemathesis gives the number of requests that it tried.
function schemathesis(env = {}) {
  const { status, stdout, stderr } = spawnSync(join(bin, 'schemathesis'), [
    '--no-color', '--config-file', 'schemathesis.toml', 'run', `${sesame.origin}/openapi.yaml`, '--checks', 'all', '--continue-on-failure',
  ], {
    cwd: folder, encoding: 'utf8', timeout: 300_000, maxBuffer: 64 << 20,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1', SESAME_URL: sesame.origin, ...env },
  });
  assert.equal(status, 0, `${stdout}\n${stderr}\n${sesame.log().split('\n').filter((line) => /"level":"(ERROR|WARN)"/.test(line)).join('\n')}`);
  const counted = /(\d+) generated/.exec(stdout);
  assert.ok(counted, stdout);
  return Number(counted[1]);
}

// successes are the operations that the server answered with a 2xx, as "GET /users/me".
function successes() {
  return new Set(sesame.log().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
    .filter(({ msg, status }) => msg === 'request' && status < 300)
    .map(({ method, route }) => `${method} ${route.replace(/:(\w+)/g, '{$1}')}`));
}

test('the server keeps its contract, whatever it is sent', { timeout: 600_000 }, async () => {
  const without = schemathesis();
  const withToken = schemathesis({ SESAME_WITH_TOKEN: '1' });

  // Who only ever sees refusals has tested little.
  const contract = await (await fetch(`${sesame.origin}/openapi.json`)).json();
  const operations = Object.entries(contract.paths).flatMap(([path, item]) =>
    Object.keys(item).filter((method) => item[method].operationId).map((method) => `${method.toUpperCase()} ${path}`));
  await sesame.stop(); // which writes what is left of the log
  const seen = successes();
  assert.deepEqual(operations.filter((operation) => !seen.has(operation)), [], 'operations that never succeeded');
  assert.deepEqual(sesame.log().split('\n').filter((line) => line.includes('"level":"ERROR"')), []);
  report('schemathesis', '4.32.5', `${without} requests without a token and ${withToken} with one; each of ${operations.length} operations succeeded, none broke the contract`);
});
