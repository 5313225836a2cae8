// Programs that verify access tokens by the published keys, as docs/guides/sdks.md shows them. Each gets a token of the
// server, and tokens that have one fault each.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { report, run } from './consumer.mjs';
import { assertShown, empty, place } from './guide.mjs';
import { startIssuer } from './issuer.mjs';
import { freePort, until } from './sesame.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
let issuer, accessToken, userID, variants, faults;

before(async () => {
  issuer = await startIssuer();
  accessToken = await issuer.token();
  userID = JSON.parse(Buffer.from(accessToken.split('.')[1], 'base64url')).sub;
  variants = issuer.variants(accessToken);
  faults = `refused ${variants.size - 1} others, each with one fault`;
});

after(async () => {
  if (issuer) assert.equal(await issuer.stop(), 0);
});

// answer resolves with the output of a program. It does not block this process, which publishes the keys.
async function answer(input, command, args, options) {
  const child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'], timeout: 5 * 60_000 });
  const ended = new Promise((resolve, reject) => { child.once('error', reject).once('close', resolve); });
  child.stdin.on('error', () => {}).end(input); // a program that ended does not read; its exit code is checked
  const [code, printed, errors] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
  assert.equal(code, 0, `${command} ${args.join(' ')}: ${printed}\n${errors}`);
  return printed;
}

// verifies gives a program every token, one per line, and checks its answers.
async function verifies(command, args, options) {
  const tokens = [accessToken, ...variants.values()];
  const answers = (await answer(`${tokens.join('\n')}\n`, command, args, options)).trim().split('\n');
  assert.equal(answers.length, tokens.length, answers.join('\n'));
  const accepted = `accepted: ${userID} me:read me:write`;
  assert.equal(answers[0], accepted);
  for (const [i, fault] of [...variants.keys()].entries()) {
    if (fault === 'nothing') assert.equal(answers[i + 1], accepted);
    else assert.match(answers[i + 1], /^refused: ./, fault);
  }
}

const goModules = join(here, 'verify-go');
const goVersion = (path) => run('go', ['list', '-m', '-f', '{{.Version}}', path], { cwd: goModules }).trim().slice(1);

for (const [name, path] of [['go-oidc', 'github.com/coreos/go-oidc/v3'], ['jwx', 'github.com/lestrrat-go/jwx/v3']]) {
  test(`${name} verifies an access token`, async () => {
    assertShown(`verify-go/${name}/main.go`, name);
    await verifies('go', ['run', `./${name}`, issuer.address], { cwd: goModules });
    report(`${name} (Go)`, goVersion(path), `verified an access token by the JWKS and ${faults}`);
  });
}

// build compiles the Java programs with a version of Spring Boot, and returns the class path.
function build(version) {
  const folder = empty('verify-java');
  cpSync(join(here, 'verify-java/pom.xml'), join(folder, 'pom.xml'));
  cpSync(join(here, 'verify-java/src'), join(folder, 'src'), { recursive: true });
  for (const file of ['Nimbus', 'SecurityConfig']) {
    place(`verify-java/src/main/java/example/${file}.java`, join(folder, 'src/main/java/example'), issuer.address);
  }
  run('mvn', ['--batch-mode', '--quiet', `-Dspring-boot.version=${version}`, 'compile',
    'dependency:build-classpath', '-Dmdep.outputFile=classpath'], { cwd: folder });
  const dependencies = readFileSync(join(folder, 'classpath'), 'utf8');
  const jar = (name) => new RegExp(`/${name}-([\\d.]+)\\.jar`).exec(dependencies)[1];
  return { classpath: `${join(folder, 'target/classes')}:${dependencies}`, jar };
}

const spring = { 7: '4.0.7', 6: '3.5.7' }; // Spring Security: Spring Boot

// startNotes resolves when the service with Spring Security answers.
async function startNotes(classpath) {
  const port = await freePort();
  const child = spawn('java', ['-XX:TieredStopAtLevel=1', '-cp', classpath, 'example.Notes', `--server.port=${port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk) => { output += chunk; });
  const ended = new Promise((resolve) => { child.once('close', resolve); });
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  const notes = (token) => fetch(`http://127.0.0.1:${port}/notes`, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  try {
    await until('the service answers', () => {
      assert.equal(child.exitCode, null, output);
      return notes().then(() => true, () => false);
    }, 60);
  } catch (error) {
    await stop();
    throw new Error(`${error.message}\n${output}`);
  }
  return { notes, stop };
}

for (const [major, boot] of Object.entries(spring).reverse()) {
  test(`Spring Security ${major} verifies an access token`, async () => {
    assertShown('verify-java/src/main/java/example/SecurityConfig.java');
    const { classpath, jar } = build(boot);
    const security = jar('spring-security-core');
    assert.equal(security.split('.')[0], major);
    const { notes, stop } = await startNotes(classpath);
    try {
      for (const [fault, token] of [['nothing', accessToken], ...variants]) {
        const answer = await notes(token);
        assert.equal(answer.status, fault === 'nothing' ? 200 : 401, fault);
        if (answer.ok) assert.equal(await answer.text(), `${userID} me:read me:write`);
        else assert.match(answer.headers.get('www-authenticate'), /^Bearer error="invalid_token"/, fault);
      }
      assert.equal((await notes()).status, 401);
      assert.equal((await notes(await issuer.token('me:write'))).status, 403);
    } finally {
      await stop();
    }
    report(`Spring Security ${major}`, security, `in Spring Boot ${boot}: a scope is an authority; verified an access token, ${faults}`);

    assertShown('verify-java/src/main/java/example/Nimbus.java');
    await verifies('java', ['-XX:TieredStopAtLevel=1', '-cp', classpath, 'example.Nimbus']);
    report('nimbus-jose-jwt (Java)', jar('nimbus-jose-jwt'), `verified an access token by the JWKS and ${faults}`);
  });
}
