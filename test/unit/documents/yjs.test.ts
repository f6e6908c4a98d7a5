/** `/yjs/<fileId>`: stock y-websocket providers and others on the documents of one node and of several. */
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { ALL_NODES } from '../../../src/cluster/index.ts';
import type { SessionRevoked } from '../../../src/features/auth/index.ts';
import { writeAwareness } from '../../../src/features/documents/awareness-codec.ts';
import { Fault, LIMITS } from '../../../src/protocol/index.ts';
import { newId, openDocumentWorld, openPeer, type DocumentNode, type DocumentWorld } from '../../support/documents.ts';
import { openPlain, openStock, synced, type PlainClient } from '../../support/yjs.ts';

interface TestWorld extends DocumentWorld {
  node: DocumentNode;
  url: string;
  fileId: string;
}

async function openWorld(text = '', count = 1): Promise<TestWorld> {
  const world = await openDocumentWorld(count);
  onTestFinished(() => world[Symbol.asyncDispose]());
  const [node] = world.nodes;
  if (!node) throw new Error('There is a node');
  const fileId = newId();
  await node.documents.create(fileId, text, newId());
  return { ...world, node, url: node.gateway.url, fileId };
}

const tokenOf = (userId = newId(), sessionId = newId()): string => `${userId}/${sessionId}`;
const path = (fileId: string, token = tokenOf()): string => `/yjs/${fileId}?token=${encodeURIComponent(token)}`;
const textOf = ({ node, fileId }: TestWorld): Promise<string> => node.documents.text(fileId);
const revoked = (sessionId: string): SessionRevoked => ({
  type: 'session:revoked',
  userId: newId(),
  sessionIds: [sessionId],
  reason: 'revoked',
});

/** What a client that has been let in has heard when it is synced. */
async function opened(client: PlainClient): Promise<PlainClient> {
  await expect.poll(() => client.heard.some(({ kind }) => kind === 'step2')).toBe(true);
  return client;
}

/** An update as a client makes it that has the text before. */
function insertion(text: string, at = 0, base?: Uint8Array): Uint8Array {
  const doc = new Y.Doc();
  if (base) Y.applyUpdate(doc, base);
  const before = Y.encodeStateVector(doc);
  doc.getText('content').insert(at, text);
  return Y.encodeStateAsUpdate(doc, before);
}

test('[DC-41] stock providers and peers of another kind edit one text; synced is who has all of it', async () => {
  const world = await openWorld('Hello');
  const [ada, grace] = [openStock(world.url, world.fileId, tokenOf()), openStock(world.url, world.fileId, tokenOf())];
  const socket = await openPeer(world.node, world.fileId);
  for (const client of [ada, grace]) expect((await synced(client)).syncedWith).toEqual(['Hello']);
  for (let n = 0; n < 30; n++) {
    ada.text.insert(n % (ada.text.length + 1), 'a');
    grace.text.insert(grace.text.length, 'g');
    socket.text.insert(0, 's');
    void socket.push();
    await new Promise(setImmediate);
  }
  grace.text.delete(0, 3);
  for (const { text } of [ada, grace, socket]) {
    await expect.poll(() => text.length).toBe(5 + 3 * 30 - 3);
    await expect.poll(() => text.toJSON()).toBe(ada.text.toJSON());
  }
  expect(await textOf(world)).toBe(ada.text.toJSON());
  expect([ada, grace].flatMap(({ closes }) => closes)).toEqual([]);
  expect(world.node.bugs).toEqual([]);
});

