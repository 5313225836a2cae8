/**
 * Keeps a login to Sesame alive: sends the password once, adds the access token to every request, refreshes it before it
 * expires, and ends the session at signOut. One file without dependencies, for browsers and Node 20: copy it.
 *
 *     const session = await Session.login('https://login.example.com', username, password);
 *     const response = await session.fetch('https://login.example.com/users/me');
 *     await session.signOut();
 *
 * `session.fetch` works with every client that takes a `fetch`, such as those of openapi-fetch and @hey-api/openapi-ts. The
 * tokens are held in memory only and sent to the origin of the session alone.
 *
 * The password grant is for first-party programs, which would show a password field in any case.
 */
export class Session {
  readonly #address: string;
  readonly #send: typeof fetch;
  #token!: Token; // always set after login
  #refreshing: Promise<Token> | undefined;
  #ended: Error | undefined; // why the session has ended, or undefined

  private constructor(address: string, send: typeof fetch) {
    this.#address = new URL(address).href.replace(/\/$/, '');
    this.#send = send;
  }

  /**
   * Logs in with a username and a password (RFC 6749 §4.3). The address is the server's public URL. Without scopes the session
   * gets the default ones. A refusal is thrown as an OAuthError.
   */
  static async login(
    address: string, username: string, password: string,
    { scopes = [], fetch: send = fetch }: { scopes?: readonly string[]; fetch?: typeof fetch } = {},
  ): Promise<Session> {
    const session = new Session(address, (input, init) => send(input, init)); // window.fetch must be called without `this`
    const form: Record<string, string> = { grant_type: 'password', username, password };
    if (scopes.length > 0) form['scope'] = scopes.join(' ');
    session.#token = await session.#grant(form);
    return session;
  }

  /**
   * fetch with the access token. A request that is answered 401 is repeated once with a new token. If the server refuses the
   * refresh, this and every later call throw an OAuthError with the code `invalid_grant`: the person has to log in again.
   */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    if (new URL(request.url).origin !== new URL(this.#address).origin) return this.#send(request);
    if (this.#ended) throw this.#ended;
    const token = Date.now() < this.#token.staleAt ? this.#token : await this.#renew(this.#token);
    const again = request.clone(); // a body can be read only once
    const response = await this.#send(authorised(request, token));
    // Where the person has to log in again (RFC 9470), a new token changes nothing.
    if (response.status !== 401 || response.headers.get('WWW-Authenticate')?.includes('insufficient_user_authentication')) {
      return response;
    }
    await response.body?.cancel();
    return this.#send(authorised(again, await this.#renew(token)));
  };

  /**
   * Ends the session on the server (RFC 7009) and with it all of its tokens. From the call on, fetch throws. If signOut fails,
   * it may be called again.
   */
  async signOut(): Promise<void> {
    this.#ended = new Error('signed out');
    const response = await this.#post('/token/revoke', { token: this.#token.refreshToken });
    if (!response.ok) throw await refusal(response);
  }

  // Replaces a token that has expired or was refused. Concurrent calls share one refresh, and a call with an older token
  // returns the current one, so each refresh token is used once.
  async #renew(used: Token): Promise<Token> {
    if (this.#ended) throw this.#ended;
    if (used !== this.#token) return this.#token;
    return this.#refreshing ??= this.#refresh(used.refreshToken);
  }

  async #refresh(token: string): Promise<Token> {
    try {
      const fresh = await this.#grant({ grant_type: 'refresh_token', refresh_token: token });
      if (this.#ended) throw this.#ended; // signed out in the meantime
      return this.#token = fresh;
    } catch (error) {
      // After any other error the next request retries.
      if (error instanceof OAuthError && error.code === 'invalid_grant') this.#ended ??= error;
      throw this.#ended ?? error;
    } finally {
      this.#refreshing = undefined;
    }
  }

  async #grant(form: Record<string, string>): Promise<Token> {
    const response = await this.#post('/token', form);
    if (!response.ok) throw await refusal(response);
    const token = await response.json() as { access_token: string; refresh_token: string; expires_in: number };
    return {
      accessToken: token.access_token,
      refreshToken: token.refresh_token,
      staleAt: Date.now() + token.expires_in * 900, // before the last tenth of its lifetime
    };
  }

  #post(path: string, form: Record<string, string>): Promise<Response> {
    return this.#send(this.#address + path, {
      method: 'POST',
      body: new URLSearchParams(form),
      cache: 'no-store',
      credentials: 'omit',
      keepalive: true, // so that signing out completes after the page is closed
      redirect: 'error', // a redirect would send the password or the token to another server
      signal: AbortSignal.timeout(30_000),
    });
  }
}

/** A refusal of the token endpoints (RFC 6749 §5.2). */
export class OAuthError extends Error {
  override readonly name = 'OAuthError';
  /** The HTTP status. */
  readonly status: number;
  /** RFC 6749's `error`, such as `invalid_grant`; empty if the answer is not from Sesame. */
  readonly code: string;

  constructor(status: number, code: string, description: string) {
    super(description);
    this.status = status;
    this.code = code;
  }
}

interface Token {
  readonly accessToken: string;
  readonly refreshToken: string;
  /** When to refresh it, as in Date.now(). */
  readonly staleAt: number;
}

function authorised(request: Request, token: Token): Request {
  request.headers.set('Authorization', `Bearer ${token.accessToken}`);
  return request;
}

async function refusal(response: Response): Promise<OAuthError> {
  const said = await response.json().catch(() => ({})) as { error?: string; error_description?: string };
  return new OAuthError(response.status, said.error ?? '', said.error_description ?? `the server answered ${response.status}`);
}
