// `make release` in two clones at different paths: one result, with the right programs in it; and what it refuses. It needs root,
// buildah and zip.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { copyTree, missing, report, repository, run } from './consumer.mjs';

const skip = missing('buildah', 'zip', 'python3');
const version = '1.2.3-rc.1';
const time = '1764115200'; // of the commit
const env = { ...process.env, GIT_AUTHOR_DATE: `${time} +0000`, GIT_COMMITTER_DATE: `${time} +0000`, GOFLAGS: '' };
let folder;

beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'sesame-release-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const git = (tree, ...args) => run('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false', ...args], { cwd: tree, env });
const commit = (tree) => { git(tree, 'add', '--all'); git(tree, 'commit', '--quiet', '--message', 'test'); };

// release runs `make release` and returns the lines of its checksums.
function release(tree, targets, umask) {
  run('sh', ['-euc', `umask ${umask} && exec make release VERSION=${version}`], { cwd: tree, env: { ...env, TARGETS: targets, STORAGE: join(folder, 'storage') } });
  const lines = readFileSync(join(tree, 'dist/SHA256SUMS'), 'utf8').trim().split('\n');
  run('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: join(tree, 'dist') });
  return lines;
}

// What the first bytes of a program say about its platform. darwin/amd64, the fifth, would take CI another minute.
const kinds = {
  linux_amd64: (b) => b.readUInt32BE(0) === 0x7f454c46 && b.readUInt16LE(18) === 0x3e,
  linux_arm64: (b) => b.readUInt32BE(0) === 0x7f454c46 && b.readUInt16LE(18) === 0xb7,
  darwin_arm64: (b) => b.readUInt32LE(0) === 0xfeedfacf && b.readUInt32LE(4) === 0x0100000c,
  windows_amd64: (b) => b.toString('latin1', 0, 2) === 'MZ' && b.readUInt16LE(b.readUInt32LE(0x3c) + 4) === 0x8664,
};

test('two clones at different paths give the same release', { skip }, (t) => {
  const [first, second] = [join(folder, 'first'), join(folder, 'deeper/second')];
  copyTree(first);
  const changelog = join(first, 'CHANGELOG.md');
  writeFileSync(changelog, readFileSync(changelog, 'utf8').replace('## [Unreleased]', `## [Unreleased]\n\n## [${version}] - 2025-11-26\n\nThe first.\n\n## [0.0.1] - 2025-11-25`));
  git(first, 'init', '--quiet');
  commit(first);
  git(first, 'tag', `v${version}`);
  git(folder, 'clone', '--quiet', first, second);

  const platforms = Object.keys(kinds);
  const all = release(first, platforms.map((platform) => platform.replace('_', '/')).join(' '), '022')
  const names = all.map((line) => line.split('  ')[1]);
  const linux = ['amd64', 'arm64'].flatMap((arch) => [`sesame_${version}_${arch}.deb`, `sesame_${version}_linux_${arch}_image.tar`, `sesame-${version}-1.${{ amd64: 'x86_64', arm64: 'aarch64' }[arch]}.rpm`]);
  const archive = (platform) => `sesame_${version}_${platform}.${platform.startsWith('windows') ? 'zip' : 'tar.gz'}`;
  assert.deepEqual(names.sort(), [...linux, ...platforms.flatMap((platform) => [archive(platform), `sesame_${version}_${platform}.cdx.json`])].sort());
  assert.equal(readFileSync(join(first, 'dist/NOTES.md'), 'utf8'), 'The first.\n');
  const again = release(second, 'linux/amd64 windows/amd64', '077');
  assert.equal(again.length, 7);
  for (const line of again) assert.ok(all.includes(line), `the second release has ${line}, the first one\n${all.join('\n')}`);

  for (const platform of platforms) {
    const name = `sesame_${version}_${platform}`;
    const into = join(folder, 'unpacked', platform);
    mkdirSync(into, { recursive: true });
    const file = join(first, 'dist', archive(platform));
    run(...file.endsWith('zip') ? ['python3', ['-m', 'zipfile', '-e', file, into]] : ['tar', ['-xf', file, '--no-same-owner', '-C', into]]);
    const program = platform.startsWith('windows') ? 'sesame.exe' : 'sesame';
    assert.deepEqual(readdirSync(into), [name]);
    assert.deepEqual(readdirSync(join(into, name)).sort(), ['CHANGELOG.md', 'LICENSE', 'README.md', program, 'sesame.cdx.json'].sort());
    assert.ok(kinds[platform](readFileSync(join(into, name, program))), `${platform}: the program is for something else`);
    const { metadata, components } = JSON.parse(readFileSync(join(into, name, 'sesame.cdx.json'), 'utf8'));
    assert.equal(metadata.component.version, `v${version}`);
    assert.ok(components.length > 20, `${platform}: the SBOM has ${components.length} components`);
    if (!platform.startsWith('linux')) continue;
    assert.equal(statSync(join(into, name, program)).mode & 0o777, 0o755);
    assert.match(run('tar', ['-tvf', file]), new RegExp(`^-rwxr-xr-x 0/0 +\\d+ 2025-11-26 00:00 ${name}/sesame$`, 'm'));
  }
  const said = run(join(folder, 'unpacked/linux_amd64', `sesame_${version}_linux_amd64`, 'sesame'), ['--version']).trim();
  assert.match(said, new RegExp(`^sesame v${version}, commit ${git(first, 'rev-parse', 'HEAD').slice(0, 12)} of 2025-11-26, go1\\.`));
  t.diagnostic(said);
  report('make release', version, `built for ${platforms.length} platforms, twice with one result`);
});

test('make release refuses what is not a release', { skip }, () => {
  const tree = join(folder, 'tree');
  for (const path of ['.make/release', 'Makefile']) cpSync(join(repository, path), join(tree, path), { recursive: true });
  writeFileSync(join(tree, 'CHANGELOG.md'), '# Changelog\n\n## [Unreleased]\n\nMore.\n\n## [1.2.4]\n\n## [1.2.3]\n\nThe first.\n');
  git(tree, 'init', '--quiet');
  commit(tree);
  const refuses = (wanted, message, cwd = tree) => {
    const { status, stderr } = spawnSync('make', ['release', ...wanted === undefined ? [] : [`VERSION=${wanted}`]], { cwd, encoding: 'utf8', env: { ...env, VERSION: '' } });
    assert.notEqual(status, 0, `make release VERSION=${wanted} succeeds`);
    assert.match(stderr, message);
    assert.ok(!existsSync(join(cwd, 'dist')), 'dist/ was made');
  };
  for (const wanted of [undefined, '', 'v1.2.3', '1.2', '1.2.3.4', '01.2.3', '1.2.3-', '1.2.3-01', '1.2.3-a..b', '1.2.3+build', '1.2.3 ', '../1.2.3']) {
    refuses(wanted, /give a semantic version/);
  }
  refuses('1.2.3', /there is no tag v1\.2\.3; create it: git tag v1\.2\.3/);
  for (const tag of ['v1.2.3', 'v1.2.4', 'v1.2.5', 'v1.2']) git(tree, 'tag', tag);
  refuses('1.2.4', /CHANGELOG\.md says nothing under \[1\.2\.4\]/); // an empty section
  refuses('1.2.5', /CHANGELOG\.md says nothing under \[1\.2\.5\]/);
  writeFileSync(join(tree, 'new'), '');
  refuses('1.2.3', /the working tree has changes/);
  rmSync(join(tree, 'new'));
  appendFileSync(join(tree, 'CHANGELOG.md'), '\n');
  refuses('1.2.3', /the working tree has changes/);
  commit(tree);
  refuses('1.2.3', /the tag v1\.2\.3 names another commit/);
  git(tree, 'worktree', 'add', '--quiet', '../linked', 'v1.2.3');
  refuses('1.2.3', /this is a linked work tree/, join(folder, 'linked'));
});