test('[DC-41] what was written offline arrives on reconnecting, also when typing goes on at that moment', async () => {
  const world = await openWorld('0');
  const [ada, grace] = [openStock(world.url, world.fileId, tokenOf()), openStock(world.url, world.fileId, tokenOf())];
  await Promise.all([synced(ada), synced(grace)]);
  for (let n = 1; n <= 10; n++) {
    ada.provider.disconnect();
    ada.text.insert(ada.text.length, 'offline ');
    grace.text.insert(0, 'meanwhile ');
    const typing = new Promise<void>((resolve) => {
      const type = ({ status }: { status: string }): void => {
        if (status !== 'connected') return;
        ada.provider.off('status', type);
        // Before the server has asked for what it lacks.
        setImmediate(() => {
          ada.text.insert(ada.text.length, 'typing ');
          resolve();
        });
      };
      ada.provider.on('status', type);
    });
    ada.provider.connect();
    await typing;
    await synced(ada);
  }
  const all = `${'meanwhile '.repeat(10)}0${'offline typing '.repeat(10)}`;
  for (const { text } of [ada, grace]) await expect.poll(() => text.toJSON()).toBe(all);
  expect(await textOf(world)).toBe(all);
  expect(ada.closes.filter((code) => code !== 0)).toEqual([]);
});

test('[DC-41] on several nodes', async () => {
  const world = await openWorld('', 2);
  const clients = world.nodes.flatMap(({ gateway: { url } }) => [
    openStock(url, world.fileId, tokenOf()),
    openStock(url, world.fileId, tokenOf()),
  ]);
  await Promise.all(clients.map(synced));
  for (let n = 0; n < 20; n++) {
    for (const [i, { text }] of clients.entries()) text.insert(text.length, String(i));
    await new Promise(setImmediate);
  }
  for (const { text } of clients) {
    await expect.poll(() => text.length).toBe(80);
    await expect.poll(() => text.toJSON()).toBe(clients[0]?.text.toJSON());
  }
  for (const { bugs } of world.nodes) expect(bugs).toEqual([]);
});

test('[DC-42] what opens: everything there is in updates, then synced, and what the server lacks is asked last', async () => {
  const world = await openWorld('Hello');
  const client = await openPlain(world.url, path(world.fileId));
  await expect.poll(() => client.heard.length).toBe(3);
  expect(client.heard.map(({ kind }) => kind)).toEqual(['update', 'step2', 'step1']);
  const doc = new Y.Doc();
  for (const message of client.heard) if (message.kind === 'update') Y.applyUpdate(doc, message.bytes);
  expect(doc.getText('content').toJSON()).toBe('Hello');
  expect(client.heard[1]).toMatchObject({ bytes: new Uint8Array([0, 0]) });
  // As with `resyncInterval`: everything has come already.
  client.send('step1', Y.encodeStateVector(doc));
  await expect.poll(() => client.heard.length).toBe(4);
  expect(client.heard[3]).toEqual({ kind: 'step2', bytes: new Uint8Array([0, 0]) });
});

test('[DC-42] an opening that came before an update has it after', async () => {
  const world = await openWorld('x'.repeat(100_000));
  const writer = await openPeer(world.node, world.fileId);
  const clients = Array.from({ length: 10 }, () => openStock(world.url, world.fileId, tokenOf()));
  const writing = (async () => {
    for (let n = 0; n < 50; n++) {
      writer.text.insert(n, String(n % 10));
      await writer.push();
    }
  })();
  await Promise.all([writing, ...clients.map(synced)]);
  for (const { text, syncedWith } of clients) {
    await expect.poll(() => text.toJSON() === writer.text.toJSON()).toBe(true);
    // Never less than was there at the start.
    expect(syncedWith[0]?.length).toBeGreaterThanOrEqual(100_000);
  }
});

test.each<[string, number, (world: TestWorld) => string | Promise<string>]>([
  ['no token', 4401, ({ fileId }) => `/yjs/${fileId}`],
  ['a token that is none', 4401, ({ fileId }) => path(fileId, 'guess')],
  ['a token without end', 4401, ({ fileId }) => path(fileId, 'x'.repeat(5_000))],
  ['a ticket that is none', 4401, ({ fileId }) => path(fileId, 't.guess')],
  ['no file', 4404, () => path('')],
  ['a file that nobody knows', 4404, () => path(newId())],
  ['something that is no id', 4404, () => path('..%2fsecret')],
  [
    'a file that is not theirs',
    4404,
    ({ fileId, access }) => {
      const userId = newId();
      access.set(userId, 'none');
      return path(fileId, tokenOf(userId));
    },
  ],
])('[DC-43] %s is let in and closed with %i', async (_what, code, pathOf) => {
  const world = await openWorld();
  const client = await openPlain(world.url, await pathOf(world));
  expect(await client.closed).toBe(code);
  expect(client.heard).toEqual([]);
  expect(world.node.bugs).toEqual([]);
});

