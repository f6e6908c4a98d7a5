/** What the generated protocol text says beside rules and tables. */
import type { FaultCode } from '../../protocol/index.ts';

export const MEANINGS: Record<FaultCode, string> = {
  unauthenticated: 'Nobody is signed in, or the token or the secret is not good',
  forbidden: 'The caller knows of the thing but may not do this',
  not_found: 'There is no such thing for this caller, operation or route',
  invalid: 'The input is not valid; `detail` lists `{ path, message }`',
  conflict: 'It collides with something that exists, such as a taken name',
  too_large: 'The input is larger than allowed',
  rate_limited: 'Too often; try again after `retryAfterMs`',
  quota_exceeded: "The plan's quota is used up",
  unsupported: 'This form, type, version or country is not supported',
  timeout: 'No answer in time; the outcome is unknown, repeat with the same `clientId`',
  upstream: 'A service behind the server failed',
  unavailable: 'Not possible at the moment, or not switched on',
  internal: 'A fault of the server, which has been logged',
};

export const INTRODUCTION = `## Transport

Any Socket.IO v4 client connects to the default namespace with the default parser; HTTP has a twin of most operations.

\`\`\`js
import { io } from 'socket.io-client';
const socket = io('http://localhost:3000', { auth: { token: accessToken, protocol: 1 } });
const answer = await socket.emitWithAck('message:send', { chatId, clientId: crypto.randomUUID(), content: 'Hello' });
\`\`\`

What a client sends is an **operation**: a Socket.IO event with one JSON object and, usually, an acknowledgement callback.
What the server sends is an **event** in the past tense, with one object. Names are \`feature:verb\`.

Ids are strings, times ISO 8601 in UTC. Durations end in \`Ms\` or \`Seconds\`, sizes in \`Bytes\`. Text offsets are UTF-16
units; byte offsets are bytes.

## Handshake

The access token travels in \`auth.token\`, never in the query. \`auth.protocol\` may name the version wanted; without it
the server's own is taken. A refusal is a \`connect_error\` whose \`data\` is \`{ code, message }\`. After an accepted
connection the server joins the user's rooms and then sends \`hello\` once:

\`\`\`ts
{ protocol: 1, serverId, userId, sessionId, expiresInSeconds, limits }
\`\`\`

## Answers

Every operation is acknowledged with one of

\`\`\`ts
{ ok: true, data }
{ ok: false, error: { code, message, detail?, retryAfterMs? } }
\`\`\`

Over HTTP the same comes in an envelope, with the status of the code:

\`\`\`ts
{ type: "success", message, data }
{ type: "error", message, error: { code, message, detail?, retryAfterMs? } }
\`\`\`

## Resuming

A client keeps the highest \`rev\` it has seen of each chat, without a hole below it. After a reconnect it asks
\`chat:heads\`, and for each chat whose head is above its own position \`chat:sync\` with \`after\` = that position, going on
with the returned \`position\` while \`more\` is true. An event with \`rev\` = position + 1 moves the position; one at or below
it is known already; one further above shows a hole: the client keeps the event, and asks for the range if the hole is
still there after half a second.

A running assistant stream is followed by offsets: a delta whose \`offset\` is the length of the text so far is appended,
one that begins below it is cut or dropped, one above means \`ai:resume\` with that length.`;
