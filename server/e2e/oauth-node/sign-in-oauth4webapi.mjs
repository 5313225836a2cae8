// oauth4webapi signs a person in from a command line. It prints an address, and reads the one that the browser ended at.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import * as oauth from 'oauth4webapi';

const { ISSUER, CLIENT_ID: client_id } = process.env;
const redirect = 'http://127.0.0.1:9/callback';
const options = { [oauth.allowInsecureRequests]: true };
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function browse(address, parameters) {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  console.log(url.href);
  return new URL((await lines.next()).value);
}

const issuer = new URL(ISSUER);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options));
const client = { client_id };
const verifier = oauth.generateRandomCodeVerifier();
const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
const request = {
  client_id, redirect_uri: redirect, response_type: 'code', scope: 'openid profile email', state, nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
};
const redirected = oauth.validateAuthResponse(server, client, await browse(server.authorization_endpoint, { ...request, max_age: 60 }), state);
const exchange = () => oauth.authorizationCodeGrantRequest(server, client, oauth.None(), redirected, redirect, verifier, options);
const tokens = await oauth.processAuthorizationCodeResponse(server, client, await exchange(),
  { expectedNonce: nonce, maxAge: 60, requireIdToken: true });
const claims = oauth.getValidatedIdTokenClaims(tokens);
assert.equal(claims.acr, '1');

const refreshed = await oauth.processRefreshTokenResponse(server, client,
  await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens.refresh_token, options));
assert.notEqual(refreshed.refresh_token, tokens.refresh_token);
assert.equal(oauth.getValidatedIdTokenClaims(refreshed).sub, claims.sub);
const info = await oauth.processUserInfoResponse(server, client, claims.sub, await oauth.userInfoRequest(server, client, refreshed.access_token, options));
assert.deepEqual([info.preferred_username, info.email, info.email_verified], ['ann', 'ann@example.com', true]);

// Without a page; then with one that the request does not allow.
const silently = async () => oauth.validateAuthResponse(server, client, await browse(server.authorization_endpoint, { ...request, prompt: 'none', id_token_hint: tokens.id_token }), state);
assert.ok((await silently()).get('code'));
const ended = await browse(server.end_session_endpoint, { id_token_hint: refreshed.id_token, post_logout_redirect_uri: 'http://127.0.0.1:9/bye', state: 'a state' });
assert.equal(ended.href, 'http://127.0.0.1:9/bye?state=a+state');
await assert.rejects(silently, { error: 'login_required' });
const afterwards = await oauth.userInfoRequest(server, client, refreshed.access_token, options);
assert.equal(afterwards.status, 401);
await assert.rejects(async () => oauth.processAuthorizationCodeResponse(server, client, await exchange()), { error: 'invalid_grant' });
process.exit();
