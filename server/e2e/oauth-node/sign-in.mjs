// A web application that signs people in with openid-client.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import * as oidc from 'openid-client';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, APP } = process.env; // APP is the address of this application
const config = await oidc.discovery(new URL(ISSUER), CLIENT_ID, CLIENT_SECRET, undefined, {
  execute: [oidc.allowInsecureRequests], // for http:// alone
});
const sessions = new Map(); // by cookie

const pages = {
  '/': ({ person }) => (person ? `Hello ${person.preferred_username}` : new URL(`${APP}/sign-in`)),
  async '/sign-in'(session) {
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    session.checks = { pkceCodeVerifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() };
    return oidc.buildAuthorizationUrl(config, {
      redirect_uri: `${APP}/callback`,
      scope: 'openid profile email',
      state: session.checks.expectedState,
      nonce: session.checks.expectedNonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    });
  },
  async '/callback'(session, url) {
    const tokens = await oidc.authorizationCodeGrant(config, url, session.checks);
    const person = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub);
    return start({ tokens, person });
  },
  async '/refresh'(session) { // do this before the access token expires
    session.tokens = await oidc.refreshTokenGrant(config, session.tokens.refresh_token);
    return new URL(APP);
  },
  '/sign-out'(session) {
    const end = oidc.buildEndSessionUrl(config, {
      id_token_hint: session.tokens.id_token, post_logout_redirect_uri: `${APP}/bye`,
    });
    return Object.assign(end, { cookie: start({}).cookie });
  },
  '/bye': () => 'Bye',
};

// start leads to the home page in a new session.
function start(session) {
  const id = randomUUID();
  sessions.set(id, session);
  return Object.assign(new URL(APP), { cookie: `session=${id}; HttpOnly; SameSite=Lax` });
}

createServer(async (request, response) => {
  const url = new URL(request.url, APP);
  const session = sessions.get(/session=([\w-]+)/.exec(request.headers.cookie)?.[1]);
  const page = session ? await pages[url.pathname]?.(session, url) : start({});
  if (page?.cookie) response.setHeader('Set-Cookie', page.cookie);
  if (page instanceof URL) response.writeHead(303, { Location: page.href }).end();
  else response.end(page);
}).listen(new URL(APP).port, '127.0.0.1');
