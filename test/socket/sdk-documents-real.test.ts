/** The SDK's Yjs provider and the real server together, with a cable between them that is pulled. */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import type { AtelierClient, ConnectOptions } from '../../src/client/index.ts';
import { SocketIOProvider } from '../../src/client/yjs.ts';
import { LIMITS } from '../../src/protocol/limits.ts';
import { startNodes } from '../support/nodes.ts';
import { makeTextFile } from '../support/projects.ts';
import { oneOf, randomOf } from '../support/random.ts';
import { hasRedis, startRedis } from '../support/redis.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';
import { startTcpCutter, type TcpCutter } from '../support/tcp-cutter.ts';
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

interface Editor {
  provider: SocketIOProvider;
  doc: Y.Doc;
  text: Y.Text;
  errors: string[];
}

function edit(client: AtelierClient, fileId: string, doc = new Y.Doc()): Editor {
  const provider = new SocketIOProvider(client, fileId, doc, {
    timings: { holeMs: 20, retryMs: 5, retryMaxMs: 50 },
  });
  onTestFinished(() => {
    provider.destroy();
    doc.destroy();
  });
  const errors: string[] = [];
  provider.on('connection-error', ({ code }) => errors.push(code));
  return { provider, doc, text: doc.getText('content'), errors };
}

/** A client behind a cable of its own, to whatever address this says when it connects. */
async function startCabled(
  person: Person,
  url: () => string = () => server.url,
  options: Partial<ConnectOptions> = {},
): Promise<{ client: AtelierClient; cable: TcpCutter }> {
  const cable = await startTcpCutter(() => [{ host: '127.0.0.1', port: Number(new URL(url()).port) }]);
  onTestFinished(() => cable[Symbol.asyncDispose]());
  const client = startClient({ url: `http://127.0.0.1:${cable.port}` }, { token: person.accessToken, ...options });
  await client.ready();
  return { client, cable };
}

const gone = (client: AtelierClient): Promise<unknown> => client.once('state', ({ state }) => state === 'reconnecting');

/** All have stored what they wrote, and hold the same text. */
async function converged(editors: readonly Editor[], timeout = 20_000): Promise<string> {
  await vi.waitFor(
    () => {
      for (const { provider } of editors) expect([provider.synced, provider.unsavedChanges]).toEqual([true, 0]);
      expect(new Set(editors.map(({ text }) => text.toJSON())).size).toBe(1);
    },
    { timeout, interval: 10 },
  );
  return editors[0]?.text.toJSON() ?? '';
}

const stored = async (client: AtelierClient, fileId: string): Promise<unknown> => {
  const read = await client.call('file:read', { fileId });
  return 'content' in read ? read.content : undefined;
};

test('[SD-30] two people write at once: both have the same text, and so has the file', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const clients = [await server.client(ada), await server.client(ben)] as const;
  const { fileId } = await makeTextFile(clients[0], { content: 'shared: ', editors: [ben] });
  const editors = clients.map((client) => edit(client, fileId));
  await converged(editors);
  for (let i = 0; i < 20; i++) {
    for (const [n, { text }] of editors.entries()) text.insert(text.length, `${'ab'[n]}${i} `);
    await wait(2);
  }
  const text = await converged(editors);
  expect(text.startsWith('shared: ')).toBe(true);
  expect(text.trim().split(/ +/)).toHaveLength(41);
  expect(await stored(clients[0], fileId)).toBe(text);
  expect(editors.flatMap(({ errors }) => errors)).toEqual([]);
});

test('[SD-32] three people write through cuts, swallowed answers and silence: nothing is lost and nothing twice', async () => {
  const random = randomOf(11);
  const people = [await server.person(), await server.person(), await server.person()];
  const ends = await Promise.all(people.map((person) => startCabled(person, undefined, { requestTimeoutMs: 2_000 })));
  const owner = ends[0]?.client as AtelierClient;
  const { fileId } = await makeTextFile(owner, { content: 'start', editors: people.slice(1) });
  const editors = ends.map(({ client }) => edit(client, fileId));
  const written: string[] = [];
  for (let i = 0; i < 150; i++) {
    const word = `<${i}>`;
    written.push(word);
    const { text } = oneOf(random, editors);
    text.insert(random(2) ? 0 : text.length, ` ${word} `);
    const { cable } = oneOf(random, ends);
    const fate = random(24);
    if (fate === 0) cable.cut();
    else if (fate === 1) cable.swallowAnswers();
    else if (fate === 2) {
      // Half open: neither side learns of it, until the client gives the connection up.
      cable.silence();
      cable.heal();
    }
    if (fate === 3) for (const { cable } of ends) cable.cut();
    await wait(random(10));
  }
  for (const { cable } of ends) cable.cut();
  const text = await converged(editors);
  for (const word of ['start', ...written]) expect(text.split(word)).toHaveLength(2);
  expect(await stored(owner, fileId)).toBe(text);
});

