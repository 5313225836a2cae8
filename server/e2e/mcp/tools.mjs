// An MCP server that knows nothing of tokens: `sesame guard --mcp` in front of it says who calls.
//
//   node tools.mjs 9000
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const notes = new Map();

// serverFor makes the tools of one request, for the person whom the guard names.
function serverFor(person) {
  const server = new McpServer({ name: 'notes', version: '0.1.0' });
  const say = (text) => ({ content: [{ type: 'text', text }] });
  server.registerTool('list_notes', { description: 'List my notes' }, () => say((notes.get(person) ?? []).join(', ')));
  server.registerTool('add_note', { description: 'Keep a note', inputSchema: { text: z.string() } }, ({ text }) => {
    notes.set(person, [...notes.get(person) ?? [], text]);
    return say('kept');
  });
  return server;
}

createServer(async (request, response) => {
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined }); // no session that another person could take over
  response.on('close', () => transport.close());
  await serverFor(request.headers['x-auth-request-user']).connect(transport);
  await transport.handleRequest(request, response);
}).listen(Number(process.argv[2]), '127.0.0.1');
