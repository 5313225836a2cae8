// docs/guides/sdks.md as a reader follows it: the tests run its commands, and the programs whose beginning it shows. Other
// guides that show programs are named by the tests.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './consumer.mjs';

// The address of the server in the guide and in the programs.
const address = 'http://127.0.0.1:8080';
const here = fileURLToPath(new URL('.', import.meta.url));
const read = (file) => readFileSync(join(here, '../../docs/guides', file), 'utf8');
const guide = read('sdks.md');

// shown returns the block of a guide below <!-- name -->.
export function shown(name, file = 'sdks.md') {
  const found = [...read(file).matchAll(/^<!-- (.+) -->\n```\w+\n([^]*?)^```$/gm)].filter((match) => match[1] === name);
  assert.equal(found.length, 1, `${file} has ${found.length} blocks called ${name}`);
  return found[0][2];
}

// follow runs a command of the guide against the server at origin.
export function follow(name, origin, options) {
  return run('sh', ['-euc', shown(`run: ${name}`).replaceAll(address, origin)], options);
}

// installed checks that the guide installs the version of a package that the tests use, and returns it.
export function installed(name, version) {
  const named = [...guide.matchAll(new RegExp(`(?<![\\w-])${name}(?:@|==)v?([\\d.]+[\\d])`, 'g'))].map((match) => match[1]);
  assert.deepEqual([...new Set(named)], [version], `the guide names another version of ${name}`);
  return version;
}

// empty creates an empty folder generated/ for a consumer.
export function empty(consumer) {
  const folder = join(here, consumer, 'generated');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

// place copies a file into a folder and fills in the server's address.
export function place(file, folder, origin) {
  const path = join(folder, basename(file));
  writeFileSync(path, readFileSync(join(here, file), 'utf8').replaceAll(address, origin));
  return path;
}

// assertShown checks that a program contains the lines that the guide shows under its name.
export function assertShown(file, name = basename(file), shownIn = 'sdks.md') {
  const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean).join('\n');
  assert.ok(lines(readFileSync(join(here, file), 'utf8')).includes(lines(shown(name, shownIn))),
    `${shownIn} shows something else than ${file}`);
}

// stopSesame stops the server and checks that it had requests, no errors, and no secrets in its log.
export async function stopSesame(sesame, path = '/users/me') {
  const code = await sesame.stop();
  assert.equal(code, 0, `the server ended with ${code}:\n${sesame.log()}`);
  const log = sesame.log().split('\n').filter((line) => line.startsWith('{')); // the lines after the greeting
  assert.ok(log.some((line) => line.includes(path)), 'the log has no requests');
  assert.deepEqual(log.filter((line) => JSON.parse(line).level === 'ERROR' || JSON.parse(line).status >= 500), []);
  assert.deepEqual(log.filter((line) => /knock-knock|eyJ/.test(line)), []);
}
