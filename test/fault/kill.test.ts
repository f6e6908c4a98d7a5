/** kill -9 of the whole server in the middle of many writers: what was acknowledged is there, once and in order. */
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AtelierClient } from '../../src/client/index.ts';
import { historyOf } from '../support/history.ts';
import { startProcess, testEnvironment, type ServerProcess } from '../support/process.ts';
import { openWorld } from '../support/server.ts';

const ROUNDS = 20;
const WRITERS = 24;

test(
  '[CH-10] [CH-12] twenty kills under 24 writers: no acknowledged message lost, none doubled, seq order kept, clients resume by themselves',
  { timeout: 240_000 },
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'atelier-kill-'));
    const env = testEnvironment(dataDir);
    let server: ServerProcess = await startProcess(env);
    // Everyone comes back to the same address.
    const port = new URL(server.url).port;
    await using world = openWorld(() => server.url);
    try {
      const [ada, grace] = [await world.person('Ada'), await world.person('Grace')];
      const chats = [await world.chat([ada, grace]), await world.chat([grace, ada])];
      const clients = [await world.client(ada), await world.client(grace)];
      const heard = clients.map((client) => listen(client));

      const acked: { id: string; seq: number; chatId: string }[] = [];
      const stopping = new AbortController();
      const writers = Array.from({ length: WRITERS }, async (_, writer) => {
        const client = clients[writer % clients.length] as AtelierClient;
        const chatId = chats[writer % 2] as string;
        for (let n = 0; !stopping.signal.aborted; n++) {
          const { id, seq } = await client.send(chatId, `${writer}:${n}`);
          acked.push({ id, seq, chatId });
        }
      });

      for (let round = 0; round < ROUNDS; round++) {
        const before = acked.length;
        await expect.poll(() => acked.length, { timeout: 20_000 }).toBeGreaterThan(before + randomInt(20, 200));
        await server.end('SIGKILL');
        server = await startProcess({ ...env, PORT: port });
      }
      stopping.abort();
      await Promise.all(writers);

      for (const chatId of chats) {
        const stored = await historyOf(clients[0] as AtelierClient, chatId);
        expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, n) => n + 1));
        expect(new Set(stored.map(({ content }) => content)).size).toBe(stored.length);
        const seqOf = new Map(stored.map(({ id, seq }) => [id, seq]));
        const misplaced = acked.filter((one) => one.chatId === chatId && seqOf.get(one.id) !== one.seq);
        expect(misplaced).toEqual([]);
        // Each writer awaits each answer, so its own messages are in its order.
        for (let writer = 0; writer < WRITERS; writer++) {
          const own = stored.filter(({ content }) => content.startsWith(`${writer}:`));
          expect(own.map(({ content }) => content)).toEqual(own.map((_, n) => `${writer}:${n}`));
        }
        for (const events of heard) {
          await expect.poll(() => events.get(chatId)?.length, { timeout: 20_000 }).toBe(stored.length);
          expect(events.get(chatId)).toEqual(stored.map(({ id }) => id));
        }
      }
    } finally {
      await world[Symbol.asyncDispose]();
      await server.end('SIGKILL');
      await rm(dataDir, { recursive: true, force: true });
    }
  },
);

/** Ids of the messages that the application heard, by chat, in the order it heard them. */
function listen(client: AtelierClient): Map<string, string[]> {
  const heard = new Map<string, string[]>();
  client.on('message:created', ({ chatId, message }) => {
    heard.set(chatId, [...(heard.get(chatId) ?? []), message.id]);
  });
  return heard;
}
