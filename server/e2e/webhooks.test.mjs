// The receivers of docs/guides/webhooks.md: one verifies with the library of Standard Webhooks, the other with Go's standard library.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { npmInstall, report } from './consumer.mjs';
import { assertShown } from './guide.mjs';
import { freePort, startSesame, until } from './sesame.mjs';

const here = fileURLToPath(new URL('webhooks', import.meta.url));
let sesame, folder;

before(async () => {
  sesame = await startSesame({ SESAME_PRIVATE_WEBHOOKS: 'on' });
  folder = mkdtempSync(join(tmpdir(), 'sesame-receiver-'));
});

after(async () => {
  if (sesame) assert.equal(await sesame.stop(), 0);
  rmSync(folder, { recursive: true, force: true });
});

// receives starts a receiver, and checks that it takes an event once, also while its secret is replaced, and refuses what is forged.
async function receives(command, args) {
  const port = await freePort();
  const address = `http://127.0.0.1:${port}/`;
  const webhook = JSON.parse(sesame.command('webhook', 'add', address, '--kind', 'account_created', '--json'));
  const receiver = spawn(command, args, { cwd: here, env: { ...process.env, WEBHOOK_SECRET: webhook.secret, PORT: port }, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => { receiver.once('close', resolve); });
  try {
    let printed = '';
    receiver.stdout.on('data', (text) => { printed += text; });
    await until('the receiver listens', () => fetch(address).then(() => true, () => false));
    const printedOf = async (kind, id) => {
      await until(`the receiver has ${kind} ${id}`, () => printed.includes(`${kind} ${id}\n`));
      assert.equal(printed.split(id).length, 2, `an event was taken twice:\n${printed}`);
    };
    const delivered = (id) => until(`${id} is delivered`, () =>
      JSON.parse(sesame.command('webhook', 'deliveries', webhook.id, '--state', 'delivered', '--json')).items.some((delivery) => delivery.event_id === id));
    const tested = JSON.parse(sesame.command('webhook', 'test', webhook.id, '--json'));
    await printedOf('webhook_tested', tested.event_id);
    await delivered(tested.event_id);
    sesame.command('webhook', 'secret', webhook.id, '--keep-old-for', '1h'); // the receiver still has the old one
    sesame.command('webhook', 'resend', webhook.id, tested.event_id); // which arrives again, and counts once
    const second = JSON.parse(sesame.command('webhook', 'test', webhook.id, '--json'));
    await printedOf('webhook_tested', second.event_id);
    await delivered(tested.event_id);
    await printedOf('webhook_tested', tested.event_id);
    const forged = { 'webhook-id': second.event_id, 'webhook-timestamp': `${Math.floor(Date.now() / 1000)}`, 'webhook-signature': `v1,${btoa('x'.repeat(32))}` };
    const answer = await fetch(address, { method: 'POST', headers: forged, body: '{"type":"account_created","data":{"id":"forged"}}' });
    assert.equal(answer.status, 401);
    assert.ok(!printed.includes('forged'));
  } finally {
    receiver.kill();
    await ended;
    sesame.command('webhook', 'remove', webhook.id);
  }
}

test('standardwebhooks verifies the events', async () => {
  assertShown('webhooks/receiver.mjs', 'receiver.mjs', 'webhooks.md');
  const { version } = JSON.parse(readFileSync(join(npmInstall('webhooks'), 'node_modules/standardwebhooks/package.json'), 'utf8'));
  assert.ok(readFileSync(new URL('../../docs/guides/webhooks.md', import.meta.url), 'utf8').includes(`npm install standardwebhooks@${version}`));
  await receives('node', ['receiver.mjs']);
  report('standardwebhooks', version, 'verified events of webhooks, also with two signatures, and refused a forged one');
});

test('a receiver in Go verifies the events', async () => {
  assertShown('webhooks/receiver.go', 'receiver.go', 'webhooks.md');
  const binary = join(folder, 'receiver');
  execFileSync('go', ['build', '-o', binary, '.'], { cwd: here });
  await receives(binary, []);
});