test('[DC-43] pages of other sites are closed for good; too many connections may come later', async () => {
  const world = await openWorld();
  const foreign = await openPlain(world.url, path(world.fileId), { origin: 'https://evil.example' });
  expect(await foreign.closed).toBe(4403);
  await opened(await openPlain(world.url, path(world.fileId), { origin: 'http://localhost' }));
  const userId = newId();
  const own = await Promise.all(
    Array.from({ length: LIMITS.connectionsPerUser }, () => openPlain(world.url, path(world.fileId, tokenOf(userId)))),
  );
  await Promise.all(own.map(opened));
  const tooMany = await openPlain(world.url, path(world.fileId, tokenOf(userId)));
  expect(await tooMany.closed).toBe(1013);
  // A place that is left is free again.
  own[0]?.ws.close();
  await expect
    .poll(async () => {
      const next = await openPlain(world.url, path(world.fileId, tokenOf(userId)));
      return Promise.race([next.closed, opened(next).then(() => 'in')]);
    })
    .toBe('in');
});

test('[DC-43] one address has a bounded number of connections', async () => {
  const world = await openWorld();
  const clients: PlainClient[] = [];
  for (let n = 0; n < LIMITS.connectionsPerIp; n++) clients.push(await openPlain(world.url, path(world.fileId)));
  const tooMany = await openPlain(world.url, path(world.fileId));
  expect(await tooMany.closed).toBe(1013);
});

test('[DC-43] a ticket lets in again and again while its session lasts', async () => {
  const world = await openWorld('Hello');
  const [userId, sessionId] = [newId(), newId()];
  const { ticket, expiresInSeconds } = await world.node.feature.handlers['doc:ticket']({ fileId: world.fileId }, {
    session: { userId, sessionId, expiresAtMs: 0 },
  } as never);
  expect(expiresInSeconds).toBe(600);
  const client = openStock(world.url, world.fileId, ticket);
  await synced(client);
  client.provider.disconnect();
  world.node.doors.aheadMs = 3_600_000;
  client.provider.connect();
  await synced(client);
  client.text.insert(0, 'still ');
  await expect.poll(() => textOf(world)).toBe('still Hello');
  world.node.doors.endedSessions.add(sessionId);
  const late = await openPlain(world.url, path(world.fileId, ticket));
  expect(await late.closed).toBe(4401);
  // That one was there before: a notice that was lost is found out.
  for (let n = 0; n < 6; n++) await beat(world, client.provider.ws as unknown as WebSocket);
  world.node.doors.clock.advance(1_000);
  await expect.poll(() => client.closedFor).toEqual([4401]);
  expect(world.node.bugs).toEqual([]);
});

test('[DC-44] a connection ends with its session at once, and the others stay', async () => {
  const world = await openWorld('', 2);
  const [here, there] = world.nodes;
  const [userId, ended, other] = [newId(), newId(), newId()];
  const clients = world.nodes.map(({ gateway: { url } }) => openStock(url, world.fileId, tokenOf(userId, ended)));
  const stays = openStock(world.url, world.fileId, tokenOf(userId, other));
  await Promise.all([...clients, stays].map(synced));
  here?.bus.publish(ALL_NODES, revoked(ended));
  for (const { closedFor } of clients) await expect.poll(() => closedFor).toEqual([4401]);
  expect(stays.provider.wsconnected).toBe(true);
  expect(there?.yjs.size).toBe(0);
});

test('[DC-44] a connection by an access token ends with that', async () => {
  const world = await openWorld();
  const expiresAtMs = Date.now() + 60_000;
  const client = openStock(world.url, world.fileId, `${tokenOf()}/${expiresAtMs}`);
  await synced(client);
  world.node.doors.aheadMs = 60_000;
  world.node.doors.clock.advance(1_000);
  expect(client.provider.wsconnected).toBe(true);
  world.node.doors.aheadMs = 60_000 + LIMITS.expiryGraceMs + 1_000;
  world.node.doors.clock.advance(1_000);
  await expect.poll(() => client.closedFor).toEqual([4401]);
});

