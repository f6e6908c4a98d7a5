/** The baseline: stock Socket.IO that rebroadcasts to one room and answers, without storage, sessions or checks. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { serveClient: false });
let seq = 0;

io.on('connection', (socket) => {
  void socket.join('room');
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
      io.to('room').emit('message:created', { chatId, rev: seq, message });
      ack({ ok: true, data: { id, seq, rev: seq, createdAt } });
    },
  );
});

http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}`));
