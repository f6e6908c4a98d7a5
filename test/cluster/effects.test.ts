/** What happens on one node and is felt on the others. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AtelierClient } from '../../src/client/index.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { signUp } from '../support/people.ts';
import { hasRedis } from '../support/redis.ts';
import type { Person, World } from '../support/server.ts';

describe.runIf(hasRedis())('over two nodes', { timeout: 60_000 }, () => {
  let cluster: TestCluster;
  let here: World;
  let there: World;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 2 });
    here = cluster.world(0);
    there = cluster.world(1);
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  const pair = async (): Promise<[Person, Person]> => (await signUp(here, 2)) as [Person, Person];

  test('[CN-7] who is added on one node hears the chat on another from then on, and nothing after being removed', async () => {
    const [ada, ben] = await pair();
    const chatId = await here.chat([ada]);
    const [owner, guest] = [await here.client(ada), await there.client(ben)];
    const socket = await there.socket(ben);
    const plain: string[] = [];
    socket.on('message:created', (event: { message: { content: string } }) => plain.push(event.message.content));
    await owner.send(chatId, 'before');

    const told = guest.once('chat:created', ({ chat }) => chat.id === chatId);
    await owner.call('chat:add-members', { chatId, userIds: [ben.id] });
    await told;
    await owner.send(chatId, 'during');
    await expect.poll(() => plain).toContain('during');
    await guest.send(chatId, 'mine');
    await expect.poll(() => plain).toContain('mine');

    const removed = guest.once('chat:deleted', (event) => event.chatId === chatId);
    await owner.call('chat:remove-member', { chatId, userId: ben.id });
    await removed;
    await expect(guest.call('chat:get', { chatId })).rejects.toMatchObject({ code: 'not_found' });
    await expect(guest.send(chatId, 'not mine')).rejects.toMatchObject({ code: 'not_found' });
    // What comes after it in the same room of the same socket would have come before this.
    const otherId = await here.chat([ada, ben]);
    await owner.send(chatId, 'after');
    await owner.send(otherId, 'elsewhere');
    await expect.poll(() => plain).toContain('elsewhere');
    expect(plain).not.toContain('after');
  });

  test('[CN-7] [CH-18] typing on one node is told to whoever opened the chat on another', async () => {
    const [ada, ben] = await pair();
    const chatId = await here.chat([ada, ben]);
    const [typist, reader] = [await here.client(ada), await there.client(ben)];
    await reader.call('chat:join', { chatId });
    const began = reader.once('typing:changed', ({ typing }) => typing);
    await typist.call('typing:start', { chatId });
    expect(await began).toMatchObject({ chatId, userId: ada.id });
    const ended = reader.once('typing:changed', ({ typing }) => !typing);
    await typist.send(chatId, 'typed');
    expect(await ended).toMatchObject({ chatId, userId: ada.id });
  });

  test("[CN-7] [AI-30] [AI-31] an assistant's stream is heard on both nodes and resumed from the one that does not write it", async () => {
    const [ada, ben] = await pair();
    const chatId = await here.chat([ada, ben]);
    const [asker, listener] = [await here.client(ada), await there.client(ben)];
    let heard = '';
    listener.on('ai:delta', ({ offset, text }) => {
      expect(offset).toBe(heard.length);
      heard += text;
    });
    const finished = listener.once('ai:finished', () => true, { timeoutMs: 30_000 });
    const begun = listener.once('ai:delta');
    const { streamId } = await asker.call('ai:prompt', { chatId, content: 'Tell us something' });
    await begun;
    const middle = await (await there.client(ben)).call('ai:resume', { streamId, offset: 3 });
    const { message } = await finished;
    expect(message.content.slice(3)).toContain(middle.text);
    expect(heard).toBe(message.content);
    const whole = await listener.call('ai:resume', { streamId, offset: 0 });
    expect(whole).toMatchObject({ text: message.content, status: 'finished' });
  });

  test('[CN-3] [PR-17] from `hello` on nothing is missed, also of a chat that was opened on another node meanwhile', async () => {
    const [ada, ben] = await pair();
    const writer = await here.client(ada);
    const chatId = await here.chat([ada, ben]);
    for (let round = 0; round < 10; round++) {
      const connecting = there.socket(ben);
      const sends = Array.from({ length: 10 }, (_, n) => writer.send(chatId, `${round}:${n}`));
      const socket = await connecting;
      const revs: number[] = [];
      socket.on('message:created', (event: { chatId: string; rev: number }) => revs.push(event.rev));
      const heads = (await socket.emitWithAck('chat:heads', { chatIds: [chatId] })) as {
        data: { items: [{ rev: number }] };
      };
      const { rev: last } = (await Promise.all(sends)).at(-1) as { rev: number };
      const { rev: seen } = heads.data.items[0];
      // Everything above what was read is an event.
      await expect.poll(() => Math.max(seen, ...revs)).toBe(last);
      expect(revs).toEqual(revs.map((_, n) => (revs[0] ?? 0) + n));
      expect(revs[0] ?? last + 1).toBeLessThanOrEqual(seen + 1);
      socket.close();
    }
  });

  test('[CN-2] [CH-8] what a node acknowledged and could not tell before it was killed is heard on the other, without another message', async () => {
    const [ada, ben] = await pair();
    const chatId = await here.chat([ada, ben]);
    const [writer, listener] = [await here.client(ada), await there.client(ben)];
    const heard: string[] = [];
    listener.on('message:created', ({ message }) => heard.push(message.content));
    await writer.send(chatId, 'told');
    await expect.poll(() => heard).toEqual(['told']);
    cluster.nodes[0]?.redisLink?.silence();
    await writer.send(chatId, 'acknowledged only');
    await cluster.nodes[0]?.kill();
    await expect.poll(() => heard, { timeout: 40_000 }).toEqual(['told', 'acknowledged only']);
    cluster.nodes[0]?.redisLink?.heal();
    await cluster.nodes[0]?.restart();
    const again: AtelierClient = await here.client(ada);
    await again.send(chatId, 'after');
    await expect.poll(() => heard).toEqual(['told', 'acknowledged only', 'after']);
  });
});
