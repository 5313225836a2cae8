// An application with Auth.js (@auth/core), which has pages of its own below /auth.
import { createServer } from 'node:http';
import { Auth } from '@auth/core';
import { getToken } from '@auth/core/jwt';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, APP } = process.env;
const secret = 'a secret of the application, which signs its cookies';
const metadata = await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json();

// renew exchanges the refresh token, as the guide of Auth.js does.
async function renew(token) {
  const answer = await fetch(metadata.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token.tokens.refresh_token, client_id: CLIENT_ID, client_secret: CLIENT_SECRET }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return { ...token, tokens: await answer.json(), expired: false };
}

const config = {
  basePath: '/auth', secret, trustHost: true,
  providers: [{
    id: 'sesame', name: 'Sesame', type: 'oidc', issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET,
    authorization: { params: { scope: 'openid profile email' } }, checks: ['pkce', 'state', 'nonce'],
    idToken: false, // reads userinfo
    profile: (profile) => ({ id: profile.sub, name: profile.preferred_username, email: profile.email }),
  }],
  callbacks: {
    jwt({ token, account, trigger }) {
      if (account) return { ...token, tokens: { refresh_token: account.refresh_token, id_token: account.id_token } };
      return trigger === 'update' ? renew(token) : token;
    },
  },
};

const redirect = (to) => new Response(null, { status: 303, headers: { Location: to } });

async function page(request) {
  const { pathname } = new URL(request.url);
  const cookies = Object.fromEntries(request.headers);
  const call = (path, init) => Auth(new Request(APP + path, { ...init, headers: { ...cookies, ...init?.headers } }), config);
  if (pathname.startsWith('/auth/')) return Auth(request, config);
  const token = await getToken({ req: request, secret, salt: 'authjs.session-token', cookieName: 'authjs.session-token' });
  if (pathname === '/bye') return new Response('Bye');
  if (!token || pathname === '/sign-in') return redirect(`${APP}/auth/signin?callbackUrl=${APP}/`);
  if (pathname === '/refresh') {
    const { csrfToken } = await (await call('/auth/csrf')).json();
    const updated = await call('/auth/session', { method: 'POST', body: JSON.stringify({ csrfToken, data: {} }), headers: { 'Content-Type': 'application/json' } });
    const answer = redirect(APP);
    for (const cookie of updated.headers.getSetCookie()) answer.headers.append('Set-Cookie', cookie);
    return answer;
  }
  if (pathname === '/sign-out') {
    const answer = redirect(`${metadata.end_session_endpoint}?${new URLSearchParams({ id_token_hint: token.tokens.id_token, post_logout_redirect_uri: `${APP}/bye` })}`);
    answer.headers.append('Set-Cookie', 'authjs.session-token=; Max-Age=0; Path=/');
    return answer;
  }
  return new Response(`Hello ${token.name}`);
}

createServer(async (incoming, response) => {
  const chunks = await incoming.toArray();
  const body = chunks.length ? Buffer.concat(chunks) : undefined;
  const answer = await page(new Request(APP + incoming.url, { method: incoming.method, headers: incoming.headers, body }));
  response.writeHead(answer.status, [...answer.headers].flat());
  response.end(Buffer.from(await answer.arrayBuffer()));
}).listen(new URL(APP).port, '127.0.0.1');
