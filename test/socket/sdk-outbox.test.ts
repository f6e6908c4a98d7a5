/** The SDK's outbox: against a server that loses, refuses and cuts as told, and through the real one with a cable between. */
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  AtelierError,
  webStorage,
  type AtelierClient,
  type OutboxChange,
  type OutboxItem,
  type OutboxStorage,
  type WebStorage,
} from '../../src/client/index.ts';
import { historyOf } from '../support/history.ts';
import { startServer as startRealServer } from '../support/server.ts';
import { startTcpCutter } from '../support/tcp-cutter.ts';
import { fault, newId } from './sdk-scripted-server.ts';
import { randomOf } from '../support/random.ts';
import { contentsOf, startClient, startServer } from './sdk-setup.ts';

/** What a browser keeps for a page. */
class PageStorage implements WebStorage {
  readonly #items = new Map<string, string>();
  get length(): number {
    return this.#items.size;
  }
  key(index: number): string | null {
    return [...this.#items.keys()][index] ?? null;
  }
  getItem(key: string): string | null {
    return this.#items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.#items.set(key, value);
  }
  removeItem(key: string): void {
    this.#items.delete(key);
  }
}

const NOWHERE = { url: 'http://127.0.0.1:1' };

const textsOf = (items: readonly OutboxItem[]): string[] => items.map(({ message }) => message.content ?? '');

function changesOf(client: AtelierClient): OutboxChange[] {
  const changes: OutboxChange[] = [];
  client.on('outbox:changed', (change) => changes.push(change));
  return changes;
}

const fewLeft = ({ outbox }: AtelierClient): Promise<void> => expect.poll(() => outbox.items().length).toBeLessThan(2);

const statesOf = (changes: readonly OutboxChange[]): string[] =>
  changes.map(({ item, state }) => `${item.message.content} ${state}`);

describe('what was written', () => {
  test('[SD-23] offline is listed at once and sent in the order of its chat when there is a connection', async () => {
    const server = await startServer();
    const [one, two] = [server.addChat(), server.addChat()];
    const client = startClient(server);
    const changes = changesOf(client);
    const items = ['a', 'b', 'c'].map((text) => client.outbox.send(one.id, text));
    client.outbox.send(two.id, 'x', { metadata: { color: 'red' } });
    expect(textsOf(client.outbox.items())).toEqual(['a', 'b', 'c', 'x']);
    expect(client.outbox.items(one.id)).toEqual(items);
    await expect.poll(() => client.outbox.items()).toEqual([]);
    expect(contentsOf(server.logs.get(one.id) ?? [])).toEqual(['a', 'b', 'c']);
    expect(server.callsOf('message:send').find(({ input }) => input.content === 'x')?.input).toMatchObject({
      chatId: two.id,
      clientId: expect.any(String),
      metadata: { color: 'red' },
    });
    // Its answer says which message an item has become.
    const sent = changes.flatMap((change) => (change.state === 'sent' ? change : []));
    const first = server.logs.get(one.id)?.[0];
    expect(sent.find(({ item }) => item.clientId === items[0]?.clientId)?.sent).toMatchObject({
      id: first?.id,
      seq: 1,
    });
  });

  test('[SD-23] arrives once, whatever becomes of answers and connections', async () => {
    const server = await startServer();
    const chats = [server.addChat(), server.addChat()];
    const random = randomOf(11);
    server.fate = ({ name }) => {
      if (name !== 'message:send') return 'answer';
      return (['answer', 'answer', 'cut', 'cut-after', 'lose-answer'] as const)[random(5)] ?? 'answer';
    };
    const client = startClient(server, { requestTimeoutMs: 50 });
    for (let i = 0; i < 40; i++) client.outbox.send(chats[i % 2]?.id ?? '', `${i}`);
    await expect.poll(() => client.outbox.items(), { timeout: 20_000 }).toEqual([]);
    chats.forEach(({ id }, n) => {
      expect(contentsOf(server.logs.get(id) ?? [])).toEqual(Array.from({ length: 20 }, (_, i) => `${2 * i + n}`));
    });
  });

  test('[SD-23] before a reload is sent after it, before what is written then', async () => {
    const page = new PageStorage();
    page.setItem('something else', '{"clientId":1}');
    page.setItem('atelier-outbox:broken', '{');
    const server = await startServer();
    const chat = server.addChat();
    const before = startClient(NOWHERE, { outboxStorage: webStorage(page) });
    for (const text of ['a', 'b', 'c']) before.outbox.send(chat.id, text);
    await expect.poll(() => page.length).toBe(5);
    before.close();

    const after = startClient(server, { outboxStorage: webStorage(page) });
    after.outbox.send(chat.id, 'd');
    await after.outbox.loaded();
    expect(textsOf(after.outbox.items())).toEqual(['a', 'b', 'c', 'd']);
    await expect.poll(() => after.outbox.items()).toEqual([]);
    expect(contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['a', 'b', 'c', 'd']);
    await expect.poll(() => page.length).toBe(2);
  });

  test('[SD-23] and acknowledged unheard is one message after a reload', async () => {
    const page = new PageStorage();
    const server = await startServer();
    const chat = server.addChat();
    server.fate = ({ name }) => (name === 'message:send' ? 'lose-answer' : 'answer');
    const before = startClient(server, { outboxStorage: webStorage(page) });
    before.outbox.send(chat.id, 'once');
    await expect.poll(() => server.logs.get(chat.id)).toHaveLength(1);
    before.close();
    server.fate = () => 'answer';
    const after = startClient(server, { outboxStorage: webStorage(page) });
    await after.outbox.loaded();
    expect(textsOf(after.outbox.items())).toEqual(['once']);
    await expect.poll(() => after.outbox.items()).toEqual([]);
    expect(server.logs.get(chat.id)).toHaveLength(1);
  });

  test('[SD-23] twice with one clientId is one item', async () => {
    const client = startClient(NOWHERE);
    const first = client.outbox.send(newId(), 'a', { clientId: 'mine' });
    expect(client.outbox.send(newId(), 'b', { clientId: 'mine' })).toEqual(first);
    expect(client.outbox.items()).toEqual([first]);
  });
});

describe('what the server refuses', () => {
  test('[SD-24] for good is listed with its error, holds nothing up, and is sent again or removed', async () => {
    const page = new PageStorage();
    const server = await startServer();
    const chat = server.addChat();
    server.fate = ({ name, input }) =>
      name === 'message:send' && String(input.content).startsWith('bad') ? fault('forbidden') : 'answer';
    const before = startClient(server, { outboxStorage: webStorage(page) });
    const changes = changesOf(before);
    for (const text of ['bad 1', 'good', 'bad 2']) before.outbox.send(chat.id, text);
    await expect.poll(() => statesOf(changes)).toContain('bad 2 failed');
    expect(before.outbox.items()).toMatchObject([
      { message: { content: 'bad 1' }, error: { code: 'forbidden' } },
      { message: { content: 'bad 2' }, error: { code: 'forbidden' } },
    ]);
    expect(contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['good']);
    before.close();

    // A reload changes nothing of it.
    const after = startClient(server, { outboxStorage: webStorage(page) });
    await after.ready();
    await after.outbox.loaded();
    const [first, second] = after.outbox.items();
    expect(first?.error?.code).toBe('forbidden');
    server.fate = () => 'answer';
    after.outbox.retry(first?.clientId ?? '');
    after.outbox.remove(second?.clientId ?? '');
    await expect.poll(() => after.outbox.items()).toEqual([]);
    expect(contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['good', 'bad 1']);
    await expect.poll(() => page.length).toBe(0);
  });

  test('[SD-24] for now is asked again, and what follows waits for it', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const codes = ['rate_limited', 'unavailable', 'internal', 'upstream'];
    server.fate = ({ name }) => {
      const code = name === 'message:send' ? codes.shift() : undefined;
      return code ? fault(code, { retryAfterMs: 5 }) : 'answer';
    };
    const client = startClient(server);
    for (const text of ['a', 'b']) client.outbox.send(chat.id, text);
    await expect.poll(() => client.outbox.items()).toEqual([]);
    expect(contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['a', 'b']);
  });

  test('[SD-24] by a bug of its own again and again does not hold up the chat for ever', async () => {
    const server = await startServer();
    const chat = server.addChat();
    server.fate = ({ name, input }) =>
      name === 'message:send' && input.content === 'a' ? fault('internal') : 'answer';
    const client = startClient(server);
    for (const text of ['a', 'b']) client.outbox.send(chat.id, text);
    await expect.poll(() => contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['b']);
    // What is stored is not yet what the client has been told.
    await expect
      .poll(() => client.outbox.items())
      .toMatchObject([{ message: { content: 'a' }, error: { code: 'internal' } }]);
  });
});

