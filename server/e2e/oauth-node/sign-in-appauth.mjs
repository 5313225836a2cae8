// AppAuth-JS signs a person in from a desktop program, which listens at a port that is not the registered one. It opens the
// browser by itself: the test has put another xdg-open on the path.
import assert from 'node:assert/strict';
import { register } from 'node:module';

register('./appauth-hooks.mjs', import.meta.url);
const appauth = await import('@openid/appauth');
const { NodeBasedHandler, NodeCrypto, NodeRequestor } = await import('@openid/appauth/built/src/node_support/index.js');
const { ISSUER, PORT, CLIENT_ID: client_id } = process.env;
const redirect_uri = `http://127.0.0.1:${PORT}/callback`;

const requestor = new NodeRequestor();
const server = await appauth.AuthorizationServiceConfiguration.fetchFromIssuer(ISSUER, requestor);
const handler = new NodeBasedHandler(Number(PORT));
const answered = new Promise((resolve, reject) => {
  const notifier = new appauth.AuthorizationNotifier();
  notifier.setAuthorizationListener((request, response, error) => (response ? resolve({ request, response }) : reject(error)));
  handler.setAuthorizationNotifier(notifier);
});
handler.performAuthorizationRequest(server, new appauth.AuthorizationRequest({
  client_id, redirect_uri, scope: 'openid profile', response_type: appauth.AuthorizationRequest.RESPONSE_TYPE_CODE,
}, new NodeCrypto()));
const { request, response } = await answered;
assert.equal(response.state, request.state);

const tokens = new appauth.BaseTokenRequestHandler(requestor);
const first = await tokens.performTokenRequest(server, new appauth.TokenRequest({
  client_id, redirect_uri, grant_type: appauth.GRANT_TYPE_AUTHORIZATION_CODE, code: response.code,
  extras: { code_verifier: request.internal.code_verifier },
}));
const second = await tokens.performTokenRequest(server, new appauth.TokenRequest({
  client_id, redirect_uri, grant_type: appauth.GRANT_TYPE_REFRESH_TOKEN, refresh_token: first.refreshToken,
}));
assert.notEqual(second.refreshToken, first.refreshToken);
const info = await requestor.xhr({
  url: server.userInfoEndpoint, method: 'GET', dataType: 'json', headers: { Authorization: `Bearer ${second.accessToken}` },
});
assert.equal(info.preferred_username, 'ann');
console.log(`${server.endSessionEndpoint}?${new URLSearchParams({ id_token_hint: second.idToken })}`);
