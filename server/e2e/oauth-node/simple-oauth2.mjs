import { ResourceOwnerPassword } from 'simple-oauth2';

const client = new ResourceOwnerPassword({
  client: { id: 'first-party', secret: '' },
  auth: { tokenHost: 'http://127.0.0.1:8080', tokenPath: '/token', revokePath: '/token/revoke' },
  http: { json: true }, // the default refuses the empty response to a revocation
});
let token = await client.getToken({ username: 'johndoe', password: 'knock-knock' });
if (token.expired(30)) token = await token.refresh();
await token.revoke('refresh_token'); // ends the session

// What the guide does not show.
import assert from 'node:assert/strict';

const status = async ({ token: { access_token: accessToken } }) => (await fetch('http://127.0.0.1:8080/users/me', {
  headers: { Authorization: `Bearer ${accessToken}` },
})).status;
const refused = (code) => (error) => {
  assert.deepEqual([error.output.statusCode, error.data.payload.error], [400, code]);
  return true;
};
assert.equal(await status(token), 401);
await assert.rejects(token.refresh(), refused('invalid_grant'));
await assert.rejects(client.getToken({ username: 'johndoe', password: 'knock-knack' }), refused('invalid_grant'));

const first = await client.getToken({ username: 'johndoe', password: 'knock-knock', scope: ['me:read', 'users:read'] });
assert.equal(first.token.scope, 'me:read');
const second = await first.refresh({ scope: ['me:read', 'users:read'] }); // as at the login
assert.equal(second.token.scope, 'me:read');
assert.notEqual(second.token.refresh_token, first.token.refresh_token);
assert.equal(await status(second), 200);
await second.revokeAll();
assert.equal(await status(second), 401);
console.log('revoked');
