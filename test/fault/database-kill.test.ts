/** The database dies under load and comes back: what was acknowledged is there, once, in order, and heard by everyone. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AtelierError } from '../../src/client/index.ts';
import { startDatabaseProcess } from '../support/database-process.ts';
import { historyOf } from '../support/history.ts';
import { startProcess, testEnvironment } from '../support/process.ts';
import { openWorld } from '../support/server.ts';

const WRITERS = 8;

test(
  '[CH-7] [CH-10] a database that is killed under load and comes back has everything that was acknowledged',
  { timeout: 120_000 },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'atelier-database-'));
    const database = await startDatabaseProcess(join(directory, 'db'));
    const env = { ...testEnvironment(join(directory, 'data')), MONGODB_URI: database.uri };
    const server = await startProcess(env);
    const world = openWorld(() => server.url);
    try {
      const [ada, grace] = [await world.person('Ada'), await world.person('Grace')];
      const chatId = await world.chat([ada, grace]);
      const [writer, listener] = [await world.client(ada), await world.client(grace)];
      const heard: string[] = [];
      listener.on('message:created', ({ message }) => heard.push(message.id));

      const acked: { id: string; seq: number }[] = [];
      const refusals: unknown[] = [];
      const stopping = new AbortController();
      const writers = Array.from({ length: WRITERS }, async (_, who) => {
        for (let n = 0; !stopping.signal.aborted; n++) {
          await writer.send(chatId, `${who}:${n}`).then(
            (answer) => acked.push(answer),
            (error: unknown) => refusals.push(error),
          );
        }
      });
      for (let round = 0; round < 2; round++) {
        const before = acked.length;
        await expect.poll(() => acked.length, { timeout: 30_000 }).toBeGreaterThan(before + 200);
        await database.kill();
        await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 15_000 }).toBe(503);
        await database.restart();
        await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 15_000 }).toBe(200);
      }
      const before = acked.length;
      await expect.poll(() => acked.length, { timeout: 30_000 }).toBeGreaterThan(before + 200);
      stopping.abort();
      await Promise.all(writers);

      // While it was away, writers were told that the outcome is unknown, nothing else.
      expect(refusals.filter((error) => !(error instanceof AtelierError && error.code === 'unavailable'))).toEqual([]);
      const stored = await historyOf(writer, chatId);
      expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, n) => n + 1));
      expect(new Set(stored.map(({ content }) => content)).size).toBe(stored.length);
      const seqOf = new Map(stored.map(({ id, seq }) => [id, seq]));
      expect(acked.filter(({ id, seq }) => seqOf.get(id) !== seq)).toEqual([]);
      await expect.poll(() => heard.length, { timeout: 20_000 }).toBe(stored.length);
      expect(heard).toEqual(stored.map(({ id }) => id));
    } finally {
      await world[Symbol.asyncDispose]();
      await server.end('SIGKILL');
      await database.kill();
      await rm(directory, { recursive: true, force: true });
    }
  },
);
