// A person with a browser that has no screen: it keeps cookies, follows redirects, and sends the forms of pages.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';

export const account = { username: 'ann', password: 'correct horse battery', email: 'ann@example.com' };

const unescape = (text) => text.replaceAll('&#43;', '+').replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<')
  .replaceAll('&gt;', '>').replaceAll('&amp;', '&');

// navigate sends a request as a browser does for its window; fetch() would say that a script sends it.
async function navigate(url, { method = 'GET', body, headers }) {
  const form = body && { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': Buffer.byteLength(body), Origin: new URL(url).origin };
  const sent = request(url, { method, agent: false, timeout: 20_000, headers: { Accept: 'text/html', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document', ...form, ...headers } });
  sent.on('timeout', () => sent.destroy(new Error(`${url} does not answer`))).end(body);
  const [answer] = await once(sent, 'response');
  return { answer, body: await text(answer) };
}

// newPerson returns somebody with an empty browser. A page is { url, status, text }.
export function newPerson() {
  const jar = new Map(); // every server of a test is on one host, and cookies do not know ports

  function keep(set) {
    const [pair, ...attributes] = set.split(';').map((part) => part.trim());
    const at = pair.indexOf('=');
    const ended = attributes.some((text) => /^max-age=(0|-)/i.test(text) || (/^expires=/i.test(text) && Date.parse(text.slice(8)) < Date.now()));
    if (ended) jar.delete(pair.slice(0, at));
    else jar.set(pair.slice(0, at), pair.slice(at + 1));
  }

  // open follows redirects to a page, or to an address that begins with `end`, which it does not open.
  async function open(url, { end, ...options } = {}) {
    for (let hops = 0; hops < 20; hops++) {
      if (end && url.startsWith(end)) return { url };
      const cookie = [...jar].map((pair) => pair.join('=')).join('; ');
      const { answer, body } = await navigate(url, { ...options, headers: cookie && { Cookie: cookie } });
      (answer.headers['set-cookie'] ?? []).forEach(keep);
      const { location } = answer.headers;
      if (!location) return { url, status: answer.statusCode, text: body };
      url = new URL(location, url).href;
      options = {};
    }
    throw new Error(`too many redirects to ${url}`);
  }

  // submit sends the form of a page with these fields filled in.
  function submit(page, fields, options) {
    const form = /<form[^>]*>[^]*?<\/form>/.exec(page.text)?.[0];
    assert.ok(form, `${page.url} answered ${page.status} without a form: ${page.text}`);
    const values = new URLSearchParams();
    const attribute = (tag, name) => unescape(new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? '');
    for (const [tag] of form.matchAll(/<input [^>]*type="hidden"[^>]*>/g)) values.set(attribute(tag, 'name'), attribute(tag, 'value'));
    for (const [name, value] of Object.entries(fields)) values.set(name, value);
    const action = new URL(attribute(/<form[^>]*>/.exec(form)[0], 'action'), page.url);
    return open(action.href, { method: 'POST', body: String(values), ...options });
  }

  // arrive opens an address, and presses the button of a page of the application, or of Sesame's question about signing out.
  async function arrive(url, options) {
    const page = await open(url, options);
    const own = /<form/.test(page.text) && new URL(page.url).origin === new URL(url).origin;
    return own || /<h1>Sign out\?/.test(page.text) ? submit(page, {}, options) : page;
  }

  // signIn opens an address that leads to the page of Sesame, signs in there, and agrees if asked. `consents` gets the text of that page.
  async function signIn(url, { consents = () => {}, ...options } = {}) {
    const page = await arrive(url, options);
    assert.match(page.text ?? page.url, /<h1>Sign in/);
    let next = await submit(page, { username: account.username, password: account.password }, options);
    if (!/<h1>Allow/.test(next.text)) return next;
    consents(next.text);
    next = await submit(next, { decision: 'allow' }, options);
    return next;
  }

  return { open, arrive, signIn };
}
