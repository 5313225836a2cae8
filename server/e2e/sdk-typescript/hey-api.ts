import { client } from './hey-api/client.gen.js';
import { changePassword, updateMe } from './hey-api/sdk.gen.js';
import { Session } from './session.js';

const session = await Session.login('http://127.0.0.1:8080', 'johndoe', 'knock-knock');
client.setConfig({ fetch: session.fetch });

const { data: user } = await updateMe({ body: { full_name: null } }); // null clears
const { error: problem } = await changePassword({ body: { current_password: 'a guess', new_password: 'a wooden horse' } });
console.log(user?.username, problem?.code, problem?.errors?.[0]?.pointer); // johndoe wrong_password /current_password

// What the guide does not show.
import assert from 'node:assert/strict';
import { createClient } from './hey-api/client/index.js';
import { createToken, endSession, getMe } from './hey-api/sdk.gen.js';

assert.deepEqual([user?.username, user?.full_name], ['johndoe', null]);
assert.deepEqual([problem?.status, problem?.code, problem?.errors?.[0]?.pointer], [422, 'wrong_password', '/current_password']);
const long = await updateMe({ body: { full_name: 'x'.repeat(201) } });
assert.deepEqual([long.error?.code, long.error?.errors?.[0]?.pointer], ['validation_failed', '/full_name']);
assert.equal((await updateMe({ body: { full_name: 'John' } })).data?.full_name, 'John');
assert.equal((await updateMe({ body: {} })).data?.full_name, 'John');

const plain = createClient({ baseUrl: 'http://127.0.0.1:8080' });
const login = await createToken({
  client: plain, body: { grant_type: 'password', username: 'johndoe', password: 'knock-knock' }, throwOnError: true,
});
const refreshed = await createToken({
  client: plain, body: { grant_type: 'refresh_token', refresh_token: login.data.refresh_token }, throwOnError: true,
});
assert.notEqual(refreshed.data.refresh_token, login.data.refresh_token);
const wrong = await createToken({ client: plain, body: { grant_type: 'password', username: 'johndoe', password: 'x' } });
assert.equal(wrong.error?.error, 'invalid_grant');
// The generated client puts a token in by itself, where the contract asks for one.
const me = await getMe({ client: plain, auth: refreshed.data.access_token });
assert.equal(me.data?.full_name, 'John');
const missing = await endSession({
  client: plain, auth: refreshed.data.access_token, path: { session_id: '019ad827-a011-7c55-8a41-0d3f21f4a8b7' },
});
assert.equal(missing.error?.code, 'not_found');
await session.signOut();
