// An MCP server written with the official Go SDK, behind the guard, and the official TypeScript SDK's client, unedited: it finds Sesame
// by the metadata of the server, registers, signs a person in, and calls tools with a token for that server alone. docs/guides/mcp.md
// shows the programs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { npmInstall, report, run } from './consumer.mjs';
import { assertShown, empty, stopSesame } from './guide.mjs';
import { account, newPerson } from './person.mjs';
import { freePort, startSesame, until } from './sesame.mjs';

const here = fileURLToPath(new URL('mcp', import.meta.url));
const npmVersion = () => JSON.parse(readFileSync(join(here, 'node_modules/@modelcontextprotocol/sdk/package.json'))).version;
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

let folder, sesame, tools, audience, host, guarded;
const others = []; // processes

before(async () => {
  npmInstall('mcp');
  folder = mkdtempSync(join(tmpdir(), 'sesame-mcp-'));
  const program = join(empty('mcp'), 'server');
  run('go', ['build', '-o', program, '.'], { cwd: join(here, 'server') });
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert]);
  host = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
  await new Promise((resolve) => { host.listen(0, '127.0.0.1', resolve); });
  const listen = `127.0.0.1:${await freePort()}`;
  audience = `http://${listen}/mcp`;
  guarded = `http://127.0.0.1:${await freePort()}/mcp`;
  sesame = await startSesame({
    SESAME_AUDIENCES: `${audience},${guarded}`, SESAME_DYNAMIC_REGISTRATION: 'open', SESAME_UNVERIFIED_CLIENT_SCOPES: 'me:read,me:write',
    SESAME_CLIENT_DOCUMENTS: `localhost:${host.address().port}`, SESAME_PRIVATE_CLIENT_DOCUMENTS: 'on', SSL_CERT_FILE: cert,
  });
  sesame.createUser(account);
  tools = spawn(program, [sesame.origin, audience], { env: { ...process.env, NOTES_LISTEN: listen }, stdio: ['ignore', 'inherit', 'inherit'] });
  await until('the MCP server answers', () => fetch(audience, { method: 'POST' }).then((answer) => answer.status === 401, () => false));
});

after(async () => {
  [tools, ...others].forEach((child) => child?.kill('SIGTERM'));
  host?.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
  if (sesame) await stopSesame(sesame, '/token');
});

// use runs the client, and has a person open the address that it prints.
async function use(env, note, texts, server = audience) {
  const child = spawn('node', [join(here, 'client.mjs'), server, note], { env: { ...process.env, SHOW: '1', ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => { child.once('close', resolve); });
  const [printed, person] = [[], newPerson()];
  let asked;
  for await (const line of createInterface({ input: child.stdout })) {
    printed.push(line);
    if (!line.startsWith('Open ')) continue;
    asked = new URL(line.slice('Open '.length));
    const page = await person.signIn(asked.href, { consents: (consent) => texts.forEach((text) => assert.match(consent, text)) });
    assert.equal(page.text, 'You can close this page.');
  }
  assert.equal(await ended, 0, printed.join('\n'));
  assert.equal(printed[1], 'add_note: kept');
  assert.ok(printed[2].startsWith('list_notes: ') && printed[2].endsWith(note), printed[2]);
  return { asked, kept: JSON.parse(printed[3].replace('kept: ', '')) };
}

test('a client of the MCP SDK registers itself and calls a tool', async () => {
  const { asked, kept } = await use({}, 'buy a horse', [/Allow Notes for agents\?/, /Nobody here has verified this application\. It has registered itself/, /a program on this computer/]);
  assert.equal(asked.searchParams.get('resource'), audience);
  const { aud, scope, client_id: id } = claims(kept.tokens.access_token);
  assert.deepEqual([aud, scope.split(' ').sort(), id], [[audience], ['me:read', 'me:write'], kept.client.client_id]);
  assert.match(sesame.command('client', 'list'), /dynamic/);
  const elsewhere = await fetch(`${sesame.origin}/users/me`, { headers: { Authorization: `Bearer ${kept.tokens.access_token}` } });
  assert.equal(elsewhere.status, 401, 'Sesame accepts a token for the MCP server');
  const own = await fetch(`${sesame.origin}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'password', username: account.username, password: account.password }) });
  const refused = await fetch(audience, { method: 'POST', headers: { Authorization: `Bearer ${(await own.json()).access_token}` } });
  assert.equal(refused.status, 401, 'the MCP server accepts a token for Sesame');
  report('MCP SDK, registration', npmVersion(), 'found Sesame by RFC 9728 and 8414, registered (RFC 7591), signed a person in, and called tools of a server with the Go SDK behind the guard');
});

test('a client of the MCP SDK has a metadata document and calls a tool', async () => {
  const origin = `https://localhost:${host.address().port}`;
  const id = `${origin}/notes/client.json`;
  let reads = 0;
  host.on('request', (request, response) => {
    reads += 1;
    assert.equal(request.url, '/notes/client.json');
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ client_id: id, client_name: 'Notes for agents', redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_method: 'none' }));
  });
  const { asked, kept } = await use({ CLIENT_METADATA_URL: id }, 'feed the horse', [
    /Allow Notes for agents\?/, new RegExp(`The website (<bdi>)?localhost:${host.address().port}(</bdi>)? describes it`), /a program on this computer/,
  ]);
  assert.equal(asked.searchParams.get('client_id'), id);
  const { aud, client_id: named } = claims(kept.tokens.access_token);
  assert.deepEqual([aud, named, reads], [[audience], id, 1]);
  assert.match(sesame.command('client', 'list'), /document/);
  report('MCP SDK, metadata document', npmVersion(), 'the client_id is the URL of a document, which Sesame has read once');
});

test('an MCP server of the TypeScript SDK stands behind the guard of the command line', async () => {
  const upstream = await freePort();
  others.push(
    spawn('node', [join(here, 'tools.mjs'), upstream], { stdio: ['ignore', 'inherit', 'inherit'] }),
    spawn(sesame.binary, ['guard', '--mcp', '--scope', 'me:read', '--resource', guarded, '--upstream', `http://127.0.0.1:${upstream}`, '--issuer', sesame.origin, '--listen', new URL(guarded).host],
      { env: { PATH: process.env.PATH }, stdio: 'ignore' }),
  );
  await until('the guard answers', () => fetch(guarded, { method: 'POST' }).then((answer) => answer.status === 401, () => false));
  const { kept } = await use({}, 'sell the horse', [/The access is for <bdi>http:\/\/127\.0\.0\.1:\d+\/mcp/], guarded);
  const { aud, scope } = claims(kept.tokens.access_token);
  assert.deepEqual([aud, scope], [[guarded], 'me:read']);
  report('MCP SDK, guard command', npmVersion(), 'a server and a client of the SDK, with `sesame guard --mcp` between them');
});

test('docs/guides/mcp.md shows the programs', () => {
  for (const block of ['server', 'tool']) assertShown('mcp/server/main.go', block, 'mcp.md');
  assertShown('mcp/tools.mjs', 'proxied', 'mcp.md');
  for (const block of ['client', 'connection']) assertShown('mcp/client.mjs', block, 'mcp.md');
  assertShown('mcp/server/openapi.yaml', 'document', 'mcp.md');
});
