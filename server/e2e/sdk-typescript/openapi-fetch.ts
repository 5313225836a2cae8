import createClient from 'openapi-fetch';
import type { paths } from './schema.js';
import { Session } from './session.js';

const session = await Session.login('http://127.0.0.1:8080', 'johndoe', 'knock-knock');
const sesame = createClient<paths>({ baseUrl: 'http://127.0.0.1:8080', fetch: session.fetch });

const { data: user } = await sesame.PATCH('/users/me', { body: { full_name: null } }); // null clears
const { error: problem } = await sesame.PUT('/users/me/password', {
  body: { current_password: 'a guess', new_password: 'a wooden horse' },
});
console.log(user?.username, problem?.code, problem?.errors?.[0]?.pointer); // johndoe wrong_password /current_password

// What the guide does not show.
import assert from 'node:assert/strict';
import type { components } from './schema.js';

assert.deepEqual([user?.username, user?.full_name], ['johndoe', null]);
assert.deepEqual([problem?.status, problem?.code, problem?.errors?.[0]?.pointer], [422, 'wrong_password', '/current_password']);
const long = await sesame.PATCH('/users/me', { body: { full_name: 'x'.repeat(201) } });
assert.deepEqual([long.error?.code, long.error?.errors], [
  'validation_failed', [{ pointer: '/full_name', detail: 'must have at most 200 characters' }],
]);
const named = await sesame.PATCH('/users/me', { body: { full_name: 'John' } });
assert.equal(named.data?.full_name, 'John');
const kept = await sesame.PATCH('/users/me', { body: {} });
assert.equal(kept.data?.full_name, 'John');

// Logging in without the helper. openapi-fetch sends JSON unless it is told that the body is a form.
const plain = createClient<paths>({ baseUrl: 'http://127.0.0.1:8080' });
const token = (body: components['schemas']['TokenRequest']) => plain.POST('/token', {
  body, headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
});
const login = await token({ grant_type: 'password', username: 'johndoe', password: 'knock-knock', scope: 'me:read' });
assert.equal(login.data?.scope, 'me:read');
const refreshed = await token({ grant_type: 'refresh_token', refresh_token: login.data.refresh_token });
assert.ok(refreshed.data && refreshed.data.refresh_token !== login.data.refresh_token);
const wrong = await token({ grant_type: 'password', username: 'johndoe', password: 'knock-knack' });
assert.equal(wrong.error?.error, 'invalid_grant');
const headers = { Authorization: `Bearer ${refreshed.data.access_token}` };
assert.equal((await plain.GET('/users/me', { headers })).data?.full_name, 'John');
const forbidden = await plain.PATCH('/users/me', { headers, body: { full_name: null } });
assert.equal(forbidden.error?.code, 'insufficient_scope');

const sessions = await sesame.GET('/users/me/sessions');
assert.ok(sessions.data && sessions.data.items.length >= 2);
await session.signOut();
assert.equal((await plain.GET('/users/me')).error?.code, 'unauthenticated');
