// Postman: its own converter reads the served contract, and newman runs the result; and newman runs the ready collection as
// its guide says.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { npmInstall, report, run as execute } from './consumer.mjs';
import { startSesame } from './sesame.mjs';

const password = 'knock-knock';
const secret = 'a+b&c=d %é"{{baseUrl'; // would break a step that does not encode it
let packages, require, folder, sesame, client, newmanVersion;
let accounts = 0; // that the tests create and do not delete

before(async () => {
  packages = npmInstall('postman');
  require = createRequire(join(packages, 'package.json'));
  newmanVersion = require('newman/package.json').version;
  folder = mkdtempSync(join(tmpdir(), 'sesame-postman-'));
  sesame = await startSesame();
  client = JSON.parse(sesame.command('client', 'create', 'postman', '--json'));
});

after(async () => {
  if (folder) rmSync(folder, { recursive: true, force: true });
  if (!sesame) return;
  assert.equal(await sesame.stop(), 0);
  const lines = logged(sesame);
  assert.deepEqual(lines.filter((line) => line.level === 'ERROR' || line.status >= 500), []);
  // Every guest has been deleted.
  const count = (method, route, status) =>
    lines.filter((line) => line.method === method && line.route === route && line.status === status).length;
  assert.equal(count('POST', '/users', 201) + count('POST', '/invitations', 201) - count('DELETE', '/users/me', 204) - count('DELETE', '/users/:user_id', 204), accounts);
  assert.ok(!sesame.log().includes(secret));
});

const logged = (server) => server.log().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));

