// The test breaks each rule of .redocly.yaml once, in a copy of the contract, and redocly must report it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { report } from './consumer.mjs';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const folder = fileURLToPath(new URL('generated/lint', import.meta.url));

// A rule with several cases has a list of changes.
const broken = {
  'operation-description': ({ paths }) => { delete paths['/token'].post.description; },
  'operation-operationId-url-safe': ({ paths }) => { paths['/token'].post.operationId = 'create token'; },
  'operation-parameters-unique': ({ paths }) => {
    const [parameter] = paths['/users/me/sessions/{session_id}'].parameters;
    paths['/users/me/sessions/{session_id}'].delete.parameters = [parameter, parameter];
  },
  'operation-tag-defined': ({ paths }) => { paths['/healthz'].get.tags = ['Heath']; },
  'tag-description': ({ tags }) => { delete tags[0].description; },
  'parameter-description': ({ paths }) => { delete paths['/users/me/sessions/{session_id}'].parameters[0].description; },
  'no-http-verbs-in-paths': ({ paths }) => { paths['/get-users'] = paths['/healthz']; },
  'no-path-trailing-slash': ({ paths }) => { paths['/healthz/'] = paths['/healthz']; },
  'no-schema-type-mismatch': ({ components: { schemas } }) => { schemas.SessionPage.properties.items.type = 'object'; },
  'no-required-schema-properties-undefined': ({ components: { schemas } }) => { schemas.User.required.push('age'); },
  'no-invalid-media-type-examples': ({ paths }) => {
    paths['/users'].post.requestBody.content['application/json'].example.password = 'short';
  },
  'no-invalid-parameter-examples': ({ paths }) => { paths['/users/me/sessions/{session_id}'].parameters[0].example = 7; },
  'no-invalid-schema-examples': ({ components: { schemas } }) => { schemas.NewPassword.example = 'short'; },

  'rule/operation-has-one-tag': [
    ({ paths }) => { paths['/healthz'].get.tags.push('Discovery'); },
    ({ paths }) => { delete paths['/healthz'].get.tags; },
    ({ paths }) => { paths['/healthz'].get.tags = []; },
  ],
  'rule/operation-has-an-apidog-folder': ({ paths }) => { delete paths['/healthz'].get['x-apidog-folder']; },
  'rule/summary-is-a-name': [
    ({ paths }) => { paths['/healthz'].get.summary = ''; },
    ({ paths }) => { paths['/healthz'].get.summary = 'Is the process alive.'; },
    ({ paths }) => { paths['/healthz'].get.summary = 'Is the process alive, and does it look at the database'; },
  ],
  'rule/operation-id-is-camel-case': ({ paths }) => { paths['/healthz'].get.operationId = 'get_health'; },
  'rule/property-is-snake-case': ({ components: { schemas } }) => { schemas.Session.properties.userAgent = schemas.Session.properties.user_agent; },
  'rule/caller-is-needed-by-default': [
    (contract) => { delete contract.security; },
    (contract) => { contract.security = []; },
  ],
  'rule/string-is-bounded': [
    ({ components: { schemas } }) => { delete schemas.FieldError.properties.detail.maxLength; },
    ({ components: { schemas } }) => { delete schemas.ErrorCode.maxLength; },
    ({ components: { headers } }) => { delete headers.NoStore.schema.maxLength; },
    ({ paths }) => { delete paths['/users/me/sessions/{session_id}'].parameters[0].schema.maxLength; },
  ],
  'rule/number-has-a-range': [
    ({ components: { schemas } }) => { delete schemas.Problem.properties.status.minimum; },
    ({ components: { headers } }) => { delete headers.RetryAfter.schema.maximum; },
  ],
  'rule/array-is-bounded': [
    ({ components: { schemas } }) => { delete schemas.User.properties.scopes.maxItems; },
    ({ components: { schemas } }) => { delete schemas.SessionPage.properties.items.maxItems; },
  ],
  'rule/object-says-that-it-is-closed': [
    ({ components: { schemas } }) => { delete schemas.UserUpdate.additionalProperties; },
    ({ components: { schemas } }) => { delete schemas.Session.additionalProperties; },
    ({ components: { schemas } }) => { delete schemas.FieldError.additionalProperties; },
  ],
  'rule/object-is-closed': ({ components: { schemas } }) => { schemas.Key.additionalProperties = true; },
  'rule/body-has-an-example': [
    ({ paths }) => { delete paths['/token'].post.requestBody.content['application/x-www-form-urlencoded'].examples; },
    ({ components: { responses } }) => { delete responses.TooLarge.content['application/problem+json'].example; },
  ],
  'rule/request-property-has-an-example': [
    ({ components: { schemas } }) => { delete schemas.UserCreate.properties.email.example; },
    ({ components: { schemas } }) => { delete schemas.FullName.example; },
    ({ components: { schemas } }) => { delete schemas.RevocationRequest.properties.client_secret.example; },
  ],
  'rule/parameter-has-an-example': ({ paths }) => { delete paths['/users/me/sessions/{session_id}'].parameters[0].example; },
  'rule/operation-can-succeed': ({ paths }) => { delete paths['/sign-out'].post.responses[303]; },
  'rule/operation-documents-500': [
    ({ paths }) => { delete paths['/healthz'].get.responses[500]; },
    ({ paths }) => { paths['/healthz'].get.responses.default = paths['/healthz'].get.responses[500]; },
  ],
  'rule/operation-with-a-body-documents-its-refusals': [400, 413, 415].map((status) =>
    ({ paths }) => { delete paths['/token'].post.responses[status]; }),
  'rule/operation-with-json-documents-422': ({ paths }) => { delete paths['/users'].post.responses[422]; },
  'rule/operation-on-one-thing-documents-404-and-422': [404, 422].map((status) =>
    ({ paths }) => { delete paths['/users/me/sessions/{session_id}'].delete.responses[status]; }),
  'rule/operation-with-a-caller-documents-its-refusals': [
    ...[400, 401, 503].map((status) => ({ paths }) => { delete paths['/users/me'].get.responses[status]; }),
    ({ paths }) => { delete paths['/healthz'].get.security; }, // the global one then applies
  ],
  'rule/operation-with-a-caller-documents-403': ({ paths }) => { delete paths['/users/me'].get.responses[403]; },
  'rule/refusal-has-headers': [401, 403, 503].map((status) => ({ paths, components: { responses } }) => {
    const { content, description } = responses.Malformed;
    paths['/users/me'].get.responses[status] = { content, description };
  }),
  'rule/challenge-comes-with-401-and-403': [
    ({ components: { responses } }) => { responses.Unauthenticated.headers = responses.Unavailable.headers; },
    ({ components: { responses } }) => { responses.Forbidden.headers = responses.Unavailable.headers; },
  ],
  'rule/operation-with-parameters-documents-its-refusals': ({ paths }) => { delete paths['/users/me/events'].get.responses[422]; },
  'rule/time-to-wait-comes-with-503': ({ components: { responses } }) => { delete responses.OAuthUnavailable.headers['Retry-After']; },
  'rule/error-is-a-problem': [
    ({ components: { responses } }) => { rename(responses.ServerError.content, 'application/json'); },
    ({ paths }) => { rename(paths['/users'].post.responses[409].content, 'application/json'); },
  ],
  'rule/error-of-a-token-operation-is-json': ({ components: { responses } }) => {
    rename(responses.OAuthRefused.content, 'application/problem+json');
  },
  'rule/error-for-a-person-is-a-page': ({ components: { responses } }) => { rename(responses.PageRefused.content, 'application/problem+json'); },
};

