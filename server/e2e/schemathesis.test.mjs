// schemathesis generates requests for every operation of the contract and compares the answers with it:
// docs/guides/contract-tests.md. Its settings and hooks are in schemathesis/.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { report, venv } from './consumer.mjs';
import { startSesame } from './sesame.mjs';

const folder = fileURLToPath(new URL('schemathesis', import.meta.url));
const guide = fileURLToPath(new URL('../../docs/guides/contract-tests.md', import.meta.url));
const generated = join(folder, 'generated');
const bounded = { timeout: 590_000 };

let sesame, contract, version, client;
const cases = {};
const administrator = { username: 'contract-tests', password: 'a wooden horse' };

before(async () => {
  venv('schemathesis');
  sesame = await startSesame();
  sesame.createUser({ ...administrator, scopes: ['users:read', 'users:write', 'clients:read', 'clients:write', 'events:read', 'settings:read', 'settings:write'] });
  client = JSON.parse(sesame.command('client', 'create', 'contract-tests', '--json'));
  contract = await (await fetch(`${sesame.origin}/openapi.json`)).json();
  rmSync(generated, { recursive: true, force: true });
  mkdirSync(generated);
});

after(async () => {
  if (!sesame) return;
  assert.equal(await sesame.stop(), 0);
  assert.deepEqual(lines().filter((line) => line.level === 'ERROR' || line.status >= 500), []);
  if (!cases.anonymous || !cases.token || !cases.faults) return;
  report('schemathesis', version,
    `without a token: ${cases.anonymous} cases; with one: ${cases.token} cases; ${cases.faults} kinds of fault seen to fail`);
});

const lines = () => sesame.log().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));

// The guide's two commands, with a token and without one, for the server of this test.
const [withToken, withoutToken] = readFileSync(guide, 'utf8').split('\n').filter((line) => line.endsWith('/openapi.yaml'));

// schemathesis runs a command line and resolves with its exit code, its report and its output.
async function schemathesis(name, command) {
  const path = join(generated, `${name}.json`);
  const child = spawn('sh', ['-c', `exec env ${command} --no-color --report-json-path ${path}`], {
    cwd: folder, env: {
      ...process.env,
      SESAME_TEST_CLIENT: `${client.client_id}:${client.client_secret}`,
      SESAME_TEST_ADMIN: `${administrator.username}:${administrator.password}`,
      SESAME_TEST_DATABASE: sesame.database,
    }, stdio: ['ignore', 'pipe', 'pipe'], timeout: bounded.timeout,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  const code = await new Promise((resolve) => { child.once('close', resolve); });
  assert.ok(code === 0 || code === 1, `${command} ended with ${code}:\n${output}`);
  return { code, output, result: JSON.parse(readFileSync(path, 'utf8')) };
}

// conforms tests the whole contract and returns the statuses that the server logged for each operation.
async function conforms(t, name, command) {
  const began = lines().length;
  const { code, output, result } = await schemathesis(name, command.replace('http://127.0.0.1:8080', sesame.origin));
  assert.equal(code, 0, output);
  assert.equal(result.operations.tested, operations().length);
  for (const [phase, { status }] of Object.entries(result.phases)) assert.equal(status, 'success', phase);
  cases[name] = result.test_cases.generated;
  version = result.schemathesis_version;

  const statuses = {};
  for (const line of lines().slice(began).filter((each) => each.route)) {
    const operation = `${line.method} ${line.route.replace(/:(\w+)/g, '{$1}')}`;
    statuses[operation] ??= {};
    statuses[operation][line.status] = (statuses[operation][line.status] ?? 0) + 1;
  }
  for (const [operation] of operations()) t.diagnostic(`${operation} ${JSON.stringify(statuses[operation])}`);
  return statuses;
}

// excluded are the operations that schemathesis.toml leaves out.
const excluded = new Set([...readFileSync(join(folder, 'schemathesis.toml'), 'utf8').matchAll(/^include-name = "(.+)"\nenabled = false$/gm)].map(([, name]) => name));

const operations = () => Object.entries(contract.paths).flatMap(([path, item]) =>
  Object.entries(item).filter(([method, operation]) => operation.operationId && !excluded.has(`${method.toUpperCase()} ${path}`))
    .map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation]));

const succeeded = (statuses) => operations().map(([operation]) => operation)
  .filter((operation) => [200, 201, 202, 204, 303].some((status) => statuses[operation]?.[status]));

