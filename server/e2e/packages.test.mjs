// The packages as an operator gets them: installed into a copy-on-write view of this machine's own system, used as
// docs/guides/one-machine.md says, and removed. It needs root, dpkg, rpm and systemd-analyze. release.test.mjs builds them twice.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { copyTree, missing, report, repository, run } from './consumer.mjs';
import { freePort } from './sesame.mjs';

const skip = missing('dpkg', 'rpm', 'systemd-analyze', 'unshare', 'curl');
const version = '1.2.3';
const password = 'a wooden horse';
let folder, built;

before(() => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), 'sesame-packages-'));
  const tree = join(folder, 'tree');
  copyTree(tree);
  run('.make/packages', [], { cwd: tree, env: { ...process.env, VERSION: version, SOURCE_DATE_EPOCH: '1764115200' } });
  built = join(tree, 'dist');
});
after(() => { if (folder) rmSync(folder, { recursive: true, force: true }); });

test('make packages writes a deb, an rpm and an SBOM', { skip }, () => {
  assert.deepEqual(readdirSync(built).sort(), [`sesame-${version}-1.x86_64.rpm`, `sesame_${version}_amd64.deb`, `sesame_${version}_linux_amd64.cdx.json`]);
});

test('the unit may do little, also with the ports of HTTPS', { skip }, (t) => {
  const root = join(folder, 'unit');
  const units = join(root, 'etc/systemd/system');
  mkdirSync(join(units, 'sesame.service.d'), { recursive: true });
  const copy = (name, to) => copyFileSync(join(repository, 'docs/deployment/systemd', name), join(units, to));
  copy('sesame.service', 'sesame.service');
  for (const dropIn of [false, true]) {
    if (dropIn) copy('https.conf', 'sesame.service.d/https.conf');
    const output = run('systemd-analyze', ['security', '--offline=true', '--no-pager', '--threshold=20', `--root=${root}`, 'sesame.service']);
    assert.equal(output.includes('✗ AmbientCapabilities='), dropIn, output);
    t.diagnostic(output.split('\n').findLast((line) => line.includes('exposure level')));
  }
});

// inSystem runs a script as root in a copy-on-write view of this machine's system, which is gone afterwards. The packages are in /packages.
function inSystem(script, env) {
  const outer = `
    mount -t tmpfs tmpfs "$WORK" && mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
    mkdir "$WORK/root/packages" && cp "$DIST"/* "$WORK/root/packages/"
    mount -t proc proc "$WORK/root/proc" && mount --rbind /dev "$WORK/root/dev"
    cd / && exec chroot "$WORK/root" sh -euxc "$SCRIPT"`;
  const work = mkdtempSync(join(folder, 'system-'));
  return run('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-euc', outer], { timeout: 60_000, env: { ...process.env, ...env, WORK: work, DIST: built, SCRIPT: script } });
}

// used is a script that uses the installed package; it ends with the server stopped.
const used = (commands, whileServing = '') => `
  test "$(stat -c '%U %a' /var/lib/sesame)" = 'sesame 700'
  test "$(stat -c '%U %a' /etc/sesame/sesame.env)" = 'root 600'
  test "$(id -gn sesame)" = sesame
  sed -i "s/^SESAME_LISTEN=.*/SESAME_LISTEN=127.0.0.1:$PORT/" /etc/sesame/sesame.env
  printf '%s\\n' "$SETTINGS" >>/etc/sesame/sesame.env
  sesame --version | grep '^sesame v${version}, '
${commands}
  sesamectl serve >/tmp/log 2>&1 & server=$!
  until sesamectl healthcheck; do kill -0 $server; sleep 0.05; done
${whileServing}
  curl --fail --silent "http://127.0.0.1:$PORT/token" -d grant_type=password -d username=root --data-urlencode "password=$PASSWORD" -d scope=users:write | grep access_token
  test "$(ps -o user= -p $server)" = sesame
  test -z "$(find /var/lib/sesame ! -user sesame)"
  kill $server; wait $server`;

// Of the guide, the test runs what has no asterisk; it answers the prompt for the password.
function guide() {
  const blocks = [...readFileSync(join(repository, 'docs/guides/one-machine.md'), 'utf8').matchAll(/^```sh\n([^]*?)^```$/gm)].map((match) => match[1]);
  const settings = blocks.find((block) => block.startsWith('SESAME_PUBLIC_URL='));
  const lines = blocks.find((block) => block.startsWith('sesamectl config')).split('\n').filter((line) => line && !/# \*$/.test(line));
  const commands = lines.filter((line) => !line.startsWith('sesamectl healthcheck'))
    .map((line) => (line.includes('user create') ? `printf %s "$PASSWORD" | ${line.replace(/ +#.*/, '')}` : line));
  assert.equal(commands.length, 3, commands.join('\n'));
  return { settings, commands: commands.join('\n'), backup: blocks.find((block) => block.includes('sesamectl backup')) };
}

test('the deb is installed, used as the guide says, and removed', { skip }, async () => {
  const { settings, commands, backup } = guide();
  inSystem(`
    dpkg --install /packages/*.deb
    dpkg --verify sesame
    ${used(commands, backup)}
    test -s /var/backups/sesame/*.db
    dpkg --remove sesame
    test ! -e /usr/bin/sesame -a -e /etc/sesame/sesame.env -a -e /var/lib/sesame/sesame.db
    dpkg --install /packages/*.deb
    grep "^SESAME_LISTEN=127.0.0.1:$PORT$" /etc/sesame/sesame.env
    dpkg --purge sesame
    test ! -e /etc/sesame/sesame.env -a -e /var/lib/sesame/sesame.db
  `, { PORT: String(await freePort()), SETTINGS: settings, PASSWORD: password });
  report('deb and one-machine.md', version, 'installed, served a login, removed');
});

test('the rpm is installed, used and removed', { skip }, async () => {
  inSystem(`
    rpm --install --nodeps /packages/*.rpm
    ${used('sesamectl migrate; printf %s "$PASSWORD" | sesamectl user create root --scope users:write')}
    rpm --erase --nodeps sesame
    test ! -e /usr/bin/sesame -a -e /var/lib/sesame/sesame.db -a -e /etc/sesame/sesame.env.rpmsave
  `, { PORT: String(await freePort()), SETTINGS: "SESAME_MAIL_FROM='Example <no-reply@example.com>'", PASSWORD: password });
  report('rpm', version, 'installed, served a login, removed');
});