test('[SD-24] what is removed is not sent any more, also when it was under way', async () => {
  const server = await startServer();
  const chat = server.addChat();
  server.fate = ({ name }) => (name === 'message:send' ? 'lose' : 'answer');
  const client = startClient(server, { requestTimeoutMs: 20 });
  const { clientId } = client.outbox.send(chat.id, 'a');
  await expect.poll(() => server.callsOf('message:send').length).toBeGreaterThan(1);
  client.outbox.remove(clientId);
  client.outbox.remove(clientId);
  server.fate = () => 'answer';
  client.outbox.send(chat.id, 'b');
  await expect.poll(() => client.outbox.items()).toEqual([]);
  expect(contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['b']);
});

test('[SD-25] what another person has written on the same device waits for that person', async () => {
  const page = new PageStorage();
  const storage = webStorage(page);
  const server = await startServer();
  const chat = server.addChat();
  const item = { clientId: 'theirs', chatId: chat.id, message: { content: 'secret' }, queuedAtMs: 1, userId: newId() };
  await storage.put(item);
  const client = startClient(server, { outboxStorage: storage });
  await client.ready();
  await client.outbox.loaded();
  expect(client.outbox.items()).toEqual([]);
  client.outbox.send(chat.id, 'mine');
  await expect.poll(() => contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['mine']);
  await expect.poll(() => storage.load()).toEqual([item]);
});

