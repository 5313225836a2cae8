// The real server for a test, built from source and started in an empty folder.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));

let built;

// build compiles the program once for a test file.
function build() {
  if (built) return built;
  const folder = mkdtempSync(join(tmpdir(), 'sesame-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const binary = join(folder, 'sesame');
  execFileSync('go', ['build', '-o', binary, './server'], { cwd: repository, stdio: ['ignore', 'inherit', 'inherit'] });
  return (built = binary);
}

// startSesame resolves when /readyz answers 200. `log()` returns the output of the server so far; `stop()` stops it, removes
// its folder and resolves with its exit code; `command()` runs another command on the same database and returns its output;
// `createUser()` creates an account, with a confirmed address and more scopes; `mailedCode()` resolves with the last code
// that was mailed to an address, which it reads from the log; `database` is the file,
// and `binary` the program.
export async function startSesame(env = {}, args = ['serve', '--demo']) {
  const folder = mkdtempSync(join(tmpdir(), 'sesame-'));
  const binary = build();
  const port = Number(env.SESAME_LISTEN?.split(':').at(-1) ?? await freePort());
  const origin = `http://127.0.0.1:${port}`;
  // A file, because a pipe would fill up and block the server while a test waits for a command.
  const output = join(folder, 'output');
  const file = openSync(output, 'w');
  const database = join(folder, 'sesame.db');
  const world = {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      SESAME_LISTEN: `127.0.0.1:${port}`,
      SESAME_DATABASE_URL: `sqlite:${database}`,
      SESAME_CHECK_RESPONSES: 'on',
      SESAME_LOG_FORMAT: 'json',
      SESAME_REGISTRATION_LIMIT: '0', // every account of a test is registered from 127.0.0.1
      ...env,
    },
  };
  const server = spawn(binary, args, { ...world, stdio: ['ignore', file, file] });
  const command = (...words) => execFileSync(binary, words, { ...world, encoding: 'utf8' });
  const createUser = ({ username, password, email, scopes = [] }) => execFileSync(binary,
    ['user', 'create', username, ...email ? ['--email', email, '--email-verified'] : [], ...scopes.flatMap((scope) => ['--scope', scope])], { ...world, input: password, encoding: 'utf8' });
  closeSync(file);
  let last;
  const log = () => last ?? readFileSync(output, 'utf8');
  const mailedCode = async (address) => {
    let code;
    await until(`a code is mailed to ${address}`, () => {
      const lines = log().split('\n').slice(0, -1).filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
      [, code] = /[?&]code=([\w-]+)/.exec(lines.findLast((line) => line.to === address)?.text) ?? [];
      return code;
    });
    return code;
  };
  const ended = new Promise((resolve) => { server.once('exit', resolve); });
  const stop = async () => {
    server.kill('SIGTERM');
    const code = await ended;
    last ??= log();
    rmSync(folder, { recursive: true, force: true });
    return code;
  };
  for (const deadline = Date.now() + 30_000; ;) {
    const ready = await fetch(`${origin}/readyz`).then((answer) => answer.ok, () => false);
    if (ready) return { origin, port, binary, database, log, stop, command, createUser, mailedCode };
    if (server.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`the server did not become ready:\n${log()}`);
    }
    await pause(50);
  }
}

// until waits until a condition holds.
export async function until(what, holds, seconds = 15) {
  for (const deadline = Date.now() + seconds * 1000; !(await holds()); await pause(50)) {
    if (Date.now() > deadline) throw new Error(`after ${seconds} s it is not true that ${what}`);
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
