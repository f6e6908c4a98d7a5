/** The SDK and the real server together, with a cable between them that is pulled. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { AtelierClient, ConnectOptions } from '../../src/client/index.ts';
import { randomOf } from '../support/random.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';
import { startTcpCutter, type TcpCutter } from '../support/tcp-cutter.ts';
import { contentsOf, heardBy, startClient } from './sdk-setup.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

/** A client behind a cable of its own. */
async function startCabled(
  person: Person,
  options: Partial<ConnectOptions> = {},
): Promise<{ client: AtelierClient; cable: TcpCutter }> {
  const cable = await startTcpCutter({ host: '127.0.0.1', port: Number(new URL(server.url).port) });
  onTestFinished(() => cable[Symbol.asyncDispose]());
  const client = startClient({ url: `http://127.0.0.1:${cable.port}` }, { token: person.accessToken, ...options });
  await client.ready();
  return { client, cable };
}

const gone = (client: AtelierClient): Promise<unknown> => client.once('state', ({ state }) => state === 'reconnecting');

test('[SD-1] two people write through cuts: both hear every message once in order', async () => {
  const people = [await server.person(), await server.person()];
  const chatId = await server.chat(people);
  const ends = await Promise.all(people.map((person) => startCabled(person)));
  const heard = ends.map(({ client }) => heardBy(client));
  const random = randomOf(7);
  const sent: Promise<{ seq: number }>[] = [];
  for (let i = 0; i < 120; i++) {
    const writer = ends[random(2)] as (typeof ends)[number];
    sent.push(writer.client.send(chatId, `message ${i}`));
    if (random(12) === 0) ends[random(2)]?.cable.cut();
    if (random(6) === 0) await Promise.all(ends.map(({ client }) => client.ready()));
  }
  const seqs = (await Promise.all(sent)).map(({ seq }) => seq);
  expect(seqs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
  for (const messages of heard) {
    await expect.poll(() => messages).toHaveLength(120);
    expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
  }
  expect(contentsOf(heard[0] ?? [])).toEqual(contentsOf(heard[1] ?? []));
});

test('[SD-8] a message whose answer is swallowed by the network exists once', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const chatId = await server.chat([ada, ben]);
  const reader = await server.client(ben);
  const { client, cable } = await startCabled(ada);
  cable.swallowAnswers();
  const arrived = reader.once('message:created');
  const sent = client.send(chatId, 'once');
  await arrived;
  cable.cut();
  expect(await sent).toMatchObject({ seq: 1 });
  const { items } = await client.call('message:list', { chatId });
  expect(contentsOf(items)).toEqual(['once']);
});

test('[SD-15] chats and messages that begin while away are told', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const { client, cable } = await startCabled(ada);
  const told: string[] = [];
  client.on('chat:created', ({ chat }) => told.push(`created ${chat.kind}`));
  client.on('message:created', ({ message }) => told.push(message.content));
  const away = gone(client);
  cable.swallowAnswers();
  const writer = await server.client(ben);
  const { chat } = await writer.call('chat:create', { kind: 'private', memberIds: [ada.id] });
  await writer.send(chat.id, 'hello');
  cable.cut();
  await away;
  await expect.poll(() => told).toEqual(['created private', 'hello']);
  await writer.call('chat:create', { kind: 'group', memberIds: [ada.id] });
  await expect.poll(() => told).toEqual(['created private', 'hello', 'created group']);
});

test('[SD-4] an answer of the assistant is heard whole by everyone, whoever is cut in the middle', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const chatId = await server.chat([ada, ben]);
  const ends = await Promise.all([ada, ben].map((person) => startCabled(person)));
  const followed = ends.map(({ client }) => {
    const told = { text: '', ends: [] as string[] };
    client.on('ai:delta', ({ offset, text }) => {
      expect(offset).toBe(told.text.length);
      told.text += text;
    });
    client.on('ai:finished', ({ message }) => told.ends.push(message.content));
    return told;
  });
  const asker = ends[0]?.client as AtelierClient;
  const begun = ends.map(({ client }) => client.once('ai:delta'));
  const { streamId } = await asker.call('ai:prompt', { chatId, content: 'Tell us something' });
  await Promise.all(begun);
  for (const { cable } of ends) cable.cut();

  let streamed = '';
  for await (const piece of asker.streamText(streamId)) streamed += piece;
  for (const told of followed) {
    await expect.poll(() => told.ends).toHaveLength(1);
    expect(told.text).toBe(told.ends[0]);
    expect(told.text).toBe(streamed);
  }
});

test('[SD-17] an opened chat tells of typing, and watched people of presence, also after a cut', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const chatId = await server.chat([ada, ben]);
  const { client, cable } = await startCabled(ada);
  await client.call('chat:join', { chatId });
  await client.call('presence:watch', { userIds: [ben.id] });
  const away = gone(client);
  cable.cut();
  await away;
  const online = client.once('presence:changed', ({ userId, status }) => userId === ben.id && status === 'online');
  await client.ready();
  const other = await server.client(ben);
  await online;
  const typing = client.once('typing:changed', ({ userId }) => userId === ben.id);
  await other.call('typing:start', { chatId });
  expect(await typing).toMatchObject({ chatId, typing: true });
});

test('[SD-12] a token that the server refuses is replaced by the token function, a fixed one closes the client', async () => {
  const ada = await server.person();
  const client = startClient(server, { token: (reason) => (reason === 'refused' ? ada.accessToken : 'stale') });
  expect((await client.ready()).userId).toBe(ada.id);
  const fixed = startClient(server, { token: 'stale' });
  await expect(fixed.ready()).rejects.toMatchObject({ code: 'unauthenticated' });
  const { expiresInSeconds } = await client.call('auth:refresh', { accessToken: ada.accessToken });
  expect(expiresInSeconds).toBeGreaterThan(0);
});

test('[SD-7] answers and errors of the real server are typed', async () => {
  const client = await server.client(await server.person());
  expect((await client.call('auth:me', {})).user.id).toBe(client.hello?.userId);
  const refused = client.call('message:send', { chatId: 'not an id', content: '' });
  await expect(refused).rejects.toMatchObject({ code: 'invalid', detail: expect.any(Array) });
  await expect(client.send('0'.repeat(24), 'x')).rejects.toMatchObject({ code: 'not_found' });
});
