// Unmodified OpenID Connect clients: each sends a person to the pages of Sesame, refreshes, reads userinfo and signs out.
// An application is a program with a website; it gets its client and its own address in its environment.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { missing, npmInstall, report, run, venv } from './consumer.mjs';
import { assertShown, empty, stopSesame } from './guide.mjs';
import { account, newPerson } from './person.mjs';
import { freePort, startSesame, until } from './sesame.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const guide = 'sign-in.md';
let sesame;
before(async () => {
  sesame = await startSesame();
  sesame.createUser(account);
});
after(async () => {
  if (sesame) await stopSesame(sesame, '/userinfo');
});

// client makes a client at an application's address and returns the environment of its program.
function client(name, app, options = [], callback = '/callback') {
  const made = JSON.parse(sesame.command('client', 'create', name, '--json', '--redirect-uri', app + callback, '--post-logout-redirect-uri', `${app}/bye`, ...options));
  return { ...process.env, ISSUER: sesame.origin, APP: app, CLIENT_ID: made.client_id, CLIENT_SECRET: made.client_secret ?? '' };
}

// start runs a program. `ended` resolves with its exit code, and `printed()` returns what it has printed.
function start(command, args, env) {
  const child = spawn(command, args, { cwd: here, env });
  const ended = new Promise((resolve, reject) => { child.once('error', reject).once('close', resolve); });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk) => { output += chunk; });
  return { child, ended, printed: () => output };
}

const exchanges = () => sesame.log().split('"/token"').length;

