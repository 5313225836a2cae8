// Mailpit, a real mail server (https://mailpit.axllent.org), for a test: it keeps what it takes and
// shows it by HTTP.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './consumer.mjs';
import { freePort, until } from './sesame.mjs';

export const version = '1.27.11';

let binary;

// install compiles Mailpit once for a test file.
function install() {
  if (binary) return binary;
  const folder = mkdtempSync(join(tmpdir(), 'mailpit-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  run('go', ['install', `github.com/axllent/mailpit@v${version}`], { env: { ...process.env, GOBIN: folder } });
  return (binary = join(folder, 'mailpit'));
}

// startMailpit resolves when Mailpit accepts mails at 127.0.0.1:port.
export async function startMailpit({ port, args = [] } = {}) {
  port ??= await freePort();
  const origin = `http://127.0.0.1:${await freePort()}`;
  const server = spawn(install(), ['--smtp', `127.0.0.1:${port}`, '--listen', new URL(origin).host, '--quiet',
    '--disable-version-check', '--smtp-disable-rdns', '--enable-chaos', ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise((resolve) => { server.once('exit', resolve); });
  const ask = async (path, options) => {
    const answer = await fetch(`${origin}/api/v1/${path}`, options);
    assert.equal(answer.status, 200, path);
    return answer.json();
  };
  const find = async (address) => (await ask(`search?query=${encodeURIComponent(`to:"${address}"`)}`)).messages;
  const mailpit = {
    port,
    // mails waits for a number of mails to an address and returns them as Mailpit has parsed them, with their headers, the
    // oldest first.
    async mails(address, count = 1, seconds = 15) {
      await until(`${count} mails have come to ${address}`, async () => (await find(address)).length >= count, seconds);
      const found = (await find(address)).reverse();
      assert.equal(found.length, count, `more mails have come to ${address}`);
      return Promise.all(found.map(async ({ ID: id }) => ({ ...await ask(`message/${id}`), headers: await ask(`message/${id}/headers`) })));
    },
    count: async (address) => (await find(address)).length,
    // checkHTML returns the share of mail programs that show the HTML part correctly; checkLinks opens each link.
    checkHTML: ({ ID: id }) => ask(`message/${id}/html-check`),
    checkLinks: ({ ID: id }) => ask(`message/${id}/link-check`),
    // refuse makes it answer a step, Sender, Recipient or Authentication, with a code, or none of them without a code.
    refuse: (step, code) => ask('chaos', { method: 'PUT', body: JSON.stringify(step ? { [step]: { ErrorCode: code, Probability: 100 } } : {}) }),
    stop: () => { server.kill('SIGTERM'); return ended; },
  };
  await until('Mailpit is ready', () => fetch(`${origin}/readyz`).then((answer) => answer.ok, () => false));
  return mailpit;
}
