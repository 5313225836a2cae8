// An issuer for the tests of programs that verify access tokens. It publishes the keys of a running Sesame and one of its
// own, with which it signs tokens that differ from a valid one in one thing.
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { startSesame } from './sesame.mjs';

const encode = (value) => Buffer.from(value).toString('base64url');

// startIssuer resolves when a Sesame runs whose tokens name the issuer's address. `token()` resolves with an access token
// of the demo account; `variants` is a Map from what is wrong with a token to that token, made from a valid one.
export async function startIssuer() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const own = { ...publicKey.export({ format: 'jwk' }), kid: 'test', alg: 'ES256', use: 'sig' };

  let sesame;
  const server = createServer(async (request, response) => {
    const { keys } = await (await fetch(`${sesame.origin}/.well-known/jwks.json`)).json();
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys: [...keys, own] }));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const address = `http://127.0.0.1:${server.address().port}`;
  sesame = await startSesame({ SESAME_PUBLIC_URL: address });

  const seal = (header, claims, key = privateKey) => {
    const signed = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims))}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };

  async function token(scope) {
    const answer = await fetch(`${sesame.origin}/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'password', username: 'johndoe', password: 'knock-knock', ...scope && { scope } }),
    });
    return (await answer.json()).access_token;
  }

  // variants returns tokens like this one: the first is valid, and each of the others has one fault.
  function variants(accessToken) {
    const claims = JSON.parse(Buffer.from(accessToken.split('.')[1], 'base64url'));
    const header = { alg: 'ES256', typ: 'at+jwt', kid: 'test' };
    const without = (name) => ({ ...claims, [name]: undefined });
    const [head, body, signature] = accessToken.split('.');
    const unsigned = (alg) => `${encode(JSON.stringify({ ...header, alg }))}.${body}`;
    const confused = unsigned('HS256');
    return new Map(Object.entries({
      'nothing': seal(header, claims),
      'another type': seal({ ...header, typ: 'JWT' }, claims),
      'no type': seal({ ...header, typ: undefined }, claims),
      'another issuer': seal(header, { ...claims, iss: 'https://another.example' }),
      'another audience': seal(header, { ...claims, aud: ['https://another.example'] }),
      'no audience': seal(header, without('aud')),
      'expired': seal(header, { ...claims, iat: claims.iat - 7200, exp: claims.exp - 7200 }),
      'no end': seal(header, without('exp')),
      'another key': seal(header, claims, stranger),
      'an unknown key': seal({ ...header, kid: 'stranger' }, claims, stranger),
      'another user': `${head}.${encode(JSON.stringify({ ...claims, sub: '019ad827-9c2f-713a-a564-7e27e6b20354' }))}.${signature}`,
      'no signature': `${unsigned('none')}.`,
      'the public key as a secret': `${confused}.${createHmac('sha256', JSON.stringify(own)).update(confused).digest('base64url')}`,
    }));
  }

  const stop = async () => {
    server.close();
    return sesame.stop();
  };
  return { address, sesame, token, variants, stop };
}