// visit has a person sign in to an application, refresh, and sign out.
async function visit(command, args, env, { refresh = '/refresh', signIn = '/sign-in', signOut = '/sign-out' } = {}) {
  const { APP: app } = env;
  const { child, ended, printed } = start(command, args, env);
  try {
    await until('the application answers', () => fetch(app, { redirect: 'manual' }).then(() => true, () => {
      assert.equal(child.exitCode, null);
      return false;
    }), 60);
    const person = newPerson();
    const hello = `Hello ${account.username}`;
    assert.equal((await person.signIn(app)).text, hello);
    const before = exchanges();
    await until('the application has refreshed', async () => { // some refresh once their session is a second old
      assert.equal((await person.open(app + refresh)).text, hello);
      return exchanges() > before;
    });
    assert.equal((await person.arrive(app + signIn)).text, hello, 'signed in already');
    assert.equal((await person.arrive(app + signOut)).text, 'Bye');
    assert.equal((await person.signIn(app)).text, hello, 'signed in again');
  } catch (error) {
    throw new Error(`${error.message}\n${printed()}`, { cause: error });
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

// converse has a person open the addresses that a program prints, and tells it where the browser ended.
async function converse(command, args, env, end) {
  const { child, ended, printed } = start(command, args, env);
  const person = newPerson();
  let open = person.signIn;
  for await (const address of createInterface({ input: child.stdout })) {
    child.stdin.write(`${(await open(address, { end })).url}\n`);
    open = person.open;
  }
  assert.equal(await ended, 0, printed());
}

// build builds a Go program of a folder beside this file, with cached packages. `go run` would not pass a signal on.
function build(folder, target = '.') {
  const program = join(empty(folder), 'program');
  run('go', ['build', '-o', program, target], { cwd: join(here, folder) });
  return program;
}

const goVersion = (path) => run('go', ['list', '-m', '-f', '{{.Version}}', path], { cwd: join(here, 'signin-go') }).trim().slice(1);
const npmVersion = (name) => JSON.parse(readFileSync(new URL(`oauth-node/node_modules/${name}/package.json`, import.meta.url))).version;
const address = async () => `http://127.0.0.1:${await freePort()}`;

test('openid-client signs people in', async () => {
  npmInstall('oauth-node');
  assertShown('oauth-node/sign-in.mjs', 'openid-client', guide);
  await visit('node', ['oauth-node/sign-in.mjs'], client('a shop', await address()));
  report('openid-client, sign-in', npmVersion('openid-client'), 'a web application: code with PKCE, nonce, userinfo, refresh, a second sign-in without a page, sign-out');
});

test('oauth4webapi signs people in', async () => {
  npmInstall('oauth-node');
  const app = 'http://127.0.0.1:9';
  await converse('node', ['oauth-node/sign-in-oauth4webapi.mjs'], client('a partner', app, ['--public', '--third-party']), app);
  report('oauth4webapi, sign-in', npmVersion('oauth4webapi'), 'a third-party public client: consent, max_age, refresh, userinfo, prompt=none, sign-out, a code used twice');
});

test('Auth.js signs people in', async () => {
  npmInstall('oauth-node');
  await visit('node', ['oauth-node/sign-in-auth-js.mjs'], client('a forum', await address(), [], '/auth/callback/sesame'));
  report('Auth.js (@auth/core), sign-in', npmVersion('@auth/core'), 'an application with its pages: code with PKCE, state and nonce, userinfo, refresh, a second sign-in without a page, sign-out');
});

test('AppAuth-JS signs people in', async () => {
  npmInstall('oauth-node');
  const folder = empty('appauth');
  const opened = join(folder, 'address');
  writeFileSync(join(folder, 'xdg-open'), `#!/bin/sh\necho "$1" >'${opened}.new' && mv '${opened}.new' '${opened}'\n`, { mode: 0o755 });
  const env = { ...client('a desktop program', 'http://127.0.0.1:9', ['--public']), PORT: await freePort(), PATH: `${folder}:${process.env.PATH}` };
  const { child, ended, printed } = start('node', ['oauth-node/sign-in-appauth.mjs'], env);
  try {
    await until('the program opens a browser', () => existsSync(opened));
    const person = newPerson();
    assert.match((await person.signIn(readFileSync(opened, 'utf8').trim())).text, /Close your browser/);
    assert.equal(await ended, 0, printed());
    assert.match((await person.open(printed().trim().split('\n').at(-1))).text, /<h1>You are signed out/);
  } catch (error) {
    throw new Error(`${error.message}\n${printed()}`, { cause: error });
  } finally {
    child.kill('SIGTERM');
  }
  report('AppAuth-JS, sign-in', npmVersion('@openid/appauth'), 'a desktop program at a loopback port of its own: code with PKCE, refresh, userinfo, sign-out');
});

test('go-oidc signs people in', async () => {
  assertShown('signin-go/signin.go', 'go-oidc', guide);
  await visit(build('signin-go'), [], client('a catalogue', await address()));
  report('go-oidc and x/oauth2, sign-in', goVersion('github.com/coreos/go-oidc/v3'), `with oauth2 ${goVersion('golang.org/x/oauth2')}: a web application: code with PKCE, nonce, userinfo, refresh by itself, a second sign-in without a page, sign-out`);
});

test('Authlib signs people in', async () => {
  await visit(`${venv('oauth-python')}/python`, ['-B', 'oauth-python/sign_in.py'], client('a library', await address()));
  report('Authlib, sign-in', /^Authlib==(.*)$/m.exec(readFileSync(join(here, 'oauth-python/requirements.txt'), 'utf8'))[1],
    'a web application: code with PKCE, nonce and at_hash, userinfo, refresh by itself, a second sign-in without a page, sign-out');
});

test('Spring Security signs people in', async () => {
  const folder = join(here, 'signin-java');
  const target = empty('signin-java');
  run('mvn', ['--batch-mode', '--quiet', 'compile', 'dependency:build-classpath', `-Dmdep.outputFile=${target}/classpath`], { cwd: folder });
  const classpath = readFileSync(join(target, 'classpath'), 'utf8');
  const app = await address();
  const env = client('an intranet', app, [], '/login/oauth2/code/sesame');
  const setting = (name, value) => `--spring.security.oauth2.client.${name}=${value}`;
  await visit('java', ['-XX:TieredStopAtLevel=1', '-cp', `${target}/classes:${classpath}`, 'example.SignIn', `--server.port=${new URL(app).port}`,
    setting('provider.sesame.issuer-uri', env.ISSUER), setting('registration.sesame.client-id', env.CLIENT_ID),
    setting('registration.sesame.client-secret', env.CLIENT_SECRET), setting('registration.sesame.scope', 'openid,profile,email')], env, { signOut: '/logout' });
  report('Spring Security, sign-in', /spring-security-oauth2-client-([\d.]+)\.jar/.exec(classpath)[1],
    'oauth2Login: code with PKCE, nonce, userinfo, refresh, a second sign-in without a page, sign-out');
});

test('mod_auth_openidc signs people in', { skip: missing('apache2') }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sesame-apache-')); // its processes run as another user
  mkdirSync(join(folder, 'site'));
  writeFileSync(join(folder, 'site/index.html'), 'Hello <!--#echo var="OIDC_CLAIM_preferred_username" -->');
  writeFileSync(join(folder, 'site/bye'), 'Bye');
  run('chmod', ['-R', 'a+rX', folder]);
  const app = await address();
  const env = { ...client('a wiki', app), FOLDER: folder, LISTEN: new URL(app).host };
  const visited = visit('apache2', ['-D', 'FOREGROUND', '-f', join(here, 'signin-apache/httpd.conf')], env, {
    refresh: '/',
    signIn: `/callback?${new URLSearchParams({ iss: sesame.origin, target_link_uri: `${app}/` })}`,
    signOut: `/callback?${new URLSearchParams({ logout: `${app}/bye` })}`,
  });
  await visited.catch((error) => {
    throw new Error(`${error.message}\n${readFileSync(join(folder, 'error.log'), 'utf8')}`);
  });
  rmSync(folder, { recursive: true });
  report('mod_auth_openidc, sign-in', run('dpkg-query', ['--show', '--showformat=${Version}', 'libapache2-mod-auth-openidc']).split('-')[0],
    'Apache: code with PKCE, nonce, userinfo, refresh, a second sign-in without a page, sign-out');
});

test('oauth2-proxy signs people in', async () => {
  const [version, folder] = ['7.15.6', empty('oauth2-proxy')];
  run('go', ['install', `github.com/oauth2-proxy/oauth2-proxy/v7@v${version}`], { env: { ...process.env, GOBIN: folder } });
  const upstream = createServer((request, response) => {
    response.end(request.url === '/bye' ? 'Bye' : `Hello ${request.headers['x-forwarded-preferred-username']}`);
  });
  await new Promise((resolve) => { upstream.listen(0, '127.0.0.1', resolve); });
  const app = await address();
  const env = client('a dashboard', app, [], '/oauth2/callback');
  const settings = {
    'provider': 'oidc', 'oidc-issuer-url': env.ISSUER, 'client-id': env.CLIENT_ID, 'client-secret': env.CLIENT_SECRET,
    'redirect-url': `${app}/oauth2/callback`, 'scope': 'openid profile email', 'code-challenge-method': 'S256',
    'insecure-oidc-skip-nonce': false, 'skip-provider-button': true, 'email-domain': '*', 'cookie-secure': false,
    'cookie-secret': '0123456789abcdef0123456789abcdef', 'cookie-refresh': '1ms',
    'whitelist-domain': new URL(sesame.origin).host, 'skip-auth-route': '^/bye$',
    'http-address': new URL(app).host, 'upstream': `http://127.0.0.1:${upstream.address().port}`,
  };
  const leave = `${sesame.origin}/sign-out?${new URLSearchParams({ client_id: env.CLIENT_ID, post_logout_redirect_uri: `${app}/bye` })}`;
  try {
    await visit(join(folder, 'oauth2-proxy'), Object.entries(settings).map(([name, value]) => `--${name}=${value}`), env, {
      refresh: '/', signIn: '/oauth2/start?rd=/', signOut: `/oauth2/sign_out?${new URLSearchParams({ rd: leave })}`,
    });
  } finally {
    upstream.close();
  }
  report('oauth2-proxy, sign-in', version, 'an application off the shelf: code with PKCE, nonce, userinfo, refresh, a second sign-in without a page, sign-out after the question');
});