test('[SD-25] a storage that refuses is told, and the message is sent all the same', async () => {
  const full = new Error('The quota is used up');
  const storage: OutboxStorage = {
    load: () => Promise.reject(full),
    put: () => Promise.reject(full),
    remove: () => Promise.reject(full),
  };
  const server = await startServer();
  const chat = server.addChat();
  const client = startClient(server, { outboxStorage: storage });
  const unsaved = client.once('outbox:unsaved');
  await expect(client.outbox.loaded()).rejects.toBe(full);
  const item = client.outbox.send(chat.id, 'a');
  expect(await unsaved).toMatchObject({ item: { clientId: item.clientId }, error: full });
  await expect.poll(() => client.outbox.items()).toEqual([]);
  expect(contentsOf(server.logs.get(chat.id) ?? [])).toEqual(['a']);
});

test('[SD-14] a closed client takes nothing more and ends what it was sending', async () => {
  const server = await startServer();
  const chat = server.addChat();
  server.fate = ({ name }) => (name === 'message:send' ? 'lose' : 'answer');
  const client = startClient(server);
  client.outbox.send(chat.id, 'a');
  await expect.poll(() => server.callsOf('message:send')).toHaveLength(1);
  client.close();
  expect(() => client.outbox.send(chat.id, 'b')).toThrow(AtelierError);
  expect(textsOf(client.outbox.items())).toEqual(['a']);
});

test('[SD-23] two people write through cuts and a reload: each message exists once, in the order of its writer', async () => {
  await using server = await startRealServer();
  const people = [await server.person(), await server.person()];
  const chatId = await server.chat(people);
  const cable = await startTcpCutter({ host: '127.0.0.1', port: Number(new URL(server.url).port) });
  onTestFinished(() => cable[Symbol.asyncDispose]());
  const pages = people.map(() => new PageStorage());
  const open = (n: number): AtelierClient =>
    startClient(
      { url: `http://127.0.0.1:${cable.port}` },
      { token: people[n]?.accessToken ?? '', outboxStorage: webStorage(pages[n] as PageStorage) },
    );
  const clients = [open(0), open(1)];
  const random = randomOf(3);
  for (let i = 0; i < 60; i++) {
    const n = i % 2;
    (clients[n] as AtelierClient).outbox.send(chatId, `${n}:${i}`);
    if (random(8) === 0) cable.cut();
    if (random(4) === 0) await fewLeft(clients[random(2)] as AtelierClient);
    if (i === 20 || i === 41) {
      clients[n]?.close();
      clients[n] = open(n);
    }
  }
  await Promise.all(clients.map((client) => client.outbox.loaded()));
  for (const client of clients) await expect.poll(() => client.outbox.items(), { timeout: 20_000 }).toEqual([]);
  const texts = contentsOf(await historyOf(clients[0] as AtelierClient, chatId));
  for (const n of [0, 1]) {
    expect(texts.filter((text) => text.startsWith(`${n}:`))).toEqual(
      Array.from({ length: 30 }, (_, i) => `${n}:${2 * i + n}`),
    );
  }
  expect(server.errors).toEqual([]);
});
