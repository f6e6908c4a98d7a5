/** Documents without a transport: the log, the live document, snapshots, several nodes. */
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { LIMITS } from '../../../src/protocol/index.ts';
import { OpenDocument } from '../../../src/features/documents/open-document.ts';
import { StoredDocument, type StoredUpdate } from '../../../src/features/documents/stored-document.ts';
import { newId, openDocumentWorld, openPeer, type DocumentNode, type DocumentWorld } from '../../support/documents.ts';

async function oneNode(): Promise<DocumentWorld & { node: DocumentNode }> {
  const world = await openDocumentWorld();
  return { ...world, node: world.nodes[0]! };
}

const updateOf = (edit: (doc: Y.Doc) => void): Uint8Array => {
  const doc = new Y.Doc();
  edit(doc);
  return Y.encodeStateAsUpdate(doc);
};

const bigText = (bytes: number): string => 'abcdefg\n'.repeat(Math.ceil(bytes / 8)).slice(0, bytes);

test('[DC-1] a document begins with its initial text, once, however often it is made', async () => {
  await using world = await openDocumentWorld(2);
  const [a, b] = world.nodes as [DocumentNode, DocumentNode];
  const [fileId, userId] = [newId(), newId()];
  await Promise.all([a, b, a, b].map(({ documents }) => documents.create(fileId, 'héllo', userId)));
  await a.documents.create(fileId, 'another', newId());
  const peers = await Promise.all(Array.from({ length: 10 }, (_, i) => openPeer(i % 2 ? a : b, fileId)));
  expect(peers.map(({ text }) => text.toJSON())).toEqual(Array(10).fill('héllo'));
  expect(await b.documents.text(fileId)).toBe('héllo');
  await expect(a.documents.text(newId())).rejects.toMatchObject({ code: 'not_found' });
  await expect(openPeer(a, newId())).rejects.toMatchObject({ code: 'not_found' });
});

test('[DC-2] an update is answered when it is durable, and then everyone has it, its writer too', async () => {
  await using world = await oneNode();
  const fileId = newId();
  await world.node.documents.create(fileId, '', newId());
  const [ada, ben] = [await openPeer(world.node, fileId), await openPeer(world.node, fileId)];
  ada.text.insert(0, 'Hello');
  await ada.push();
  expect(await world.node.documents.text(fileId)).toBe('Hello');
  expect(ben.text.toJSON()).toBe('Hello');
  expect(ada.heard).toHaveLength(1);
  ben.text.insert(5, ', world');
  ben.text.delete(0, 1);
  await ben.push();
  expect(ada.text.toJSON()).toBe('ello, world');
  ada.close();
  ben.text.insert(0, 'H');
  await ben.push();
  expect(ada.heard).toHaveLength(2);
});

test('[DC-2] what comes in one turn becomes one update of the log', async () => {
  await using world = await oneNode();
  const fileId = newId();
  await world.node.documents.create(fileId, '', newId());
  const peers = await Promise.all(Array.from({ length: 20 }, () => openPeer(world.node, fileId)));
  for (const { text } of peers) text.insert(0, 'x');
  await Promise.all(peers.map((peer) => peer.push()));
  expect(await world.node.documents.text(fileId)).toBe('x'.repeat(20));
  expect(peers[0]?.heard.length).toBeLessThan(5);
  expect(new Set(peers.map(({ text }) => text.toJSON()))).toEqual(new Set(['x'.repeat(20)]));
});

test('[DC-3] what is no text in `content` is invalid, and reaches neither log nor others', async () => {
  await using world = await oneNode();
  const fileId = newId();
  await world.node.documents.create(fileId, 'kept', newId());
  const [ada, ben] = [await openPeer(world.node, fileId), await openPeer(world.node, fileId)];
  const hostile = [
    new Uint8Array(),
    new Uint8Array([1]),
    new Uint8Array([255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]),
    Uint8Array.from({ length: 500 }, (_, i) => (i * 7_919) % 256),
    updateOf((doc) => doc.getText('other').insert(0, 'x')),
    updateOf((doc) => doc.getMap('content').set('a', 1)),
    updateOf((doc) => doc.getArray('content').push([1])),
    updateOf((doc) => doc.getXmlFragment('content').push([new Y.XmlElement('p')])),
    updateOf((doc) => doc.getText('content').setAttribute('a', 'b')),
    updateOf((doc) => doc.getArray('content').push([new Uint8Array(3)])),
    updateOf((doc) => doc.getArray('content').push([new Y.Doc()])),
  ];
  for (const update of hostile) await expect(ada.send(update)).rejects.toMatchObject({ code: 'invalid' });
  expect(ben.heard).toEqual([]);
  ben.text.insert(4, '!');
  await ben.push();
  expect(await world.node.documents.text(fileId)).toBe('kept!');
  expect(world.node.bugs).toEqual([]);
});

