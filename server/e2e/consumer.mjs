// Functions for the tests of consumers. A consumer is any program that uses Sesame through its contract.
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));

// repository is the root of the repository.
export const repository = fileURLToPath(new URL('../..', import.meta.url));

// report adds a line for the summary at the end of `make e2e`.
export function report(consumer, version, did) {
  appendFileSync(join(here, 'report.txt'), `${consumer.padEnd(30)} ${version.padEnd(12)} ${did}\n`);
}

// run returns the output of a command. The error of a failed command contains it.
export function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20, timeout: 10 * 60_000, ...options,
    });
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  }
}

// missing says why a test is skipped that needs root and programs, or returns false. With SESAME_TEST_REQUIRE_ALL=1 it fails.
export function missing(...programs) {
  const absent = programs.filter((program) => !(process.env.PATH.split(':').some((folder) => existsSync(join(folder, program)))));
  const reason = [...absent.map((program) => `${program} is not installed`), ...process.getuid() === 0 ? [] : ['this needs root']].join(', ');
  if (reason && process.env.SESAME_TEST_REQUIRE_ALL === '1') throw new Error(reason);
  return reason || false;
}

// copyTree copies the files of the repository, as they are in the working copy, into a folder.
export function copyTree(folder) {
  const files = run('git', ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: repository });
  for (const file of files.split('\0').filter((name) => name && existsSync(join(repository, name)))) {
    cpSync(join(repository, file), join(folder, file), { preserveTimestamps: true });
  }
}

// newer reports whether a file has changed since a stamp was written.
const newer = (file, stamp) => !existsSync(stamp) || statSync(file).mtimeMs > statSync(stamp).mtimeMs;

// npmInstall installs the packages that the package-lock.json of a folder beside this file pins.
export function npmInstall(folder) {
  const path = join(here, folder);
  const stamp = join(path, 'node_modules', '.installed');
  if (newer(join(path, 'package-lock.json'), stamp)) {
    run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: path });
    writeFileSync(stamp, '');
  }
  return path;
}

// venv creates a Python environment from the requirements.txt of a folder beside this file and returns its bin/.
export function venv(folder) {
  const path = join(here, folder);
  const requirements = join(path, 'requirements.txt');
  const stamp = join(path, 'venv', '.installed');
  if (newer(requirements, stamp)) {
    run('python3', ['-m', 'venv', '--clear', join(path, 'venv')]);
    run(join(path, 'venv/bin/pip'), ['install', '--disable-pip-version-check', '--requirement', requirements]);
    writeFileSync(stamp, '');
  }
  return join(path, 'venv/bin');
}
