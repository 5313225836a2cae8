// A proxy in front of Sesame that counts requests and lets a test change the answers.
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

// startProxy resolves with the proxy. `seen` counts grants by type and other requests by "METHOD /path status". reset()
// restores the defaults.
export async function startProxy(target) {
  const proxy = {
    // holdNext holds the answer to the next request for a path until release() is called.
    holdNext(path) {
      const held = { path };
      held.arrived = new Promise((resolve) => { held.arrive = resolve; });
      held.released = new Promise((resolve) => { held.release = resolve; });
      return (proxy.held = held);
    },
    reset() {
      Object.assign(proxy, {
        seen: {},
        changeToken: (token) => token, // (answer, grant_type) of a grant
        changeAnswer: () => {}, // (headers) of any other answer
        redirect: undefined, // redirects everything to this address, with 307
        unplugged: false, // closes every connection
        held: undefined,
      });
    },
  };
  proxy.reset();

  async function pass(request, response) {
    const body = await text(request);
    if (proxy.unplugged) return request.socket.destroy();
    if (proxy.redirect) return response.writeHead(307, { Location: proxy.redirect }).end();
    const { host, connection, 'transfer-encoding': _, ...headers } = request.headers;
    const answer = await fetch(target + request.url, { method: request.method, headers, body: body || undefined, redirect: 'manual' });
    let content = await answer.text();
    const { held } = proxy;
    if (held?.path === request.url) {
      proxy.held = undefined;
      held.arrive();
      await held.released;
    }
    const answered = { 'content-type': answer.headers.get('content-type') ?? '' };
    const challenge = answer.headers.get('www-authenticate');
    if (challenge) answered['www-authenticate'] = challenge;
    let name = `${request.method} ${request.url} ${answer.status}`;
    if (request.url === '/token' && answer.ok) {
      name = new URLSearchParams(body).get('grant_type');
      content = JSON.stringify(proxy.changeToken(JSON.parse(content), name));
    } else {
      proxy.changeAnswer(answered);
    }
    proxy.seen[name] = (proxy.seen[name] ?? 0) + 1;
    return response.writeHead(answer.status, answered).end(content);
  }

  const server = createServer((request, response) => {
    pass(request, response).catch((error) => { console.error(error); request.socket.destroy(); });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  proxy.origin = `http://127.0.0.1:${server.address().port}`;
  proxy.stop = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return proxy;
}
