// Apidog: its import runs in its cloud, so the test checks that the contract has what the import reads according to
// Apidog's documentation. Its command-line runner needs no cloud and runs the ready collection.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { npmInstall, report } from './consumer.mjs';
import { startSesame } from './sesame.mjs';

let packages, folder, sesame, contract;

before(async () => {
  packages = npmInstall('apidog');
  folder = mkdtempSync(join(tmpdir(), 'sesame-apidog-'));
  sesame = await startSesame();
  contract = await (await fetch(`${sesame.origin}/openapi.json`)).json();
});

after(async () => {
  if (folder) rmSync(folder, { recursive: true, force: true });
  if (sesame) assert.equal(await sesame.stop(), 0);
});

// apidog runs the real command, with a home folder of its own for its settings.
function apidog(...args) {
  const child = spawn(join(packages, 'node_modules/.bin/apidog'), args, {
    cwd: folder, env: { PATH: process.env.PATH, HOME: folder }, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

test('the contract has what the import of Apidog reads', () => {
  assert.match(contract.openapi, /^3\.0/);
  const operations = Object.values(contract.paths).flatMap((path) => Object.values(path)).filter((o) => o.operationId);
  assert.ok(operations.length > 10);
  // https://docs.apidog.com/en/apidog-openapi-specificaiton-extensions-645605m0: the folder; a slash or a
  // backslash in it would make folders within folders.
  const tags = contract.tags.map((tag) => tag.name);
  for (const operation of operations) {
    assert.deepEqual(operation.tags, [operation['x-apidog-folder']], operation.operationId);
    assert.ok(tags.includes(operation['x-apidog-folder']) && !/[/\\]/.test(operation['x-apidog-folder']));
  }
  // https://docs.apidog.com/project-544525/doc-635046: the name is the summary; two of one name would be
  // hard to tell apart.
  assert.equal(new Set(operations.map((operation) => operation.summary)).size, operations.length);
  assert.ok(operations.every((operation) => operation.summary.length <= 255));
  // https://docs.apidog.com/import-openapi-swagger-spec-635046m0: servers become environments, security
  // schemes become Auth.
  assert.deepEqual(contract.servers.map((server) => server.url), [sesame.origin]);
  const { type, flows } = contract.components.securitySchemes.OAuth2Password;
  assert.equal(type, 'oauth2');
  const tokenUrl = `${sesame.origin}/token`;
  assert.deepEqual(Object.keys(flows), ['password', 'authorizationCode']);
  assert.equal(flows.password.tokenUrl, tokenUrl);
  const { scopes, ...addresses } = flows.authorizationCode;
  assert.deepEqual(addresses, { authorizationUrl: `${sesame.origin}/authorize`, tokenUrl, refreshUrl: tokenUrl });
  assert.deepEqual(scopes, flows.password.scopes);
  for (const { operationId, requestBody } of operations.filter((operation) => operation.requestBody)) {
    const [body] = Object.values(requestBody.content);
    assert.ok(body.example ?? Object.values(body.examples)[0].value, operationId);
  }
});

test('apidog import takes the contract as it is', async () => {
  const text = await (await fetch(`${sesame.origin}/openapi.yaml`)).text();
  writeFileSync(join(folder, 'openapi.yaml'), text);
  const received = [];
  const cloud = createServer(async (request, response) => {
    const body = (await request.toArray()).join('');
    received.push({ url: request.url, authorization: request.headers.authorization, body: JSON.parse(body) });
    response.setHeader('Content-Type', 'application/json').end('{"success":true,"data":{}}');
  });
  await new Promise((resolve) => { cloud.listen(0, '127.0.0.1', resolve); });
  try {
    const { code, output } = await apidog('import', '--project', '1', '--format', 'openapi', '--file', 'openapi.yaml',
      '--access-token', 'mine', '--api-base-url', `http://127.0.0.1:${cloud.address().port}`);
    assert.equal(code, 0, output);
  } finally {
    cloud.closeAllConnections();
    cloud.close();
  }
  assert.equal(received.length, 1);
  const { url, authorization, body } = received[0];
  assert.equal(url, '/api/v1/projects/1/import-data');
  assert.equal(authorization, 'Bearer mine');
  assert.deepEqual(body, { ...body, importFormat: 'openapi', data: text });
});

// exported returns a collection in the format in which Apidog exports test scenarios for its runner, where every item has
// its kind and every request its authorization.
function exported({ auth, variable, ...collection }) {
  let id = 0;
  const mark = (item) => ({
    ...item,
    id: String(id += 1),
    metaInfo: { type: item.item ? 'folder' : 'http' },
    ...(item.item ? { item: item.item.map(mark) } : { request: { auth, ...item.request, type: 'http' }, response: [] }),
  });
  return {
    ...collection,
    apidogCli: '1.1',
    item: collection.item.map(mark),
    environment: { name: 'test', variable: { values: variable } },
    globals: { variable: { values: [] } },
  };
}

test('the runner of Apidog runs the ready collection', async () => {
  const collection = await (await fetch(`${sesame.origin}/docs/postman.json`)).json();
  writeFileSync(join(folder, 'sesame.apidog-cli.json'), JSON.stringify(exported(collection)));
  const client = JSON.parse(sesame.command('client', 'create', 'apidog', '--json'));
  const administrator = { username: 'boss', password: 'a wooden horse', scopes: ['users:read'] };
  sesame.createUser(administrator);
  const run = (password) => apidog('run', 'sesame.apidog-cli.json', '-r', 'cli,json', '--out-dir', 'reports', '--out-file', password,
    '--env-var', 'username=johndoe', '--env-var', `password=${password}`,
    '--env-var', `clientId=${client.client_id}`, '--env-var', `clientSecret=${client.client_secret}`,
    '--env-var', `adminUsername=${administrator.username}`, '--env-var', `adminPassword=${administrator.password}`, '--color', 'off');
  const { code, output } = await run('knock-knock');
  assert.equal(code, 0, output);
  const operations = collection.item.flatMap((item) => item.item).length;
  const names = output.match(/^\s+✓\s+(.*)$/gm);
  assert.equal(names.filter((name) => name.endsWith(' answers as the contract says')).length, operations, output);

  const refused = await run('wrong');
  assert.notEqual(refused.code, 0, 'a wrong password is green');
  const version = JSON.parse(readFileSync(join(packages, 'node_modules/apidog-cli/package.json'))).version;
  report('apidog-cli', version, `ran the ready collection: ${operations} operations, ${names.length} assertions; sent the contract as an import`);
});
