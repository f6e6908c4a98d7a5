// Starts the built server in this process, uses each part of it once, closes it, and does nothing more: the process ends
// by itself only if no timer, socket, thread or file is left open.
import { once } from 'node:events';
import { io } from 'socket.io-client';
import { loadConfig } from '../../dist/config/index.js';
import { createLog } from '../../dist/observability/index.js';
import { createServer } from '../../dist/server.js';

const config = loadConfig(process.env);
const log = createLog({ level: config.logLevel, pretty: false });
const server = await createServer(config, { log });
await server.listen();

const response = await fetch(`${server.url}/api/auth/register`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', connection: 'close' },
  body: JSON.stringify({ email: 'ada@example.com', password: 'plankalkul ada', name: 'Ada' }),
});
const { accessToken, user } = await response.json();
const form = new FormData();
form.append('file', new Blob(['words']), 'words.txt');
const upload = await fetch(`${server.url}/api/attachments`, {
  method: 'POST',
  headers: { authorization: `Bearer ${accessToken}`, connection: 'close' },
  body: form,
});
if (!upload.ok) throw new Error(await upload.text());
const socket = io(server.url, { auth: { token: accessToken }, reconnection: false });
await once(socket, 'hello');
const { data } = await socket.emitWithAck('ai:prompt', { content: 'count to 5000' });
await once(socket, 'ai:delta');
await socket.emitWithAck('chat:join', { chatId: data.chatId });
await socket.emitWithAck('typing:start', { chatId: data.chatId });
await socket.emitWithAck('presence:watch', { userIds: [user.id] });
await socket.emitWithAck('presence:set', { status: 'busy' });

const gone = once(socket, 'disconnect');
await server.close();
await gone;
await log.close();