// newman runs a collection, given its URL or file, and resolves with its report.
let runs = 0;
function newman(collection, ...args) {
  const results = join(folder, `${runs += 1}.json`);
  const child = spawn(join(packages, 'node_modules/.bin/newman'), [
    'run', collection, ...args, '--color', 'off', '--reporters', 'cli,json', '--reporter-json-export', results,
  ], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  return new Promise((resolve) => child.once('close', (code) => {
    const { run } = JSON.parse(readFileSync(results));
    resolve({ code, output, run });
  }));
}

// tried returns the names of the requests of a run. (A request that a script sends counts as an execution of its item.)
const tried = (run) => [...new Set(run.executions.map(({ item }) => item.name))].sort();

const as = (username, word) => ['--env-var', `username=${username}`, '--env-var', `password=${word}`];
const through = () => ['--env-var', `clientId=${client.client_id}`, '--env-var', `clientSecret=${client.client_secret}`];

async function api(method, path, { token, body, form } = {}) {
  const answer = await fetch(sesame.origin + path, {
    method,
    headers: {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body && { 'Content-Type': 'application/json' }),
    },
    body: form ? new URLSearchParams(form) : body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}

const scope = 'openid profile email me:read me:write me:delete users:read users:write clients:read clients:write events:read settings:read settings:write';
const login = async (username, word) =>
  (await api('POST', '/token', { form: { grant_type: 'password', username, password: word, scope } })).access_token;

// promote makes an account an administrator.
const promote = (username) => sesame.command('user', 'grant', username, 'users:read', 'users:write', 'clients:read', 'clients:write', 'events:read', 'settings:read', 'settings:write');

// operations returns those of the contract, with their method and path.
async function operations() {
  const { paths } = await api('GET', '/openapi.json');
  return Object.entries(paths).flatMap(([path, item]) => Object.entries(item)
    .filter(([, operation]) => operation.operationId)
    .map(([method, operation]) => ({ ...operation, call: `${method.toUpperCase()} ${path.replace(/\{[^}]+\}/g, '…')}` })));
}

const requestsOf = (collection) => collection.item.flatMap((item) =>
  item.item.map((request) => ({ ...request, folder: item.name })));

// convert runs the command of Postman's converter. Its options are those of the import dialog.
function convert(options) {
  const [contract, collection] = ['openapi.yaml', 'converted.json'].map((name) => join(folder, name));
  execute(join(packages, 'node_modules/.bin/openapi2postmanv2'), ['-s', contract, '-o', collection, '-O', options]);
  return JSON.parse(readFileSync(collection));
}

test('the contract converts into a collection that works unchanged', async () => {
  writeFileSync(join(folder, 'openapi.yaml'), await (await fetch(`${sesame.origin}/openapi.yaml`)).text());
  const plain = convert('folderStrategy=Paths');
  const collection = convert('folderStrategy=Tags,parametersResolution=Example');
  const wanted = {
    grant_type: 'password_credentials',
    accessTokenUrl: `${sesame.origin}/token`,
    scope,
  };
  for (const { auth } of [plain, collection]) {
    assert.equal(auth.type, 'oauth2');
    const helper = Object.fromEntries(auth.oauth2.map(({ key, value }) => [key, value]));
    delete helper.redirect_uri; // the refreshUrl, which the password grant does not use
    assert.deepEqual(helper, wanted);
  }
  assert.equal(collection.variable.find(({ key }) => key === 'baseUrl').value, sesame.origin);

  const requests = requestsOf(collection);
  assert.deepEqual(
    requests.map((request) => `${request.folder}: ${request.name}`).sort(),
    (await operations()).map((operation) => `${operation.tags[0]}: ${operation.summary}`).sort(),
  );
  const withBody = (await operations()).filter((operation) => operation.requestBody).map((operation) => operation.summary);
  for (const { name, request } of requests.filter((one) => withBody.includes(one.name))) {
    const filled = request.body.mode === 'raw' ? Object.entries(JSON.parse(request.body.raw))
      : request.body.urlencoded.map(({ key, value }) => [key, value]);
    assert.ok(filled.length > 0, `${name} has no example`);
    for (const [key, value] of filled) assert.doesNotMatch(String(value), /^<.*>$/, `${name} has no example of ${key}`);
  }

  // Each request is sent unchanged except for the token, which the test puts where Get New Access Token puts it.
  const [username, old, changed] = ['converted', 'a wooden horse', 'a bigger wooden horse'];
  await api('POST', '/users', { body: { username, password: old, email: 'converted@example.com' } });
  ['johndoe', username].forEach(promote); // the last administrator could not be deleted
  const file = join(folder, 'with-token.json');
  const statuses = {};
  const send = async (token, ...names) => {
    const use = (auth) => {
      if (auth?.basic) auth.basic = [{ key: 'username', value: client.client_id }, { key: 'password', value: client.client_secret }];
      auth?.oauth2?.push({ key: 'accessToken', value: token }, { key: 'addTokenTo', value: 'header' });
    };
    const copy = structuredClone(collection);
    [copy, ...requestsOf(copy).map(({ request }) => request)].forEach(({ auth }) => use(auth));
    writeFileSync(file, JSON.stringify(copy));
    const { executions } = (await newman(file, ...names.flatMap((name) => ['--folder', name]))).run;
    for (const { item, response } of executions) statuses[item.name] = response?.code;
  };
  // These need the original password, or end the session that the others need.
  const [first, last, lastButOne] = ['Change my e-mail address', 'Delete my account', 'Log out everywhere'];
  await send(await login(username, old), first);
  await send(await login(username, old), ...requests.map(({ name }) => name).filter((name) => ![first, last, lastButOne].includes(name)));
  await send(await login(username, changed), lastButOne);
  await send(await login(username, changed), last);
  const promised = (await operations()).map(({ summary, responses }) => [summary, Number(Object.keys(responses).find((code) => code < 400))]);
  assert.deepEqual(statuses, {
    ...Object.fromEntries(promised),
    'Read an account': 404, // the example is no account
    'Change an account': 404,
    'Delete an account': 404,
    'Log out one session': 404, // the example is no session
    'Read a client': 404, // the example is no client
    'Change a client': 404,
    'Delete a client': 404,
    'Replace the secret of a client': 404,
    'Unlink an identity': 404, // the account has none
    'Revoke a personal access token': 404, // the example is no token
    'List the tokens of an account': 404, // the example is no account
    'Revoke a token of an account': 404,
    'Rename a second factor': 404, // the example is no factor
    'Remove a second factor': 404,
    'Get new recovery codes': 409, // the account has no second factor
    'Finish the set-up of an authenticator app': 422, // the example is no set-up
    'Add a passkey': 422, // the example is no passkey
    'Reset the second factors of an account': 404,
    'Mail an invitation again': 404,
    'Register an application': 404, // unless the operator allows it
    'Delete a waiting mail': 404, // the example is no mail
    'Read a webhook': 404, // the example is no webhook
    'Change a webhook': 404,
    'Delete a webhook': 404,
    'Replace the secret of a webhook': 404,
    'List the deliveries of a webhook': 404,
    'Read a delivery': 404,
    'Send a delivery again': 404,
    'Send a test event to a webhook': 404,
    'Send a waiting mail now': 404,
    'Send a test mail to myself': 409, // the account has no confirmed address
    'Start a password reset for a person': 404,
    'List the sessions of an account': 404, // the example is no account
    'End all sessions of an account': 404,
    'End a session of an account': 404,
    'List the second factors of an account': 404,
    'List the identities of an account': 404,
    'Unlink an identity from an account': 404,
    'Unlock an account': 404,
    'List the consents of an account': 404,
    'Withdraw a consent of an account': 404,
    'Withdraw a consent': 404, // the account has agreed to nothing
    'List the consents to a client': 404, // the example is no client
    'Confirm an e-mail address': 422, // the example is no valid code
    'Choose a new password': 422,
    // The example is no client and no ID token, so the person reads a page. (Both forms lead to it.)
    'Sign in with a browser': 400,
    'Sign in with a browser, by a form': 400,
    'Push an authorization request': 401, // the client of the examples does not exist
    'Sign in on a device without a browser': 401,
    'Sign out of the browser': 400,
    'Sign out of the browser, by a form': 400,
  });
  accounts += 2; // Register an account, Invite a person

  report('openapi-to-postmanv2', require('openapi-to-postmanv2/package.json').version,
    `converted ${requests.length} operations; newman sent all of them as they were`);
});

test('the ready collection passes repeatedly and leaves nothing behind', async () => {
  const [username, fullName] = ['postman', 'O\'Neil "{{baseUrl}}" é {'];
  await api('POST', '/users', { body: { username, password: secret, full_name: fullName } });
  promote(username);
  accounts += 1;
  const token = await login(username, secret);
  const sessions = async () => (await api('GET', '/users/me/sessions', { token })).items.map(({ id }) => id);
  const openBefore = await sessions();

  const url = `${sesame.origin}/docs/postman.json`;
  const downloaded = join(folder, 'sesame.json');
  writeFileSync(downloaded, Buffer.from(await (await fetch(url)).arrayBuffer()));
  const all = [...as(username, secret), ...through()];
  const results = [
    await newman(url, ...all),
    await newman(url, ...all),
    await newman(downloaded, ...all),
    ...await Promise.all([newman(url, ...all), newman(downloaded, ...all)]),
  ];
  const names = (await operations()).map((operation) => operation.summary).sort();
  for (const { code, output, run } of results) {
    assert.equal(code, 0, output);
    assert.deepEqual(tried(run), names);
    assert.deepEqual(run.executions.filter(({ response }) => String(response?.code).startsWith('3')).map(({ item }) => item.name).sort(),
      ['Sign in with a browser, by a form', 'Sign out of the browser, by a form'], 'a redirect was followed');
    const tests = run.executions.flatMap(({ assertions }) => assertions ?? []);
    assert.ok(tests.every((one) => !one.skipped && !one.error), output);
    const general = new Set(tests.map((one) => one.assertion).filter((name) => name.endsWith(' answers as the contract says')));
    assert.equal(general.size, names.length, output);
    assert.ok(!output.includes('deprecated'), output);
  }

  assert.deepEqual(await sessions(), openBefore);
  assert.equal((await api('GET', '/users/me', { token })).full_name, fullName);
  const { stats } = results[0].run;
  report('newman', newmanVersion, `ran the ready collection ${results.length} times on one server: ` +
    `${names.length} operations, ${stats.requests.total} requests and ${stats.assertions.total} assertions each time`);
});

test('the SDK of Postman reads all of the collection', async () => {
  const { Collection } = require('postman-collection');
  const served = await api('GET', '/docs/postman.json');
  const read = new Collection(served).toJSON();
  assert.equal(read.info.schema, served.info.schema);
  // The SDK adds ids and defaults. Nothing of ours may be lost or changed.
  const kept = (ours, theirs, path) => {
    if (ours === null || typeof ours !== 'object') {
      assert.deepEqual(theirs, ours, path);
      return;
    }
    for (const key of Object.keys(ours)) {
      if (key === 'raw' && path.endsWith('.url')) continue; // derived from the others
      const there = key === 'description' && theirs[key]?.content !== undefined ? theirs[key].content : theirs[key];
      kept(ours[key], there, `${path}.${key}`);
    }
  };
  kept(served.item, read.item, 'item');
  kept(served.auth, read.auth, 'auth');
  kept(served.event, read.event, 'event');
});

test('it refreshes a token that is about to expire, and logs in where it cannot', async () => {
  const collection = await api('GET', '/docs/postman.json');
  const session = await api('POST', '/token', { form: { grant_type: 'password', username: 'johndoe', password } });
  const start = (values) => {
    const { password: word, ...kept } = values;
    const variable = [...collection.variable, ...Object.entries(kept).map(([key, value]) => ({ key, value }))];
    const file = join(folder, 'kept.json');
    writeFileSync(file, JSON.stringify({ ...collection, variable }));
    return newman(file, '--folder', 'Who am I', ...as('johndoe', word));
  };
  const kept = { accessToken: 'expired', refreshToken: session.refresh_token, renewAt: '1', loggedInAs: 'johndoe' };
  // The password is wrong, so the run fails if it is used.
  const refreshed = await start({ ...kept, password: 'wrong' });
  assert.equal(refreshed.code, 0, refreshed.output);
  assert.match(refreshed.output, /POST \S+\/token \[200 OK/);

  const again = await start({ ...kept, refreshToken: 'gone', password });
  assert.equal(again.code, 0, again.output);
  assert.match(again.output, /\/token \[400 Bad Request[^]*\/token \[200 OK/);

  const other = await start({ ...kept, renewAt: String(Date.now() + 1e6), loggedInAs: 'somebody', password });
  assert.equal(other.code, 0, other.output);
});

test('Postman would keep the tokens, and not the password', async () => {
  const kept = await new Promise((resolve, reject) => {
    let variables;
    require('newman').run({
      collection: `${sesame.origin}/docs/postman.json`, folder: 'Who am I', reporters: [],
      envVar: [{ key: 'username', value: 'johndoe' }, { key: 'password', value: password }],
    }, (error, { run }) => (error ?? run.failures[0]?.error ? reject(error ?? run.failures[0].error) : resolve(variables)))
      .on('script', (error, { execution }) => { variables = execution.collectionVariables.values; });
  });
  const values = Object.fromEntries(kept.map(({ key, value }) => [key, value]));
  assert.equal(values.loggedInAs, 'johndoe');
  assert.match(values.accessToken, /^eyJ/);
  assert.ok(values.refreshToken);
  assert.ok(!JSON.stringify(kept).includes(password), 'the password is kept');
});

test('wrong or missing credentials are one clear failure', async () => {
  const url = `${sesame.origin}/docs/postman.json`;
  for (const [args, message, sent] of [
    [as('johndoe', 'wrong'), /invalid_grant: The username or the password is wrong/, 1],
    [[...as('johndoe', 'wrong'), '--folder', 'Who am I', '--folder', 'Sessions'], /Logging in as johndoe: 400 invalid_grant/, 1],
    [[], /Set the variables username and password/, 0],
  ]) {
    const { code, output, run } = await newman(url, ...args);
    assert.equal(code, 1, output);
    assert.equal(run.failures.length, 1, output);
    assert.match(run.failures[0].error.message, message);
    assert.equal(run.stats.requests.total, sent, output);
  }
});

test('requests beyond the scopes of the token are refused, as expected', async () => {
  // A guest has a token of its own with every scope.
  const guests = requestsOf(await api('GET', '/docs/postman.json')).filter(({ request }) => JSON.stringify(request.auth ?? '').includes('guestToken'));
  const callers = (await operations()).filter(({ summary }) => !guests.some(({ name }) => name === summary));
  for (const granted of ['me:read', 'me:write']) {
    const refused = callers.filter(({ security }) => security?.length && security.every((way) => way.OAuth2Password?.some((one) => one !== granted)));
    assert.ok(refused.length > 4, 'the contract refuses nearly nothing');
    const { code, output } = await newman(`${sesame.origin}/docs/postman.json`, ...as('johndoe', password), '--env-var', `scope=${granted}`);
    assert.equal(code, 0, output);
    const found = [...output.matchAll(/(\w+) http:\/\/[^/]+(\S+) \[403 /g)].map(([, method, path]) =>
      `${method} ${path.replace(/(guest-)?[0-9a-f-]{36}/g, '…').replace(/\?.*/, '')}`);
    assert.deepEqual([...new Set(found)].sort(), refused.map(({ call }) => call).sort());
  }
});

test('with registration closed, requests that need a guest are skipped and the rest passes', async () => {
  const closed = await startSesame({ SESAME_REGISTRATION: 'closed' });
  try {
    const { code, output, run } = await newman(`${closed.origin}/docs/postman.json`, ...as('johndoe', password));
    assert.equal(code, 0, output);
    const served = requestsOf(await api('GET', '/docs/postman.json'));
    const guests = served.filter(({ request }) => /\{\{guest(Token|RefreshToken|Id)\}\}/.test(JSON.stringify(request))).map(({ name }) => name);
    assert.ok(guests.length > 5, 'the collection has no guests');
    const skipped = run.executions.filter(({ assertions }) => assertions?.some((one) => one.skipped)).map(({ item }) => item.name);
    assert.deepEqual([...new Set(skipped)].sort(), guests.sort());
    // A request that is skipped before it is sent has no execution.
    assert.match(output, /Look a token up\s+-\s+\[skipped\] Set the variables clientId/);
  } finally {
    assert.equal(await closed.stop(), 0);
  }
});
