import { createRemoteJWKSet, jwtVerify } from 'jose';

const keys = createRemoteJWKSet(new URL('http://127.0.0.1:8080/.well-known/jwks.json'));

export async function verify(accessToken) {
  const { payload } = await jwtVerify(accessToken, keys, {
    issuer: 'http://127.0.0.1:8080',
    audience: 'http://127.0.0.1:8080',
    algorithms: ['ES256'],
    typ: 'at+jwt',
    requiredClaims: ['exp', 'sub', 'scope'],
  });
  return payload; // sub is the user's id
}

// What the guide does not show.
import assert from 'node:assert/strict';

const response = await fetch('http://127.0.0.1:8080/token', {
  method: 'POST', body: new URLSearchParams({ grant_type: 'password', username: 'johndoe', password: 'knock-knock' }),
});
const { access_token: token } = await response.json();
const claims = await verify(token);
const me = await (await fetch('http://127.0.0.1:8080/users/me', { headers: { Authorization: `Bearer ${token}` } })).json();
assert.deepEqual([claims.sub, claims.scope, claims.client_id], [me.id, 'me:read me:write', 'first-party']);

const [header, payload, signature] = token.split('.');
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const forgeries = {
  'another user': [header, encode({ ...claims, sub: '019ad827-9c2f-713a-a564-7e27e6b20354' }), signature],
  'no signature': [encode({ alg: 'none', typ: 'at+jwt' }), payload, ''],
  'another signature': [header, payload, (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)],
};
for (const [name, parts] of Object.entries(forgeries)) {
  await assert.rejects(verify(parts.join('.')), { name: /^(JW[ST]|JOSE)/ }, name);
}
await assert.rejects(jwtVerify(token, keys, { typ: 'at+jwt', audience: 'https://another.example' }),
  { code: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'aud' });
console.log(claims.scope, 'refused:', Object.keys(forgeries).join(', '));
