// A receiver of webhooks with the library of Standard Webhooks.
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const webhook = new Webhook(process.env.WEBHOOK_SECRET); // whsec_…
const seen = new Set(); // of your database: an event can arrive more than once

createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()); // as it came: JSON that is written again has another signature
  let event;
  try {
    event = webhook.verify(body, request.headers);
  } catch {
    response.writeHead(401).end();
    return;
  }
  const id = request.headers['webhook-id'];
  if (!seen.has(id)) {
    seen.add(id);
    console.log(event.type, event.data.id);
  }
  response.writeHead(204).end();
}).listen(process.env.PORT, '127.0.0.1');