test('without a token, public operations answer and the others refuse', bounded, async (t) => {
  const open = operations().filter(([, { security }]) => security &&
    (security.length === 0 || security.some((alternative) => Object.keys(alternative).length === 0)));
  const statuses = await conforms(t, 'anonymous', withoutToken);
  // Only schemathesis calls this server, so a success elsewhere would be one without a token.
  assert.deepEqual(succeeded(statuses), open.map(([operation]) => operation));
});

test('with a token, every operation succeeds', bounded, async (t) => {
  const statuses = await conforms(t, 'token', withToken);
  assert.deepEqual(succeeded(statuses), operations().map(([operation]) => operation));
});

// Each changes the contract to something that the server does not do. The operation and the expected report follow.
const faults = {
  'an undocumented status': ({ paths }) => {
    delete paths['/users/me'].patch.responses[422];
    return ['PATCH /users/me', 'Undocumented status code'];
  },
  'an undocumented media type': ({ components: { responses } }) => {
    responses.MediaType.content = { 'text/plain': { schema: { type: 'string' } } };
    return ['POST /users', 'Undocumented Content-Type'];
  },
  'a field of another type': ({ components: { schemas } }) => {
    schemas.User.properties.disabled.type = 'string';
    return ['GET /users/me', 'Response violates schema'];
  },
  'a documented header that is missing': ({ paths }) => {
    paths['/healthz'].get.responses[200].headers = { 'X-Nothing': { required: true, schema: { type: 'string' } } };
    return ['GET /healthz', 'Missing required response headers'];
  },
  'a header of another type': ({ components: { headers } }) => {
    headers.CacheFiveMinutes.schema = { type: 'integer' };
    return ['GET /.well-known/jwks.json', 'Response header does not conform to the schema'];
  },
  'a bound that is not kept': ({ components: { schemas } }) => {
    schemas.FullName.maxLength = 10;
    return ['PATCH /users/me', 'Schema-violating request accepted'];
  },
  'good data refused': ({ components: { schemas } }) => {
    schemas.NewPassword.minLength = 1;
    return ['PUT /users/me/password', 'Schema-valid request rejected'];
  },
  'a token that is not asked for': ({ paths }) => {
    delete paths['/readyz'].get.security;
    return ['GET /readyz', 'API accepts requests without authentication'];
  },
  'a scope that is not asked for': ({ paths }) => {
    paths['/users/me/sessions'].get.security[0].OAuth2Password = ['me:write'];
    return ['GET /users/me/sessions', 'Custom check failed: `ScopesAreEnforced`'];
  },
  'a method that nobody declared': ({ paths }) => {
    delete paths['/users/me/sessions'].delete;
    return ['DELETE /users/me/sessions', 'Wrong response to undeclared method'];
  },
  'an operation that only refuses': ({ paths, components: { responses } }) => {
    paths['/nothing'] = { get: { ...paths['/healthz'].get, operationId: 'getNothing', responses: { 404: responses.Malformed } } };
    return [undefined, 'Custom check failed: `EveryOperationSucceeds`'];
  },
};

// concerned are the paths that the faults are in.
const concerned = new Set(['/healthz', '/readyz', '/.well-known/jwks.json', '/users', '/users/me', '/users/me/password', '/users/me/sessions']);

test('every kind of difference between contract and server is reported', bounded, async () => {
  const broken = structuredClone(contract);
  for (const [path, item] of Object.entries(broken.paths)) { // the others would take their time, and find nothing
    if (!concerned.has(path)) delete broken.paths[path];
    else for (const operation of Object.values(item)) for (const response of Object.values(operation.responses ?? {})) delete response.links;
  }
  const expected = Object.entries(faults).map(([fault, commit]) => [fault, ...commit(broken)]);
  const path = join(generated, 'broken-contract.json');
  writeFileSync(path, JSON.stringify(broken));
  const { code, output, result } = await schemathesis('broken', `venv/bin/st run ${path} --url ${sesame.origin}`);
  assert.equal(code, 1, output);
  const unnoticed = expected.filter(([, operation, title]) => !result.failures.some((failure) =>
    failure.title === title && (!operation || failure.operations.includes(operation))));
  assert.deepEqual(unnoticed, [], output);
  assert.match(output, /never answered 2xx or 3xx: GET \/nothing/);
  assert.match(output, /Reproduce with:\s+curl .*Authorization: Bearer eyJ/);
  cases.faults = expected.length;
});
