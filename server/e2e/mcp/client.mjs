// A client of an MCP server that needs a token: the official SDK finds Sesame, registers, and signs a person in.
//
//   node client.mjs https://notes.example.com/mcp 'buy a horse'
import { createServer } from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [server, note] = process.argv.slice(2);

// The browser comes back to this program, with a code.
const callback = createServer();
await new Promise((resolve) => { callback.listen(0, '127.0.0.1', resolve); });
const redirectUrl = `http://127.0.0.1:${callback.address().port}/callback`;
const code = new Promise((resolve, reject) => {
  callback.on('request', (request, response) => {
    const answer = new URL(request.url, redirectUrl).searchParams;
    response.end('You can close this page.');
    if (answer.get('code')) resolve(answer.get('code'));
    else reject(new Error(`the sign-in failed: ${answer.get('error')}`));
  });
});

// What the SDK stores. A real program keeps the tokens, and the client, where only it can read them.
const kept = {};
const authProvider = {
  redirectUrl,
  clientMetadata: { client_name: 'Notes for agents', redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none' },
  clientMetadataUrl: process.env.CLIENT_METADATA_URL, // with a client ID metadata document, the client need not register
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  redirectToAuthorization: (address) => { console.log(`Open ${address}`); },
};

async function connect() {
  const client = new Client({ name: 'notes', version: '0.1.0' });
  const transport = new StreamableHTTPClientTransport(new URL(server), { authProvider });
  try {
    await client.connect(transport);
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(await code);
    return connect();
  }
  return client;
}

const client = await connect();
const call = async (name, args) => {
  const { content: [{ text }], isError } = await client.callTool({ name, arguments: args });
  console.log(`${name}: ${isError ? 'refused: ' : ''}${text}`);
};
await call('add_note', { text: note });
await call('list_notes', {});
if (process.env.SHOW) console.log(`kept: ${JSON.stringify(kept)}`); // for a test
await client.close();
callback.close();
callback.closeAllConnections();
