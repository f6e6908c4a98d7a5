/** Members on different nodes, all writing at once: one order, heard by everybody. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AtelierClient } from '../../src/client/index.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { historyOf } from '../support/history.ts';
import { signUp } from '../support/people.ts';
import { hasRedis } from '../support/redis.ts';
import type { Person } from '../support/server.ts';

const WRITERS_PER_NODE = 4;
const MESSAGES = 25;

describe.runIf(hasRedis()).each([2, 3])('on %i nodes', (count) => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: count });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test('[CN-1] [CH-2] [CH-11] everybody hears every message once and in the same order, whoever wrote it where', async () => {
    const worlds = cluster.nodes.map((_, node) => cluster.world(node));
    const people = await signUp(cluster.world(), count * WRITERS_PER_NODE);
    const chats = [await worlds[0]?.chat(people), await worlds[1]?.chat(people)] as string[];
    const clients: AtelierClient[] = await Promise.all(
      people.map((person, n) => (worlds[n % count] as (typeof worlds)[0]).client(person)),
    );
    const heard = clients.map(listen);
    await Promise.all(
      clients.map(async (client, writer) => {
        for (let n = 0; n < MESSAGES; n++) await client.send(chats[n % 2] as string, `${writer}:${n}`);
      }),
    );
    for (const chatId of chats) {
      const stored = await historyOf(clients[0] as AtelierClient, chatId);
      expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, n) => n + 1));
      for (const events of heard) {
        await expect.poll(() => events.get(chatId)?.length, { timeout: 10_000 }).toBe(stored.length);
        expect(events.get(chatId)).toEqual(stored.map(({ content }) => content));
      }
    }
    const sent = clients.length * MESSAGES;
    expect(heard.map((events) => [...events.values()].flat().length)).toEqual(clients.map(() => sent));
  });

  test('[CN-1] [PR-20] a client without the SDK gets the events in the order of rev, without holes', async () => {
    const [first, last] = [cluster.world(0), cluster.world(count - 1)];
    const [ada, ben] = (await signUp(first, 2)) as [Person, Person];
    const chatId = await first.chat([ada, ben]);
    const listener = await last.socket(ben);
    const revs: number[] = [];
    listener.on('message:created', (event: { rev: number }) => revs.push(event.rev));
    const [here, there] = [await first.client(ada), await last.client(ben)];
    await Promise.all(Array.from({ length: 100 }, (_, n) => (n % 2 === 0 ? here : there).send(chatId, `message ${n}`)));
    await expect.poll(() => revs.length).toBe(100);
    expect(revs).toEqual(revs.map((_, n) => (revs[0] as number) + n));
  });

  test('[CN-7] what was written on another node just before is in the page of `chat:join`, what follows is an event', async () => {
    const [first, last] = [cluster.world(0), cluster.world(count - 1)];
    const [ada, ben] = (await signUp(first, 2)) as [Person, Person];
    const chatId = await first.chat([ada, ben]);
    const writer = await first.client(ada);
    const { rev } = await writer.send(chatId, 'before');
    const socket = await last.socket(ben);
    const events: string[] = [];
    socket.on('message:created', (event: { message: { content: string } }) => events.push(event.message.content));
    const joined = (await socket.emitWithAck('chat:join', { chatId })) as {
      data: { head: { rev: number }; messages: { content: string }[] };
    };
    await writer.send(chatId, 'after');
    expect(joined.data.head.rev).toBeGreaterThanOrEqual(rev);
    expect(joined.data.messages.map(({ content }) => content)).toEqual(['before']);
    await expect.poll(() => events).toEqual(['after']);
  });
});

function listen(client: AtelierClient): Map<string, string[]> {
  const heard = new Map<string, string[]>();
  client.on('message:created', ({ chatId, message }) => {
    heard.set(chatId, [...(heard.get(chatId) ?? []), message.content]);
  });
  return heard;
}