test('[SD-34] what is no text is refused, told once, and reaches nobody', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const clients = [await server.client(ada), await server.client(ben)] as const;
  const { fileId } = await makeTextFile(clients[0], { content: 'text', editors: [ben] });
  const [wrong, right] = clients.map((client) => edit(client, fileId)) as [Editor, Editor];
  await converged([wrong, right]);
  wrong.doc.getMap('other').set('key', 1);
  await expect.poll(() => wrong.errors).toEqual(['invalid']);
  right.text.insert(0, 'right ');
  await expect.poll(() => wrong.text.toJSON()).toBe('right text');
  expect(wrong.provider.unsavedChanges).toBe(1);
  expect(Y.encodeStateVector(right.doc)).not.toEqual(Y.encodeStateVector(wrong.doc));
  expect(await stored(clients[1], fileId)).toBe('right text');
  expect(wrong.errors).toHaveLength(1);
});

test('[SD-34] a text that is too large is taken when it is smaller', async () => {
  const client = await server.client(await server.person());
  const { fileId } = await makeTextFile(client);
  const { provider, text, errors } = edit(client, fileId);
  await expect.poll(() => provider.access).toBe('write');
  text.insert(0, 'x'.repeat(LIMITS.documentTextBytes + 10));
  await expect.poll(() => errors).toEqual(['too_large']);
  text.delete(0, 100);
  await vi.waitFor(() => expect(provider.unsavedChanges).toBe(0), { timeout: 15_000 });
  expect(errors).toHaveLength(1);
  expect(await stored(client, fileId)).toBe('x'.repeat(LIMITS.documentTextBytes - 90));
});

test('[SD-38] a page that was pasted offline, longer than one message, arrives', async () => {
  const ada = await server.person();
  const { client, cable } = await startCabled(ada);
  const { fileId } = await makeTextFile(client, { content: 'start ' });
  const { provider, text, errors } = edit(client, fileId);
  await expect.poll(() => provider.synced).toBe(true);
  const away = gone(client);
  cable.cut();
  await away;
  const page = 'é'.repeat(LIMITS.documentUpdateBytes / 2 + 1_000);
  text.insert(text.length, page);
  await vi.waitFor(() => expect([provider.synced, provider.unsavedChanges]).toEqual([true, 0]), { timeout: 20_000 });
  text.insert(text.length, page.slice(0, 400_000));
  text.delete(0, 6);
  await vi.waitFor(() => expect(provider.unsavedChanges).toBe(0), { timeout: 20_000 });
  expect(await stored(client, fileId)).toBe(page + page.slice(0, 400_000));
  expect(errors).toEqual([]);
});

test('[SD-36] a viewer reads, an editor writes, and whoever is removed is out, all without a reconnect', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const [owner, guest] = [await server.client(ada), await server.client(ben)];
  const { projectId, fileId } = await makeTextFile(owner, { content: 'text' });
  await owner.call('project:add-member', { projectId, userId: ben.id, role: 'viewer' });
  const [writer, reader] = [edit(owner, fileId), edit(guest, fileId)];
  await converged([writer, reader]);
  expect([writer.provider.access, reader.provider.access]).toEqual(['write', 'read']);
  reader.text.insert(0, 'mine ');
  writer.text.insert(4, '!');
  await expect.poll(() => reader.text.toJSON()).toBe('mine text!');
  expect(await stored(owner, fileId)).toBe('text!');
  await owner.call('project:set-role', { projectId, userId: ben.id, role: 'editor' });
  expect(await converged([writer, reader])).toBe('mine text!');
  const closed: number[] = [];
  reader.provider.on('closed', ({ code }) => closed.push(code));
  await owner.call('project:remove-member', { projectId, userId: ben.id });
  await expect.poll(() => [closed, reader.provider.access]).toEqual([[4403], 'none']);
  writer.text.insert(0, 'secret ');
  await expect.poll(() => writer.provider.unsavedChanges).toBe(0);
  expect(reader.text.toJSON()).toBe('mine text!');
  // Not even what there is to know of it.
  reader.provider.connect();
  await expect.poll(() => closed).toEqual([4403, 4404]);
});

