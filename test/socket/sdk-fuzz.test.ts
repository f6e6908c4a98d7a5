/** The SDK against a server whose network does its worst, by seeded chance. */
import { setImmediate as tick } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { Message } from '../../src/client/index.ts';
import { randomOf } from '../support/random.ts';
import { newId, type Fate } from './sdk-scripted-server.ts';
import { contentsOf, heardBy, startClient, startServer } from './sdk-setup.ts';

const FATES: readonly Fate[] = ['lose', 'lose-answer', 'cut', 'cut-after'];

describe('whatever the network does', () => {
  test.each(Array.from({ length: 12 }, (_, seed) => seed))(
    '[SD-1] every listener hears every message once in order, every message sent exists once (seed %i)',
    async (seed) => {
      const random = randomOf(seed);
      const server = await startServer();
      const chats = [server.addChat(3), server.addChat(), server.addChat(1)].map(({ id }) => id);
      const before = new Map(chats.map((id) => [id, server.logs.get(id)?.length ?? 0]));
      const client = startClient(server, {
        requestTimeoutMs: 40,
        token: () => (random(4) ? 'a' : Promise.resolve('b')),
      });
      const listeners = [heardBy(client), heardBy(client)];
      const created: string[] = [];
      client.on('chat:created', ({ chat }) => created.push(chat.id));
      await client.ready();

      const late: Message[] = [];
      let calm = false;
      server.fate = () => (calm || random(8) ? 'answer' : (FATES[random(FATES.length)] as Fate));
      server.copies = () => (calm ? 1 : ([1, 1, 1, 1, 0, 2][random(6)] as number));
      const sent: Promise<{ content: string; chatId: string; seq: number }>[] = [];
      const anyChat = (): string => chats[random(chats.length)] as string;

      for (let step = 0; step < 250; step++) {
        switch (random(10)) {
          case 0:
          case 1:
          case 2: {
            const [chatId, content] = [anyChat(), `mine ${step}`];
            sent.push(client.send(chatId, content).then(({ seq }) => ({ content, chatId, seq })));
            break;
          }
          case 3:
          case 4:
            server.post(anyChat(), `other ${step}`);
            break;
          case 5:
            late.push(server.append(anyChat(), `late ${step}`));
            break;
          case 6:
            for (const message of late.splice(0).reverse()) if (random(3)) server.tell(message);
            break;
          case 7:
            if (random(4) === 0) server.cut();
            else if (random(8) === 0) server.kick();
            break;
          case 8:
            if (random(8) === 0) {
              const chat = server.addChat();
              chats.push(chat.id);
              if (random(2)) server.emit('chat:created', { chat });
            }
            break;
          default:
            if (random(4) === 0) await client.ready();
            for (let n = random(20); n > 0; n--) await tick();
        }
      }

      calm = true;
      const acked = await Promise.all(sent);
      // The last events may be lost too: only a new connection can know.
      server.cut();
      await vi.waitFor(() => {
        for (const heard of listeners) {
          const missing = chats.reduce(
            (sum, id) => sum + (server.logs.get(id)?.length ?? 0) - (before.get(id) ?? 0),
            0,
          );
          expect(heard.length).toBeGreaterThanOrEqual(missing);
        }
      }, 20_000);

      for (const heard of listeners) {
        for (const id of chats) {
          const log = server.logs.get(id) ?? [];
          expect(contentsOf(heard.filter(({ chatId }) => chatId === id))).toEqual(
            contentsOf(log.slice(before.get(id))),
          );
        }
      }
      for (const { content, chatId, seq } of acked) {
        const copies = (server.logs.get(chatId) ?? []).filter((message) => message.content === content);
        expect(copies.map((message) => message.seq)).toEqual([seq]);
      }
      expect(created.sort()).toEqual(chats.slice(3).sort());
    },
  );

  test.each(Array.from({ length: 12 }, (_, seed) => seed))(
    '[SD-4] every stream is heard without gaps or repeats and ends once (seed %i)',
    async (seed) => {
      const random = randomOf(seed);
      const server = await startServer();
      const chat = server.addChat();
      const client = startClient(server, { requestTimeoutMs: 40 });
      const texts = new Map<string, string>();
      const started: string[] = [];
      const ends: string[] = [];
      client.on('ai:started', ({ streamId }) => started.push(streamId));
      client.on('ai:delta', ({ streamId, offset, text }) => {
        const before = texts.get(streamId) ?? '';
        expect(offset).toBe(before.length);
        texts.set(streamId, before + text);
      });
      client.on('ai:finished', ({ streamId }) => ends.push(streamId));
      await client.call('chat:join', { chatId: chat.id });

      let calm = false;
      server.fate = () => (calm || random(10) ? 'answer' : (FATES[random(FATES.length)] as Fate));
      server.copies = () => (calm ? 1 : ([1, 1, 1, 1, 0, 2][random(6)] as number));
      const streams = Array.from({ length: 3 }, () => ({
        streamId: newId(),
        messageId: newId(),
        chatId: chat.id,
        text: '',
        status: 'running' as 'running' | 'finished',
      }));
      for (const stream of streams) {
        server.streams.set(stream.streamId, stream);
        const { streamId, messageId, chatId } = stream;
        server.emit('ai:started', { streamId, messageId, chatId });
      }
      for (let step = 0; step < 200; step++) {
        const stream = streams[random(streams.length)] as (typeof streams)[number];
        const { streamId } = stream;
        if (random(30) === 0) server.cut();
        const offset = stream.text.length;
        const text = `${step} `.repeat(1 + random(3));
        stream.text += text;
        server.emit('ai:delta', { streamId, offset, text });
        if (random(20) === 0) await client.ready();
        for (let n = random(8); n > 0; n--) await tick();
      }
      for (const stream of streams) {
        stream.status = 'finished';
        const message = Object.assign(server.append(chat.id, stream.text), { id: stream.messageId });
        server.emit('ai:finished', { streamId: stream.streamId, message, usage: {}, stopReason: 'end' });
      }
      calm = true;
      server.cut();
      // Of a stream of which nothing arrived while it ran, its message is all that there is to hear.
      const heard = streams.filter(({ streamId }) => texts.has(streamId) || started.includes(streamId));
      await vi.waitFor(
        () => expect(ends).toEqual(expect.arrayContaining(heard.map(({ streamId }) => streamId))),
        20_000,
      );
      expect(new Set(ends).size).toBe(ends.length);
      expect(new Set(started).size).toBe(started.length);
      for (const { streamId, text } of heard) expect(texts.get(streamId)).toBe(text);
    },
  );
});
