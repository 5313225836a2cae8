import { session } from './fetcher.js';
import { changePassword, updateMe } from './sesame.js';

const updated = await updateMe({ full_name: null }); // null clears
const refused = await changePassword({ current_password: 'a guess', new_password: 'a wooden horse' });
if (updated.status === 200 && refused.status === 422) { // the status tells the type of data
  console.log(updated.data.username, refused.data.code, refused.data.errors?.[0]?.pointer); // johndoe wrong_password /current_password
}

// What the guide does not show.
import assert from 'node:assert/strict';
import { createToken, getMe, listMyEvents } from './sesame.js';

const me = await getMe();
assert.ok(me.status === 200);
assert.deepEqual([me.data.username, me.data.full_name], ['johndoe', null]);
const long = await updateMe({ full_name: 'x'.repeat(201) });
assert.ok(long.status === 422);
assert.deepEqual([long.data.code, long.data.errors?.[0]?.pointer], ['validation_failed', '/full_name']);

const login = await createToken({ grant_type: 'password', username: 'johndoe', password: 'knock-knock' });
assert.ok(login.status === 200);
const refreshed = await createToken({ grant_type: 'refresh_token', refresh_token: login.data.refresh_token });
assert.ok(refreshed.status === 200);
assert.notEqual(refreshed.data.refresh_token, login.data.refresh_token);
const wrong = await createToken({ grant_type: 'password', username: 'johndoe', password: 'knock-knack' });
assert.ok(wrong.status === 400);
assert.equal(wrong.data.error, 'invalid_grant');

const events = await listMyEvents({ limit: 1 });
assert.ok(events.status === 200);
assert.equal(events.data.items.length, 1);
await session.signOut();