test('[DC-44] a connection ends when its user may not see the file any more, or the file has gone', async () => {
  const world = await openWorld();
  const [userId, other] = [newId(), newId()];
  const [client, stays] = [
    openStock(world.url, world.fileId, tokenOf(userId)),
    openStock(world.url, world.fileId, tokenOf(other)),
  ];
  await Promise.all([synced(client), synced(stays)]);
  world.access.set(userId, 'none');
  world.accessChanged();
  await expect.poll(() => client.closedFor).toEqual([4403]);
  expect(stays.closes).toEqual([]);
  world.removed([world.fileId]);
  await expect.poll(() => stays.closedFor.length).toBe(1);
});

test('[DC-45] who may only read gets everything, is told so when they write, and stays', async () => {
  const world = await openWorld('Hello');
  const userId = newId();
  world.access.set(userId, 'read');
  const [reader, writer] = [
    openStock(world.url, world.fileId, tokenOf(userId)),
    openStock(world.url, world.fileId, tokenOf()),
  ];
  await Promise.all([synced(reader), synced(writer)]);
  writer.text.insert(0, 'Oh ');
  await expect.poll(() => reader.text.toJSON()).toBe('Oh Hello');
  const plain = await opened(await openPlain(world.url, path(world.fileId, tokenOf(userId))));
  // Nothing is asked of them.
  expect(plain.heard.map(({ kind }) => kind)).not.toContain('step1');
  plain.send('step2', new Uint8Array([0, 0]));
  plain.send('update', insertion('mine'));
  await expect.poll(() => plain.heard.at(-1)?.kind).toBe('denied');
  expect(plain.heard.filter(({ kind }) => kind === 'denied').length).toBe(1);
  reader.text.insert(0, 'I say: ');
  writer.text.insert(0, '!');
  await expect.poll(() => reader.text.toJSON()).toContain('!');
  expect(await textOf(world)).toBe('!Oh Hello');
  expect(reader.closes).toEqual([]);
  // Now they may, and what they wrote meanwhile is asked for.
  world.access.set(userId, 'write');
  world.accessChanged();
  await expect.poll(() => writer.text.toJSON()).toBe(reader.text.toJSON());
  expect(writer.text.toJSON()).toContain('I say: ');
  expect(world.node.bugs).toEqual([]);
});

test('[DC-46] words that mean nothing are ignored, and those after them understood', async () => {
  const world = await openWorld();
  const client = await opened(await openPlain(world.url, path(world.fileId)));
  client.ws.send('text');
  for (const bytes of [
    [],
    [9],
    [0],
    [0, 9],
    [0, 2],
    [0, 2, 200],
    [0, 0, 0xff, 0xff, 0xff, 0xff, 0xff],
    [1],
    [1, 3, 9, 9, 9],
  ]) {
    client.ws.send(new Uint8Array(bytes));
  }
  client.send('step2', insertion('here'));
  await expect.poll(() => textOf(world)).toBe('here');
  expect(client.ws.readyState).toBe(WebSocket.OPEN);
  expect(world.node.bugs).toEqual([]);
});

test.each<[string, number, Uint8Array]>([
  ['an update that is none', 4403, new Uint8Array([1, 2, 3, 4, 5])],
  ['an update of another kind of document', 4403, updateOf((doc) => doc.getMap('content').set('a', 1))],
  ['a message beyond all limits', 4413, new Uint8Array(LIMITS.packetBytes + 1)],
])('[DC-46] %s is refused with %i and reaches neither log nor others', async (_what, code, update) => {
  const world = await openWorld('Hello');
  const other = openStock(world.url, world.fileId, tokenOf());
  await synced(other);
  const client = await opened(await openPlain(world.url, path(world.fileId)));
  client.send('step2', update);
  expect(await client.closed).toBe(code);
  other.text.insert(0, 'and ');
  await expect.poll(() => textOf(world)).toBe('and Hello');
  expect(other.closes).toEqual([]);
  expect(world.node.bugs).toEqual([]);
});

