/** kill -9 while attachments are uploaded and sent: a retry finishes what was begun, and nothing half-done is ever seen. */
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Message } from '../../src/client/index.ts';
import { startProcess, testEnvironment } from '../support/process.ts';
import { openWorld } from '../support/server.ts';
import { blobFiles, upload } from '../support/uploads.ts';

const ROUNDS = 4;
const WRITERS = 12;

test(
  '[AT-3] [AT-10] [AT-11] kills under uploads and messages: every retry succeeds, every message has its whole content',
  { timeout: 120_000 },
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'atelier-uploads-kill-'));
    const env = testEnvironment(dataDir);
    let server = await startProcess(env);
    const port = new URL(server.url).port;
    await using world = openWorld(() => server.url);
    try {
      const ada = await world.person('Ada');
      const chatId = await world.chat([ada]);
      const sent: { id: string; content: Buffer }[] = [];
      let restarted = Promise.resolve();

      /** As a client does: again and again, with the same clientId, until there is an answer. */
      const insist = async <T>(attempt: () => Promise<T>): Promise<T> => {
        for (let tries = 0; ; tries++) {
          try {
            return await attempt();
          } catch (error) {
            if (!(error instanceof TypeError) || tries > 50) throw error;
            await restarted;
          }
        }
      };
      const stopping = new AbortController();
      const writers = Array.from({ length: WRITERS }, async (_, writer) => {
        for (let n = 0; !stopping.signal.aborted; n++) {
          const content = randomBytes(randomInt(1, 300_000));
          const { attachmentId } = await insist(() => upload(world, ada, { content }));
          const answer = await insist(() =>
            world.request('POST', `/api/chats/${chatId}/messages`, {
              as: ada,
              body: { clientId: `${writer}:${n}`, type: 'file', attachmentIds: [attachmentId] },
            }),
          );
          const { data } = answer.body as unknown as { data?: { id: string } };
          if (!data) throw new Error(JSON.stringify(answer.body));
          sent.push({ id: data.id, content });
        }
      });

      for (let round = 0; round < ROUNDS; round++) {
        const before = sent.length;
        await expect.poll(() => sent.length, { timeout: 20_000 }).toBeGreaterThan(before + randomInt(5, 30));
        restarted = server.end('SIGKILL').then(async () => {
          server = await startProcess({ ...env, PORT: port });
        });
        await restarted;
      }
      stopping.abort();
      await Promise.all(writers);

      const messages = new Map<string, Message>();
      for (let after = 0; ;) {
        const { body } = await world.request('GET', `/api/chats/${chatId}/messages?after=${after}&limit=100`, {
          as: ada,
        });
        const { items } = (body as unknown as { data: { items: Message[] } }).data;
        for (const message of items) messages.set(message.id, message);
        if (items.length < 100) break;
        after = items.at(-1)?.seq ?? 0;
      }
      expect([...messages.keys()].sort()).toEqual(sent.map(({ id }) => id).sort());
      for (const { id, content } of sent) {
        const [attachment, ...others] = messages.get(id)?.attachments ?? [];
        expect(others).toEqual([]);
        const response = await fetch(world.url + (attachment?.url ?? ''));
        expect(Buffer.from(await response.arrayBuffer()).equals(content)).toBe(true);
      }
      // Uploads whose answer was lost wait for their day; none is half.
      expect((await blobFiles(dataDir)).blobs.length).toBeGreaterThanOrEqual(sent.length);
    } finally {
      await server.end('SIGKILL');
      await rm(dataDir, { recursive: true, force: true });
    }
  },
);
