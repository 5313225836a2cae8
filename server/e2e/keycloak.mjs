// Keycloak (https://www.keycloak.org), a real provider, for a test: a realm with one client and one person.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, openSync, closeSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './consumer.mjs';
import { freePort, until } from './sesame.mjs';

export const version = '26.4.0';

export const person = { username: 'kim', password: 'a wooden horse', email: 'kim@example.com' };

const artifact = `org.keycloak:keycloak-quarkus-dist:${version}:zip`;
const zip = join(homedir(), `.m2/repository/org/keycloak/keycloak-quarkus-dist/${version}/keycloak-quarkus-dist-${version}.zip`);

// startKeycloak resolves when Keycloak answers at 127.0.0.1 for a realm with a client. `stop()` ends it and removes its folder.
// It ends by itself after eight minutes.
export async function startKeycloak({ clientId, secret, redirect }) {
  if (!existsSync(zip)) run('mvn', ['--batch-mode', '--quiet', 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get', `-Dartifact=${artifact}`, '-Dtransitive=false']);
  const folder = mkdtempSync(join(tmpdir(), 'keycloak-'));
  run('unzip', ['-q', zip, '-d', folder]);
  const home = join(folder, `keycloak-${version}`);
  mkdirSync(join(home, 'data/import'), { recursive: true });
  writeFileSync(join(home, 'data/import/corp-realm.json'), JSON.stringify({
    realm: 'corp', enabled: true, sslRequired: 'none',
    clients: [{ clientId, secret, enabled: true, publicClient: false, standardFlowEnabled: true, redirectUris: [redirect], attributes: { 'pkce.code.challenge.method': 'S256' } }],
    users: [{
      username: person.username, enabled: true, email: person.email, emailVerified: true, firstName: 'Kim', lastName: 'Example',
      credentials: [{ type: 'password', value: person.password, temporary: false }],
    }],
  }));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const log = join(folder, 'log');
  const file = openSync(log, 'w');
  const server = spawn('timeout', ['480', join(home, 'bin/kc.sh'), 'start-dev', '--http-host=127.0.0.1', `--http-port=${port}`, `--hostname=${origin}`,
    '--import-realm', '--cache=local', '--http-management-port=' + await freePort()], {
    stdio: ['ignore', file, file], env: { PATH: process.env.PATH, HOME: folder, JAVA_OPTS_APPEND: '-Xmx384m' },
  });
  closeSync(file);
  const ended = new Promise((resolve) => { server.once('exit', resolve); });
  const stop = async () => {
    server.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const issuer = `${origin}/realms/corp`;
  try {
    await until('Keycloak answers', () => {
      if (server.exitCode !== null) throw new Error('Keycloak has ended');
      return fetch(`${issuer}/.well-known/openid-configuration`).then((answer) => answer.ok, () => false);
    }, 240);
  } catch (error) {
    const said = readFileSync(log, 'utf8');
    await stop();
    throw new Error(`${error.message}\n${said}`, { cause: error });
  }
  return { origin, issuer, stop };
}