test('[DC-46] what builds on something that was never sent is closed with 1013: coming back sends all', async () => {
  const world = await openWorld('Hello');
  const client = await opened(await openPlain(world.url, path(world.fileId)));
  const unknown = insertion('one');
  client.send('step2', new Uint8Array([0, 0]));
  client.send('update', insertion('two', 0, unknown));
  // It is a root of its own; the next builds on it.
  const doc = new Y.Doc();
  doc.getText('content').insert(0, 'a');
  const vector = Y.encodeStateVector(doc);
  doc.getText('content').insert(1, 'b');
  client.send('update', Y.encodeStateAsUpdate(doc, vector));
  expect(await client.closed).toBe(1013);
});

test('[DC-46] whoever writes faster than allowed is read slower, and loses nothing', async () => {
  const world = await openWorld();
  let taken = 0;
  world.node.doors.limit = () => {
    if (taken++ % 3 === 2) throw new Fault('rate_limited', 'Slowly', { retryAfterMs: 5 });
  };
  const client = openStock(world.url, world.fileId, tokenOf());
  await synced(client);
  for (let n = 0; n < 200; n++) client.text.insert(n, String(n % 10));
  await expect.poll(() => textOf(world), { timeout: 10_000 }).toBe(client.text.toJSON());
  expect(client.closes).toEqual([]);
});

test('[DC-47] who does not read is closed, costs a bounded amount until then, and slows nobody', async () => {
  const world = await openWorld();
  const writer = await openPeer(world.node, world.fileId);
  const reader = openStock(world.url, world.fileId, tokenOf());
  await synced(reader);
  const slow = await opened(await openPlain(world.url, path(world.fileId)));
  slow.ws.pause();
  for (let n = 0; n < 200 && world.node.doors.slow.length === 0; n++) {
    writer.text.delete(0, writer.text.length);
    writer.text.insert(0, String(n % 10).repeat(200_000));
    await writer.push();
  }
  expect(world.node.doors.slow).toEqual([
    { userId: expect.any(String), connectionId: expect.any(String), bytes: expect.any(Number) },
  ]);
  await expect.poll(() => reader.text.toJSON() === writer.text.toJSON()).toBe(true);
  slow.ws.resume();
  expect(await slow.closed).toBe(1013);
});

test('[DC-47] an opening larger than that limit is no crime', async () => {
  const world = await openWorld('x'.repeat(LIMITS.documentTextBytes));
  const open = (): Promise<PlainClient> => openPlain(world.url, path(world.fileId));
  await opened(await open());
  const slow = await open();
  slow.ws.pause();
  // Who came later is in.
  await opened(await open());
  // Its pings stand behind it.
  for (let n = 0; n < 20; n++) {
    world.node.doors.clock.advance(1_000);
    await new Promise(setImmediate);
  }
  slow.ws.resume();
  await opened(slow);
  expect(world.node.doors.slow).toEqual([]);
});

test('[DC-48] whoever is silent is found out; whoever only listens hears something in time', async () => {
  const world = await openWorld();
  const client = await opened(await openPlain(world.url, path(world.fileId)));
  const before = client.heard.length;
  for (let ms = 0; ms < LIMITS.yjsQuietMs; ms += LIMITS.pingIntervalMs) await beat(world, client.ws);
  expect(client.heard.slice(before)).toContainEqual({ kind: 'awareness', bytes: new Uint8Array([0]) });
  expect(client.ws.readyState).toBe(WebSocket.OPEN);
  // The cable is cut without a word.
  client.ws.pause();
  world.node.doors.clock.advance(LIMITS.pingIntervalMs + LIMITS.pingTimeoutMs + 1_000);
  client.ws.resume();
  expect(await client.closed).toBe(1006);
});

