/**
 * The baseline: stock Socket.IO that lets a socket into the rooms it names, rebroadcasts and answers, without storage,
 * sessions or checks. With REDIS_URL it is one of several nodes behind the stock Redis adapter.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const redisUrl = process.env['REDIS_URL'];
const http = createServer();
const io = new Server(http, { serveClient: false });
if (redisUrl !== undefined) io.adapter(createAdapter(new Redis(redisUrl), new Redis(redisUrl)));
let seq = 0;

io.on('connection', (socket) => {
  void socket.join((socket.handshake.auth as { chatId: string }).chatId);
  socket.on(
    'message:send',
    ({ chatId, content }: { chatId: string; content: string }, ack: (answer: object) => void) => {
      seq++;
      const id = seq.toString(16).padStart(24, '0');
      const createdAt = new Date().toISOString();
      // The same event that Atelier sends, so that both carry the same bytes.
      const message = {
        id,
        chatId,
        seq,
        rev: seq,
        sender: { type: 'user', userId: id },
        type: 'text',
        content,
        attachments: [],
        metadata: {},
        mentions: [],
        reactions: [],
        createdAt,
      };
      io.to(chatId).emit('message:created', { chatId, rev: seq, message });
      ack({ ok: true, data: { id, seq, rev: seq, createdAt } });
    },
  );
});

http.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () =>
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}`),
);
