/** The SDK and the real server: messages that are edited, reacted to and deleted while a client comes and goes. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { AtelierClient, Message } from '../../src/client/index.ts';
import { historyOf } from '../support/history.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';
import { startTcpCutter, type TcpCutter } from '../support/tcp-cutter.ts';
import { randomOf } from '../support/random.ts';
import { startClient } from './sdk-setup.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

/** What an application keeps of one chat by the rule: of two states the one with the higher rev. */
function modelOf(client: AtelierClient) {
  const messages = new Map<string, Message>();
  const createdSeqs: number[] = [];
  const keep = ({ message }: { message: Message }): void => {
    const known = messages.get(message.id);
    if (!known || message.rev > known.rev) messages.set(message.id, message);
  };
  client.on('message:created', (event) => {
    createdSeqs.push(event.message.seq);
    keep(event);
  });
  client.on('message:updated', keep);
  client.on('message:deleted', keep);
  return { messages, createdSeqs };
}

async function cabled(person: Person): Promise<{ client: AtelierClient; cable: TcpCutter }> {
  const cable = await startTcpCutter({ host: '127.0.0.1', port: Number(new URL(server.url).port) });
  onTestFinished(() => cable[Symbol.asyncDispose]());
  const client = startClient({ url: `http://127.0.0.1:${cable.port}` }, { token: person.accessToken });
  await client.ready();
  return { client, cable };
}

test.each([1, 2, 3])(
  '[SD-1] [CH-12] [CH-21] through cuts an application ends with what the server has (seed %i)',
  async (seed) => {
    const random = randomOf(seed);
    const people = [await server.person(), await server.person()];
    const chatId = await server.chat(people);
    const [writer, reader] = [await server.client(people[0] as Person), await cabled(people[1] as Person)];
    const model = modelOf(reader.client);
    const ids: string[] = [];
    for (let step = 0; step < 120; step++) {
      const messageId = ids[random(ids.length || 1)];
      const what = random(10);
      if (!messageId || what < 4) ids.push((await writer.send(chatId, `message ${step}`)).id);
      else {
        const change = { chatId, messageId };
        // A deleted one is a conflict, which is as good here.
        const done =
          what < 6
            ? writer.call('message:edit', { ...change, content: `edited ${step}` })
            : what < 9
              ? writer.call('message:react', { ...change, emoji: `e${random(3)}`, on: random(3) > 0 })
              : writer.call('message:delete', change);
        await done.catch((error: { code: string }) => {
          if (error.code !== 'conflict') throw error;
        });
      }
      if (random(15) === 0) reader.cable.cut();
      if (random(20) === 0) await reader.client.ready();
    }
    const stored = await historyOf(writer, chatId);
    await expect
      .poll(() => [...model.messages.values()].sort((a, b) => a.seq - b.seq), { timeout: 10_000 })
      .toEqual(stored);
    expect(model.createdSeqs).toEqual(stored.map(({ seq }) => seq));
  },
);

test('[SD-40] unread counts follow messages, reading on another device, and time away', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const chatId = await server.chat([ada, ben]);
  const writer = await server.client(ada);
  const phone = await server.client(ben);
  const { client, cable } = await cabled(ben);
  await writer.send(chatId, 'one');
  const told: number[] = [];
  client.on('unread', ({ chatId: id, unread }) => id === chatId && told.push(unread));
  await client.unread.load();
  await expect.poll(() => client.unread.of(chatId)).toBe(1);
  await writer.send(chatId, 'two');
  await expect.poll(() => client.unread.of(chatId)).toBe(2);
  expect(client.unread.total).toBe(2);
  await phone.call('message:read', { chatId, seq: 1 });
  await expect.poll(() => client.unread.of(chatId)).toBe(1);
  const away = client.once('state', ({ state }) => state === 'reconnecting');
  cable.cut();
  await away;
  await phone.call('message:read', { chatId, seq: 2 });
  await writer.send(chatId, 'three');
  await writer.send(chatId, 'four');
  await expect.poll(() => client.unread.of(chatId)).toBe(2);
  await client.send(chatId, 'mine');
  await expect.poll(() => client.unread.of(chatId)).toBe(0);
  expect(told.at(-1)).toBe(0);
  await writer.call('chat:remove-member', { chatId, userId: ben.id });
  await expect.poll(() => client.unread.total).toBe(0);
});