test('[SD-34] a file that is deleted closes its providers', async () => {
  const client = await server.client(await server.person());
  const { fileId } = await makeTextFile(client);
  const { provider } = edit(client, fileId);
  await expect.poll(() => provider.synced).toBe(true);
  const closed: number[] = [];
  provider.on('closed', ({ code }) => closed.push(code));
  await client.call('file:delete', { fileId });
  await expect.poll(() => closed).toHaveLength(1);
  expect(provider.shouldConnect).toBe(false);
});

test('[SD-35] cursors are seen, go with a cut, and come back', async () => {
  const [ada, ben] = [await server.person(), await server.person()];
  const [one, two] = [await startCabled(ada), await startCabled(ben)];
  const { fileId } = await makeTextFile(one.client, { content: 'text', editors: [ben] });
  const here = edit(one.client, fileId);
  here.provider.awareness.setLocalStateField('user', { name: 'Ada' });
  await expect.poll(() => here.provider.synced).toBe(true);
  // Somebody who comes later sees those who are there.
  const there = edit(two.client, fileId);
  there.provider.awareness.setLocalStateField('user', { name: 'Ben' });
  const seenBy = (editor: Editor, other: Editor): unknown =>
    editor.provider.awareness.getStates().get(other.doc.clientID)?.['user'];
  const both = (): Promise<void> =>
    vi.waitFor(() => expect([seenBy(here, there), seenBy(there, here)]).toEqual([{ name: 'Ben' }, { name: 'Ada' }]), {
      timeout: 5_000,
    });
  await both();
  for (const { client, cable } of [one, two]) {
    const away = gone(client);
    cable.cut();
    await away;
    await both();
  }
  const away = gone(two.client);
  two.cable.silence();
  two.cable.cut();
  await away;
  await expect.poll(() => seenBy(here, there)).toBeUndefined();
  two.cable.heal();
  two.cable.cut();
  await both();
  there.provider.destroy();
  await expect.poll(() => seenBy(here, there)).toBeUndefined();
});

test('[SD-37] two providers of one client and one file, with an awareness of the application', async () => {
  const client = await server.client(await server.person());
  const { fileId } = await makeTextFile(client, { content: 'text' });
  const first = edit(client, fileId);
  await expect.poll(() => first.provider.synced).toBe(true);
  const doc = new Y.Doc();
  const awareness = new Awareness(doc);
  const provider = new SocketIOProvider(client, fileId, doc, { awareness });
  awareness.setLocalStateField('user', { name: 'Second' });
  await expect.poll(() => provider.synced).toBe(true);
  doc.getText('content').insert(0, 'second ');
  await expect.poll(() => first.text.toJSON()).toBe('second text');
  const seen = (): unknown => first.provider.awareness.getStates().get(doc.clientID)?.['user'];
  await expect.poll(() => seen()).toEqual({ name: 'Second' });
  provider.destroy();
  await expect.poll(() => seen()).toBeUndefined();
  expect(awareness.getLocalState()).not.toBeNull();
  doc.destroy();
  first.text.insert(0, 'first ');
  await expect.poll(() => first.provider.unsavedChanges).toBe(0);
  expect(await stored(client, fileId)).toBe('first second text');
});

test.runIf(hasRedis())(
  '[SD-32] what is written without a connection is merged by another node than the one that served before',
  { timeout: 90_000 },
  async () => {
    await using redis = await startRedis();
    await using cluster = await startNodes(2, { REDIS_URL: redis.url });
    const [first, second] = cluster.nodes as [TestServer, TestServer];
    const [ada, ben] = [await first.person(), await second.person()];
    let home = first;
    const moving = await startCabled(ada, () => home.url);
    const staying = await second.client(ben);
    const { fileId } = await makeTextFile(moving.client, { content: 'start', editors: [ben] });
    const editors = [edit(moving.client, fileId), edit(staying, fileId)] as const;
    expect(await converged(editors)).toBe('start');
    for (const node of [second, first, second]) {
      const away = gone(moving.client);
      home = node;
      moving.cable.silence();
      editors[0].text.insert(0, 'unheard ');
      moving.cable.heal();
      moving.cable.cut();
      await away;
      editors[0].text.insert(0, 'offline ');
      editors[1].text.insert(editors[1].text.length, ' meanwhile');
      await converged(editors);
    }
    const text = await converged(editors);
    for (const word of ['unheard', 'offline', 'meanwhile']) expect(text.split(word)).toHaveLength(4);
    for (const node of cluster.nodes) {
      const reader = await node.client(ada);
      expect(await stored(reader, fileId)).toBe(text);
      expect(node.errors).toEqual([]);
    }
  },
);
