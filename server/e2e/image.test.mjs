// The container image, loaded from its archive and run as its configuration says. It needs root and buildah. release.test.mjs builds
// the archive twice.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { copyTree, missing, report, run } from './consumer.mjs';
import { freePort, until } from './sesame.mjs';

const skip = missing('buildah');
const version = '1.2.3';
const folder = skip ? undefined : mkdtempSync(join(tmpdir(), 'sesame-image-'));
const storage = join(folder ?? '', 'storage');
const buildah = (...args) => run('buildah', ['--storage-driver=vfs', `--root=${storage}`, `--runroot=${storage}-run`, ...args]);
let container, server, pid;

after(() => {
  if (server && server.exitCode === null) {
    server.kill('SIGKILL');
    if (pid) process.kill(pid, 'SIGKILL');
  }
  if (container) buildah('rm', container);
  if (folder) rmSync(folder, { recursive: true, force: true });
});

// build builds the image, loads its archive, and returns the configuration.
function build() {
  const tree = join(folder, 'tree');
  copyTree(tree);
  run('.make/image', [], { cwd: tree, env: { ...process.env, VERSION: version, SOURCE_DATE_EPOCH: '1764115200', STORAGE: storage } });
  buildah('rmi', '--all');
  buildah('pull', '--quiet', `docker-archive:${join(tree, 'dist/sesame-image.tar')}`);
  return JSON.parse(buildah('inspect', '--type', 'image', `localhost/sesame:${version}`)).Docker.config;
}

test('the image serves as its configuration says', { skip }, async (t) => {
  const config = build();
  assert.equal(config.User, '65532:65532');
  assert.equal(config.Labels['org.opencontainers.image.version'], version);
  assert.deepEqual([...config.Entrypoint, ...config.Cmd], ['/sesame', 'serve']);
  assert.deepEqual(Object.keys(config.Volumes), ['/data']);
  assert.deepEqual(config.Healthcheck.Test, ['CMD', '/sesame', 'healthcheck']);

  container = buildah('from', '--pull-never', `localhost/sesame:${version}`).trim();
  const port = await freePort();
  const inside = ['--isolation=chroot', `--env=SESAME_LISTEN=127.0.0.1:${port}`, '--env=SESAME_SMTP_URL=log:', container, '--'];
  server = spawn('buildah', ['--storage-driver=vfs', `--root=${storage}`, `--runroot=${storage}-run`, 'run', ...inside, ...config.Entrypoint, ...config.Cmd],
    { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => { server.once('close', resolve); });
  let output = '';
  for (const stream of [server.stdout, server.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  await until('the server is ready', async () => {
    assert.equal(server.exitCode, null, output);
    return fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.ok, () => false);
  }, 60);
  assert.equal(buildah('run', ...inside, ...config.Healthcheck.Test.slice(1)), 'ready\n');
  const root = buildah('mount', container).trim();
  const sbom = JSON.parse(readFileSync(join(root, 'usr/share/doc/sesame/sesame.cdx.json'), 'utf8'));
  assert.ok(sbom.components.some(({ name }) => name === 'modernc.org/sqlite'), 'the SBOM lacks a module');
  assert.ok(sbom.components.some(({ name }) => name === 'std'), 'the SBOM lacks the standard library');
  const files = run('find', ['.', '-type', 'f', '-printf', '%P %m %U\n'], { cwd: root }).trim().split('\n').sort();
  assert.ok(files.includes('sesame 755 0'), files.join('\n'));
  // The process has the user of the image, and its database is in the folder of the volume.
  pid = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).find((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, 'utf8') === '/sesame\0serve\0' && readFileSync(`/proc/${id}/environ`, 'utf8').includes(`127.0.0.1:${port}\0`);
    } catch { return false; } // it has ended
  });
  assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^Uid:\t65532\t65532\t65532\t65532$/m);
  assert.deepEqual([statSync(`/proc/${pid}/cwd/sesame.db`).uid, statSync(`/proc/${pid}/cwd/sesame.db`).mode & 0o777], [65532, 0o600]);
  t.diagnostic(files.join(', '));
  process.kill(pid, 'SIGTERM'); // buildah would not pass it on
  await ended;
  assert.equal(server.exitCode, 0, output);
  report('container image', version, 'loaded, run, served, healthcheck');
});
