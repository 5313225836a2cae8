// `make check-deployment` finds faults that are planted in the manifests, in compose.yaml and in the workflows.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { report, repository, run } from './consumer.mjs';

const folder = mkdtempSync(join(tmpdir(), 'sesame-deployment-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function check() {
  const { status, stdout, stderr } = spawnSync('.make/check-deployment', { cwd: folder, encoding: 'utf8', timeout: 300_000 });
  return { passed: status === 0, said: stdout + stderr };
}

const kubernetes = (file) => `docs/deployment/kubernetes/${file}.yaml`;
const compose = 'docs/deployment/compose.yaml';

// Faults by round: a file, a line of it, what replaces it, and what must be said. The faults of a round are in different files.
const rounds = [
  [
    [kubernetes('deployment'), '            readOnlyRootFilesystem: true', '            readOnlyRootFileSystem: true', /Deployment sesame .*readOnlyRootFileSystem/],
    [kubernetes('service'), 'port: 80,', "port: '80',", /Service sesame .*got string, want integer/],
    [kubernetes('disruptionbudget'), 'apiVersion: policy/v1', 'apiVersion: policy/v1beta1', /PodDisruptionBudget sesame .*could not find schema/],
    [kubernetes('serviceaccount'), 'automountServiceAccountToken: false', "automountServiceAccountToken: 'no'", /ServiceAccount sesame .*got string, want boolean/],
    [kubernetes('networkpolicy'), 'policyTypes: [Ingress, Egress]', 'policyTypes: Ingress', /NetworkPolicy sesame .*got string, want array/],
    [compose, '    read_only: true', '    readonly: true', /compose\.yaml:[^]*services\.sesame\.readonly/],
    ['.github/workflows/ci.yml', '      - run: .ci/run', '      - runs: .ci/run', /ci\.yml:\d+:\d+: step must run script/],
    ['.github/workflows/release.yml', '    needs: test', '    needs: tests', /release\.yml:\d+:\d+: job "release" needs job "tests"/],
  ],
  [
    [kubernetes('deployment'), /  selector:\n    matchLabels: .*\n  strategy/, '  strategy', /Deployment sesame .*missing property 'selector'/],
    [kubernetes('service'), '  ports:', '  port:', /Service sesame .*'port'/],
    [kubernetes('disruptionbudget'), 'kind: PodDisruptionBudget', 'kind: PodDisruptionBudgets', /PodDisruptionBudgets sesame .*could not find schema/],
    [compose, 'condition: service_healthy', 'condition: healthy', /compose\.yaml:[^]*service_healthy/],
    ['.github/workflows/release.yml', '{ fetch-depth: 0,', '{ fetch-dept: 0,', /release\.yml:\d+:\d+: input "fetch-dept"/],
  ],
  [[kubernetes('kustomization'), '  - service.yaml', '  - services.yaml', /kustomize build[^]*services\.yaml/]],
];

test('a fault in the manifests, in compose.yaml or in a workflow is found', (t) => {
  for (const path of ['.make/check-deployment', 'docs/deployment', '.github']) cpSync(join(repository, path), join(folder, path), { recursive: true });
  const { passed, said } = check();
  assert.ok(passed, said);
  let faults = 0;
  for (const round of rounds) {
    const before = new Map(round.map(([file]) => [file, readFileSync(join(folder, file), 'utf8')]));
    for (const [file, from, to] of round) {
      const text = readFileSync(join(folder, file), 'utf8');
      assert.equal(text.split(from).length, 2, `${file} has not once: ${from}`);
      writeFileSync(join(folder, file), text.replace(from, to));
    }
    const result = check();
    assert.ok(!result.passed, result.said);
    for (const [file, , to, message] of round) assert.match(result.said, message, `${file}: ${to}`);
    faults += round.length;
    for (const [file, text] of before) writeFileSync(join(folder, file), text);
  }
  t.diagnostic(`${faults} faults found`);
  report('kubeconform, compose-go, …', '-', `found each of ${faults} planted faults`);
});

// Of kubectl, the test has what needs no cluster: kustomize.
test('the guide to Kubernetes makes the secrets that the manifests name', () => {
  const guide = readFileSync(join(repository, 'docs/guides/kubernetes.md'), 'utf8');
  const [, commands] = /^```sh\n(cp -R docs\/deployment\/kubernetes [^]*?)^```$/m.exec(guide);
  const [, kustomize] = /const kustomize = '(.+)';/.exec(readFileSync(join(repository, '.make/check-deployment'), 'utf8'));
  const programs = join(folder, 'programs');
  mkdirSync(programs);
  const kubectl = `#!/bin/sh\nif [ "$1" = kustomize ]; then exec go run ${kustomize} build "$2"; fi\n[ "$*" = 'apply --kustomize .' ]\n`;
  writeFileSync(join(programs, 'kubectl'), kubectl, { mode: 0o755 });
  const manifests = run('sh', ['-euc', commands], { cwd: folder, env: { ...process.env, GOFLAGS: '', PATH: `${programs}:${process.env.PATH}` } });
  const secret = (key) => Buffer.from(new RegExp(`^  ${key}: (?:\\|\\s+)?(\\S+)$`, 'm').exec(manifests)[1], 'base64').toString();
  assert.match(secret('master.key'), /^[\w+/]{43}=\n$/);
  assert.match(secret('root.password'), /^[\w+/]{24}\n$/);
  assert.match(secret('SESAME_DATABASE_URL'), /^postgres:\/\/sesame:/);
  assert.match(secret('SESAME_SMTP_URL'), /^smtp:\/\//);
});