test('[DC-36] who is there is seen by everybody, on every node and by every transport, and who leaves goes', async () => {
  const world = await openWorld('', 2);
  const [here, there] = world.nodes as [DocumentNode, DocumentNode];
  const ada = openStock(here.gateway.url, world.fileId, tokenOf());
  await synced(ada);
  ada.provider.awareness.setLocalState({ name: 'Ada' });
  const grace = openStock(there.gateway.url, world.fileId, tokenOf());
  grace.provider.awareness.setLocalState({ name: 'Grace' });
  const names = ({ provider }: typeof ada): string[] =>
    [...provider.awareness.getStates().values()].map((state) => String(state['name'])).sort();
  for (const client of [ada, grace]) await expect.poll(() => names(client)).toEqual(['Ada', 'Grace']);
  // Somebody who comes later, and asks.
  const plain = await opened(await openPlain(there.gateway.url, path(world.fileId)));
  await expect.poll(() => plain.heard.at(-1)?.kind).toBe('awareness');
  const heard = plain.heard.length;
  plain.send('query');
  await expect.poll(() => plain.heard.length).toBe(heard + 1);
  ada.provider.awareness.setLocalStateField('name', 'Ada L.');
  await expect.poll(() => names(grace)).toEqual(['Ada L.', 'Grace']);
  ada.provider.disconnect();
  await expect.poll(() => names(grace)).toEqual(['Grace']);
});

test('[DC-36] awareness is the first to go where a reader is behind, and is made up for', async () => {
  const world = await openWorld();
  const writer = await openPeer(world.node, world.fileId);
  const moving = await opened(await openPlain(world.url, path(world.fileId)));
  const slow = await opened(await openPlain(world.url, path(world.fileId)));
  slow.ws.pause();
  const { yjs, doors } = world.node;
  // More than half of what may wait, besides what the system takes.
  while (yjs.outboundBytes < 0.6 * LIMITS.outboundBytes) {
    writer.text.delete(0, writer.text.length);
    writer.text.insert(0, 'x'.repeat(100_000));
    await writer.push();
    await new Promise(setImmediate);
  }
  const states = 300;
  for (let n = 1; n <= states; n++) {
    moving.send('awareness', writeAwareness([{ clientId: 1, clock: n, state: JSON.stringify({ n }) }]));
    await new Promise(setImmediate);
  }
  const numbers = ({ heard }: PlainClient): number[] =>
    heard.flatMap((message) =>
      message.kind === 'awareness' ? [Number(/"n":(\d+)/.exec(Buffer.from(message.bytes).toString())?.[1])] : [],
    );
  await expect.poll(() => numbers(moving).at(-1)).toBe(states);
  slow.ws.resume();
  await expect.poll(() => yjs.outboundBytes).toBe(0);
  doors.clock.advance(1_000);
  await expect.poll(() => numbers(slow).at(-1)).toBe(states);
  expect(numbers(slow).length).toBeLessThan(10);
  expect(doors.slow).toEqual([]);
});

test('[DC-49] a server that stops lets everybody go, who come back elsewhere', async () => {
  const world = await openWorld('', 2);
  const [here, there] = world.nodes as [DocumentNode, DocumentNode];
  const client = openStock(here.gateway.url, world.fileId, tokenOf());
  await synced(client);
  client.text.insert(0, 'Hello');
  await expect.poll(() => here.documents.text(world.fileId)).toBe('Hello');
  const draining = here.yjs.drain();
  const late = await openPlain(here.gateway.url, path(world.fileId));
  expect(await late.closed).toBe(1013);
  await draining;
  expect(client.closes[0]).toBe(1013);
  client.provider.serverUrl = `${there.gateway.url.replace('http', 'ws')}/yjs`;
  await synced(client);
  expect(client.text.toJSON()).toBe('Hello');
});

/** Time passes until the next ping, and its answer has come. */
async function beat({ node, url, fileId }: TestWorld, ws: WebSocket): Promise<void> {
  const pinged = once(ws, 'ping');
  node.doors.clock.advance(LIMITS.pingIntervalMs);
  await pinged;
  // What somebody else has sent after it has been dealt with: so has it.
  for (let n = 0; n < 2; n++) await opened(await openPlain(url, path(fileId)));
}

function updateOf(edit: (doc: Y.Doc) => void): Uint8Array {
  const doc = new Y.Doc();
  edit(doc);
  return Y.encodeStateAsUpdate(doc);
}
