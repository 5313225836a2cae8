// Unmodified OAuth and JOSE libraries: they discover the endpoints, log in, refresh, are refused, and verify tokens. Each
// program contains its own checks and fails if one does not hold.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { npmInstall, report, run, venv } from './consumer.mjs';
import { assertShown, empty, place, stopSesame } from './guide.mjs';
import { startSesame } from './sesame.mjs';

let sesame;
const folders = {};
before(async () => {
  sesame = await startSesame();
  for (const consumer of ['oauth-node', 'oauth-python']) folders[consumer] = empty(consumer);
  npmInstall('oauth-node');
});

after(async () => {
  if (sesame) await stopSesame(sesame);
});

// use runs a program of a consumer and returns its output.
function use(command, file, env = {}) {
  assertShown(file);
  const program = place(file, folders[file.split('/')[0]], sesame.origin);
  return run(command, [program], { env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env } });
}

const npmVersion = (name) => JSON.parse(readFileSync(
  new URL(`oauth-node/node_modules/${name}/package.json`, import.meta.url))).version;
const pipVersion = (name) => new RegExp(`^${name}==(.*)$`, 'm').exec(readFileSync(
  new URL('oauth-python/requirements.txt', import.meta.url), 'utf8'))[1];
const python = () => `${venv('oauth-python')}/python`;

test('oauth4webapi logs in', () => {
  assert.equal(use('node', 'oauth-node/oauth4webapi.mjs'), 'johndoe\n');
  report('oauth4webapi', npmVersion('oauth4webapi'), 'discovery, login, refresh, refusals, JWT access token, revocation');
});

test('openid-client logs in', () => {
  assert.equal(use('node', 'oauth-node/openid-client.mjs'), 'johndoe\n');
  report('openid-client', npmVersion('openid-client'), 'discovery, login, refresh, refusal, revocation');
});

test('simple-oauth2 logs in', () => {
  assert.equal(use('node', 'oauth-node/simple-oauth2.mjs'), 'revoked\n');
  report('simple-oauth2', npmVersion('simple-oauth2'), 'login, refresh with the scopes of the login, refusals, revocation');
});

test('jose verifies an access token', () => {
  assert.equal(use('node', 'oauth-node/jose.mjs'), 'me:read me:write refused: another user, no signature, another signature\n');
  report('jose', npmVersion('jose'), 'verified an access token by the JWKS and refused 4 others');
});

test('Authlib logs in', () => {
  assert.equal(use(python(), 'oauth-python/authlib_client.py'), 'johndoe\n');
  report('Authlib', pipVersion('Authlib'), 'login with the client in the form and in the header, refresh by itself and with wider scopes, refusals, revocation');
});

test('requests-oauthlib logs in', () => {
  const env = { OAUTHLIB_INSECURE_TRANSPORT: '1' }; // allows http://
  assert.equal(use(python(), 'oauth-python/requests_oauthlib_client.py', env), 'johndoe\n');
  report('requests-oauthlib', pipVersion('requests-oauthlib'), 'login with and without a client, refresh by itself and with wider scopes, refusal');
});

test('PyJWT verifies an access token', () => {
  assert.equal(use(python(), 'oauth-python/pyjwt_verify.py'),
    'me:read me:write refused: another user, no signature, another type, another signature\n');
  report('PyJWT', pipVersion('PyJWT'), 'verified an access token by the JWKS and refused 5 others');
});
