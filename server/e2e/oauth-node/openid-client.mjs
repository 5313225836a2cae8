// openid-client finds the endpoints, logs in, refreshes and logs out.
import * as oidc from 'openid-client';

const server = new URL('http://127.0.0.1:8080');
const config = await oidc.discovery(server, 'first-party', undefined, oidc.None(), {
  algorithm: 'oauth2',
  execute: [oidc.allowInsecureRequests], // for http:// alone
});
const token = await oidc.genericGrantRequest(config, 'password', { username: 'johndoe', password: 'knock-knock' });
const refreshed = await oidc.refreshTokenGrant(config, token.refresh_token);
const answer = await oidc.fetchProtectedResource(config, refreshed.access_token, new URL('/users/me', server), 'GET');
console.log((await answer.json()).username); // johndoe

// What the guide does not show.
import assert from 'node:assert/strict';

assert.notEqual(refreshed.refresh_token, token.refresh_token);
assert.ok(refreshed.expiresIn() > 500, 'the library did not understand expires_in');
await assert.rejects(oidc.genericGrantRequest(config, 'password', { username: 'johndoe', password: 'knock-knack' }), (error) => {
  assert.ok(error instanceof oidc.ResponseBodyError, error);
  assert.deepEqual([error.error, error.status], ['invalid_grant', 400]);
  return true;
});
await oidc.tokenRevocation(config, refreshed.refresh_token);
await assert.rejects(oidc.refreshTokenGrant(config, refreshed.refresh_token), { error: 'invalid_grant' });
await assert.rejects(oidc.fetchProtectedResource(config, refreshed.access_token, new URL('/users/me', server), 'GET'),
  (error) => error instanceof oidc.WWWAuthenticateChallengeError && error.cause[0].parameters.error === 'invalid_token');