test('[DC-3] a refused update does not keep others that came with it', async () => {
  await using world = await oneNode();
  const fileId = newId();
  await world.node.documents.create(fileId, '', newId());
  const [ada, eve] = [await openPeer(world.node, fileId), await openPeer(world.node, fileId)];
  ada.text.insert(0, 'good');
  const outcomes = await Promise.allSettled([
    eve.send(updateOf((doc) => doc.getMap('content').set('a', 1))),
    ada.push(),
    eve.send(new Uint8Array([9, 9])),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
  expect(await world.node.documents.text(fileId)).toBe('good');
});

test('[DC-4] an update that builds on what nobody has is a conflict', async () => {
  await using world = await oneNode();
  const fileId = newId();
  await world.node.documents.create(fileId, 'abc', newId());
  const ada = await openPeer(world.node, fileId);
  const updates: Uint8Array[] = [];
  ada.doc.on('update', (update: Uint8Array) => updates.push(update));
  ada.text.insert(0, 'one ');
  ada.text.insert(4, 'two ');
  ada.text.delete(0, 1);
  await expect(ada.send(updates[1]!)).rejects.toMatchObject({ code: 'conflict' });
  await expect(ada.send(updates[2]!)).rejects.toMatchObject({ code: 'conflict' });
  expect(ada.heard).toEqual([]);
  await ada.send(Y.mergeUpdates(updates));
  expect(await world.node.documents.text(fileId)).toBe('ne two abc');
});

test('[DC-5] nobody writes under a client id that another user has begun to write under', async () => {
  await using world = await openDocumentWorld(2);
  const [a, b] = world.nodes as [DocumentNode, DocumentNode];
  const fileId = newId();
  await a.documents.create(fileId, '', newId());
  const [ada, eve] = [await openPeer(a, fileId), await openPeer(b, fileId)];
  eve.doc.clientID = ada.doc.clientID;
  ada.text.insert(0, 'ada');
  await ada.push();
  await expect.poll(() => eve.text.toJSON()).toBe('ada');
  eve.doc.clientID = ada.doc.clientID;
  eve.text.insert(3, ' eve');
  await expect(eve.push()).rejects.toMatchObject({ code: 'forbidden' });
  // Another session of the same user may: a reload keeps nothing, but a copied document does.
  const again = await openPeer(b, fileId, ada.userId);
  again.doc.clientID = ada.doc.clientID;
  again.text.insert(3, '!');
  await again.push();
  expect(await b.documents.text(fileId)).toBe('ada!');
});

test('[DC-6] a text may have 2 MiB and no more', async () => {
  await using world = await oneNode();
  const fileId = newId();
  await world.node.documents.create(fileId, bigText(LIMITS.documentTextBytes - 900_000), newId());
  await expect(
    world.node.documents.create(newId(), bigText(LIMITS.documentTextBytes + 1), newId()),
  ).rejects.toMatchObject({ code: 'too_large' });
  const [ada, ben] = [await openPeer(world.node, fileId), await openPeer(world.node, fileId)];
  ada.text.insert(0, bigText(900_000));
  await ada.push();
  const before = ada.text.toJSON();
  await expect(ben.push()).resolves.toBeUndefined();
  const over = await openPeer(world.node, fileId);
  over.text.insert(0, 'x');
  ben.text.delete(0, 10);
  // The one makes room, the other needs it.
  const outcomes = await Promise.allSettled([over.push(), ben.push()]);
  expect(outcomes[1].status).toBe('fulfilled');
  expect(await world.node.documents.text(fileId)).toHaveLength(
    before.length - 10 + (outcomes[0].status === 'fulfilled' ? 1 : 0),
  );
  const full = await openPeer(world.node, fileId);
  full.text.insert(0, bigText(11));
  await expect(full.push()).rejects.toMatchObject({ code: 'too_large' });
  // Replacing most of it in one update is no more than there was.
  const replacing = await openPeer(world.node, fileId);
  replacing.doc.transact(() => {
    replacing.text.delete(0, 900_000);
    replacing.text.insert(0, bigText(900_000));
  });
  await replacing.push();
  await expect(full.send(new Uint8Array(LIMITS.documentFirstUpdateBytes + 1))).rejects.toMatchObject({
    code: 'too_large',
  });
});

test('[DC-7] a reader gets everything and changes nothing; what one may do follows at once', async () => {
  await using world = await oneNode();
  const fileId = newId();
  const { node, access } = world;
  await node.documents.create(fileId, '', newId());
  const reader = newId();
  access.set(reader, 'read');
  const [ada, eve] = [await openPeer(node, fileId), await openPeer(node, fileId, reader)];
  ada.text.insert(0, 'text');
  await ada.push();
  expect(eve.text.toJSON()).toBe('text');
  eve.text.insert(0, 'no ');
  await expect(eve.push()).rejects.toMatchObject({ code: 'forbidden' });
  access.set(reader, 'write');
  world.accessChanged();
  await expect.poll(() => eve.access).toEqual(['write']);
  await eve.send(Y.encodeStateAsUpdate(eve.doc));
  expect(ada.text.toJSON()).toBe('no text');
  access.set(reader, 'none');
  world.accessChanged();
  await expect.poll(() => eve.access).toEqual(['write', 'none']);
  const heard = eve.heard.length;
  ada.text.insert(0, 'now ');
  await ada.push();
  expect(eve.heard).toHaveLength(heard);
  await expect(openPeer(node, fileId, reader)).rejects.toMatchObject({ code: 'not_found' });
  world.removed([fileId]);
  expect(ada.access).toEqual(['gone']);
  await node.documents.remove([fileId]);
  await expect(node.documents.text(fileId)).rejects.toMatchObject({ code: 'not_found' });
});

test('[DC-8] snapshots take the place of many updates, and nothing changes for anybody', async () => {
  await using world = await oneNode();
  const fileId = newId();
  const { node } = world;
  await node.documents.create(fileId, 'begin ', newId());
  const ada = await openPeer(node, fileId);
  for (let i = 0; i < LIMITS.documentTailRows * 2 + 50; i++) {
    ada.text.insert(ada.text.length, `${i} `);
    await ada.push();
  }
  const snapshots = node.models.snapshots.collection;
  await expect.poll(async () => (await snapshots.findOne({}))?.['n']).toBeGreaterThan(LIMITS.documentTailRows);
  await ada.push();
  const cold = (await node.updates.load(fileId))!;
  expect(cold.tail.rows).toBeLessThan(LIMITS.documentTailRows + 10);
  const doc = cold.toDoc();
  expect(doc.getText('content').toJSON()).toBe(ada.text.toJSON());
  expect(Y.encodeStateVector(doc)).toEqual(cold.stateVector());
  const ben = await openPeer(node, fileId);
  expect(ben.text.toJSON()).toBe(ada.text.toJSON());
  // A client that was away since long ago gets the rest only.
  const part = await node.documents.openPeer({
    fileId,
    userId: ada.userId,
    stateVector: Y.encodeStateVector(ada.doc),
    onAccess: () => {},
  });
  expect(part.updates).toHaveLength(1);
  expect(part.updates[0]?.byteLength).toBeLessThan(50);
  expect(part.stateVector).toEqual(Y.encodeStateVector(ada.doc));
});

test('[DC-9] nodes converge, also when notices are lost', async () => {
  await using world = await openDocumentWorld(2);
  const [a, b] = world.nodes as [DocumentNode, DocumentNode];
  const fileId = newId();
  await a.documents.create(fileId, '', newId());
  const [ada, ben] = [await openPeer(a, fileId), await openPeer(b, fileId)];
  for (let i = 0; i < 50; i++) {
    ada.text.insert(0, 'a');
    ben.text.insert(ben.text.length, 'b');
    await Promise.all([ada.push(), ben.push()]);
  }
  await expect.poll(() => [ada, ben].map(({ text }) => text.length)).toEqual([100, 100]);
  const whole = ada.text.toJSON();
  expect(ben.text.toJSON()).toBe(whole);
  expect(await a.documents.text(fileId)).toBe(whole);
  // What a node has not heard of it reads before it lets others build on it.
  const cut = world.network.cut();
  ada.text.insert(0, 'unheard ');
  await ada.push();
  const roaming = await openPeer(b, fileId, ada.userId);
  expect(roaming.text.toJSON()).toBe(whole);
  Y.applyUpdate(roaming.doc, Y.encodeStateAsUpdate(ada.doc), 'server');
  roaming.text.insert(8, 'by the other node ');
  await roaming.push();
  // Nor does it take what others have written for a forgery of whoever brings it.
  ada.text.insert(0, 'still ');
  await ada.push();
  const courier = await openPeer(b, fileId);
  Y.applyUpdate(courier.doc, Y.encodeStateAsUpdate(ada.doc), 'server');
  await courier.send(Y.encodeStateAsUpdate(courier.doc));
  cut();
  await Promise.all([a, b].map(({ feature }) => feature.compare()));
  const both = `still unheard by the other node ${whole}`;
  await expect.poll(() => [ada.text.toJSON(), ben.text.toJSON()]).toEqual([both, both]);
  expect([...a.bugs, ...b.bugs]).toEqual([]);
});

test("[DC-10] the server's own changes are edits like any other", async () => {
  await using world = await oneNode();
  const fileId = newId();
  const { node } = world;
  await node.documents.create(fileId, 'one two', newId());
  const ada = await openPeer(node, fileId);
  const told: unknown[] = [];
  const { text, stop } = await node.documents.listen(fileId, {
    changed: ({ delta, userId }) => told.push([delta, userId]),
    reset: () => told.push('reset'),
  });
  expect(text).toBe('one two');
  const bot = newId();
  const length = await node.documents.change(fileId, bot, (live) => {
    live.insert(3, ' and');
    return live.length;
  });
  expect(length).toBe(11);
  expect(ada.text.toJSON()).toBe('one and two');
  ada.text.delete(0, 4);
  await ada.push();
  expect(told).toEqual([
    [[{ retain: 3 }, { insert: ' and' }], bot],
    [[{ delete: 4 }], ada.userId],
  ]);
  stop();
  const failing = node.documents.change(fileId, bot, () => {
    throw new RangeError('a bug');
  });
  await expect(failing).rejects.toThrow('a bug');
  expect(node.bugs).toHaveLength(1);
  expect(await node.documents.text(fileId)).toBe('and two');
});

test('[DC-11] a stored text is told once for many edits', async () => {
  await using world = await oneNode();
  const fileId = newId();
  await world.node.documents.create(fileId, '', newId());
  const ada = await openPeer(world.node, fileId);
  for (const word of ['ä', 'b', 'c']) {
    ada.text.insert(0, word);
    await ada.push();
  }
  await expect.poll(() => world.node.saved, { timeout: 5_000 }).toEqual([{ fileId, userId: ada.userId, sizeBytes: 4 }]);
});

test('[DC-9] an own update whose turn comes after its Y.Doc has gone is in the next one', async () => {
  const told: { update: StoredUpdate; generation: number }[] = [];
  const open: OpenDocument = new OpenDocument({
    docId: newId(),
    stored: new StoredDocument(undefined, new Map()),
    unhold: () => {},
    catchUp: async () => {},
    onStored: (update) => told.push({ update, generation: open.live.generation }),
    async append(update) {
      const stored = { n: 1, bytes: update.bytes };
      update.stored(stored);
      return stored;
    },
    onBug: (error) => {
      throw error;
    },
  });
  const text = () => open.live.read((doc) => doc.getText('content').toJSON());
  await open.live.change(newId(), (live) => live.insert(0, 'own'));
  open.live.unload();
  // What is missing before it is still being read.
  expect(await text()).toBe('');
  open.receive(told[0]!.update, told[0]!.generation);
  expect(await text()).toBe('own');
});