// rename renames the only media type of a body.
function rename(content, to) {
  const [from] = Object.keys(content);
  content[to] = content[from];
  delete content[from];
}

const redocly = (args) => execFileSync('server/e2e/node_modules/.bin/redocly', args, {
  cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20, timeout: 120_000,
  env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
});

// lint returns the names of the rules that each file breaks.
function lint(files) {
  let output;
  try {
    output = redocly(['lint', '--config', '.redocly.yaml', '--format', 'json', '--max-problems', '100000', ...files]);
  } catch (error) {
    output = error.stdout;
  }
  const results = output.split(/(?<=^})(?={$)/m).map((result) => JSON.parse(result)); // one JSON document for each file
  assert.equal(results.length, files.length);
  return Object.fromEntries(files.map((file, i) => [file, new Set(results[i].problems.map(({ ruleId }) => ruleId))]));
}

test('each rule of ours fails on a contract that breaks it', { timeout: 170_000 }, () => {
  const named = [...readFileSync(join(repository, '.redocly.yaml'), 'utf8').matchAll(/^  ([\w/-]+):(?! off)/gm)].map(([, rule]) => rule);
  assert.ok(named.length > 20, 'read no rules');
  assert.deepEqual(named.filter((rule) => !broken[rule]), [], 'these rules have no contract that breaks them');

  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const good = join(folder, 'good.json');
  redocly(['bundle', 'openapi.yaml', '--config', '.redocly.yaml', '--output', good]);
  const contract = readFileSync(good, 'utf8');
  const rules = { [good]: undefined };
  for (const rule of named) {
    [broken[rule]].flat().forEach((damage, i) => {
      const copy = JSON.parse(contract);
      damage(copy);
      const file = join(folder, `${rule.replace('/', '_')}-${i}.json`);
      writeFileSync(file, JSON.stringify(copy));
      rules[file] = rule;
    });
  }

  const found = lint(Object.keys(rules));
  assert.deepEqual([...found[good]], []);
  const unseen = Object.entries(rules).filter(([file, rule]) => rule && !found[file].has(rule));
  assert.deepEqual(unseen.map(([file, rule]) => [file, rule, ...found[file]]), []);

  const ours = named.filter((rule) => rule.startsWith('rule/')).length;
  report('redocly', redocly(['--version']).trim(), `${ours} rules of ours, and ${named.length - ours} of its own, each seen to fail`);
});
