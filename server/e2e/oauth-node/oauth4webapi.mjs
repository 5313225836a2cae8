// oauth4webapi finds the endpoints, logs in, refreshes and logs out. It knows no password grant by
// name; its generic grant is made for such.
import * as oauth from 'oauth4webapi';

const issuer = new URL('http://127.0.0.1:8080');
const plain = { [oauth.allowInsecureRequests]: true }; // for http:// alone

const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...plain });
const server = await oauth.processDiscoveryResponse(issuer, discovered);
const client = { client_id: 'first-party' };

const grant = async (type, parameters) => oauth.processGenericTokenEndpointResponse(server, client,
  await oauth.genericTokenEndpointRequest(server, client, oauth.None(), type, parameters, plain));
const token = await grant('password', { username: 'johndoe', password: 'knock-knock', scope: 'me:read' });

const refreshed = await oauth.processRefreshTokenResponse(server, client,
  await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token.refresh_token, plain));
const answer = await oauth.protectedResourceRequest(
  refreshed.access_token, 'GET', new URL('/users/me', issuer), undefined, undefined, plain);
console.log((await answer.json()).username); // johndoe

// What the guide does not show.
import assert from 'node:assert/strict';

assert.equal(token.scope, 'me:read');
assert.notEqual(refreshed.refresh_token, token.refresh_token);
await assert.rejects(grant('password', { username: 'johndoe', password: 'knock-knack' }), (error) => {
  assert.ok(error instanceof oauth.ResponseBodyError, error);
  assert.deepEqual([error.error, error.status], ['invalid_grant', 400]);
  return true;
});
const stranger = { client_id: 'stranger' };
const refused = await oauth.genericTokenEndpointRequest(server, stranger, oauth.None(), 'password',
  { username: 'johndoe', password: 'knock-knock' }, plain);
await assert.rejects(oauth.processGenericTokenEndpointResponse(server, stranger, refused),
  (error) => error instanceof oauth.WWWAuthenticateChallengeError && error.status === 401);

// It checks an access token as a service would: RFC 9068.
const asked = (accessToken) => oauth.validateJwtAccessToken(server,
  new Request(issuer, { headers: { Authorization: `Bearer ${accessToken}` } }), issuer.origin, plain);
const claims = await asked(refreshed.access_token);
assert.deepEqual([claims.iss, claims.client_id, claims.scope], [server.issuer, 'first-party', 'me:read']);
const [header, , signature] = refreshed.access_token.split('.');
const forged = Buffer.from(JSON.stringify({ ...claims, sub: 'eve' })).toString('base64url');
await assert.rejects(asked(`${header}.${forged}.${signature}`), { message: 'JWT signature verification failed' });

await oauth.processRevocationResponse(await oauth.revocationRequest(
  server, client, oauth.None(), refreshed.refresh_token, plain));
await assert.rejects(
  oauth.protectedResourceRequest(refreshed.access_token, 'GET', new URL('/users/me', issuer), undefined, undefined, plain),
  (error) => error instanceof oauth.WWWAuthenticateChallengeError && error.cause[0].parameters.error === 'invalid_token',
);
