/** Documents for clients without Yjs: edits, texts that are written and watched. */
import { expect, test } from 'vitest';
import { applyAwarenessUpdate, Awareness as YAwareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import type { DocumentsFeature } from '../../../src/features/documents/index.ts';
import { LIMITS, type UserContext } from '../../../src/protocol/index.ts';
import { randomOf } from '../../support/random.ts';
import { newId, openDocumentWorld, openPeer, type DocumentNode, type DocumentWorld } from '../../support/documents.ts';

type Name = keyof DocumentsFeature['handlers'];
type InputOf<K extends Name> = Parameters<DocumentsFeature['handlers'][K]>[0];

function contextOf(userId: string, connectionId?: string): UserContext {
  return {
    session: { userId, sessionId: newId(), expiresAtMs: Infinity },
    connectionId,
    origin: { ip: '127.0.0.1', userAgent: 'test' },
    signal: new AbortController().signal,
    requestId: 'test',
    release: () => {},
  };
}

const edit = (node: DocumentNode, userId: string, input: InputOf<'file:edit'>) =>
  node.feature.handlers['file:edit'](input, contextOf(userId));

const put = (index: number, insert: string, deleteCount = 0) => ({ index, deleteCount, insert });

interface Watcher {
  userId: string;
  text: string;
  state: string;
  /** Events of the text, as they came. */
  events: { name: string; userId?: string }[];
  unwatch(): Promise<unknown>;
  socketId: string;
}

/** A client that keeps the text by what it hears. */
async function watch(node: DocumentNode, fileId: string, userId = newId()): Promise<Watcher> {
  const member = await node.gateway.join('run:tests');
  const context = contextOf(userId, member.socket.id);
  const early: [string, unknown][] = [];
  const watcher: Watcher = {
    userId,
    text: '',
    state: '',
    events: [],
    socketId: member.socket.id,
    unwatch: () => node.feature.handlers['doc:unwatch']({ fileId }, context),
  };
  let take = (name: string, data: unknown): void => void early.push([name, data]);
  for (const name of ['file:updated', 'file:reset', 'doc:access-changed']) {
    member.client.on(name, (data: unknown) => take(name, data));
  }
  const { text, stateVector } = await node.feature.handlers['doc:watch']({ fileId }, context);
  Object.assign(watcher, { text, state: stateVector });
  take = (name, data) => {
    const event = data as {
      edits?: { index: number; deleteCount: number; insert: string }[];
      text?: string;
      stateVector: string;
      userId?: string;
    };
    watcher.events.push({ name, ...(event.userId === undefined ? {} : { userId: event.userId }) });
    watcher.text = event.text ?? watcher.text;
    for (const { index, deleteCount, insert } of event.edits ?? []) {
      watcher.text = watcher.text.slice(0, index) + insert + watcher.text.slice(index + deleteCount);
    }
    watcher.state = event.stateVector;
  };
  for (const [name, data] of early) take(name, data);
  return watcher;
}

async function world(count = 1, text = ''): Promise<DocumentWorld & { node: DocumentNode; fileId: string }> {
  const all = await openDocumentWorld(count);
  const fileId = newId();
  const node = all.nodes[0] as DocumentNode;
  await node.documents.create(fileId, text, newId());
  return { ...all, node, fileId };
}

test('[DC-61] [DC-65] edits are answered when they are durable, all or nothing, and only from who may write', async () => {
  await using at = await world(1, 'one two');
  const { node, fileId } = at;
  const ada = newId();
  await edit(node, ada, { fileId, edits: [put(3, ', '), { find: 'two', replace: '2' }] });
  expect(await node.feature.text(fileId)).toBe('one,  2');
  const conflict = { code: 'conflict' };
  await expect(edit(node, ada, { fileId, edits: [put(0, 'x'), put(99, 'y')] })).rejects.toMatchObject(conflict);
  await expect(edit(node, ada, { fileId, edits: [put(0, 'x'), { find: 'three', replace: '' }] })).rejects.toMatchObject(
    conflict,
  );
  at.access.set(ada, 'read');
  await expect(edit(node, ada, { fileId, edits: [put(0, 'x')] })).rejects.toMatchObject({ code: 'forbidden' });
  at.access.set(ada, 'none');
  await expect(edit(node, ada, { fileId, edits: [put(0, 'x')] })).rejects.toMatchObject({ code: 'not_found' });
  expect(await node.feature.text(fileId)).toBe('one,  2');
  const tooMuch = [put(0, 'x'.repeat(LIMITS.documentTextBytes))];
  await expect(edit(node, newId(), { fileId, edits: tooMuch })).rejects.toMatchObject({ code: 'too_large' });
  expect(await node.feature.text(fileId)).toBe('one,  2');
  expect(node.bugs).toEqual([]);
});

test('[DC-64] who watches hears every change once and in order, whoever made it, by Yjs or without', async () => {
  await using at = await world(2, 'start\n');
  const { nodes, fileId } = at;
  const [a, b] = nodes as [DocumentNode, DocumentNode];
  const watchers = [await watch(a, fileId), await watch(a, fileId), await watch(b, fileId)];
  expect(watchers.map(({ text }) => text)).toEqual(['start\n', 'start\n', 'start\n']);
  const [ada, ben] = [await openPeer(a, fileId), await openPeer(b, fileId)];
  const bot = newId();
  for (let n = 0; n < 20; n++) {
    ada.text.insert(0, `a${n} `);
    ben.text.insert(ben.text.length, `b${n} `);
    if (n % 5 === 4) ben.text.delete(0, 3);
    await Promise.all([
      ada.push(),
      ben.push(),
      edit(n % 2 ? a : b, bot, { fileId, edits: [put(2, 'X', 1), put(0, `bot${n}`)] }),
    ]);
  }
  const text = await a.feature.text(fileId);
  await expect.poll(() => watchers.map((watcher) => watcher.text)).toEqual([text, text, text]);
  expect(watchers.every(({ events }) => events.every(({ name }) => name === 'file:updated'))).toBe(true);
  // What both watchers of a node have is one state, and edits of it find their place on either node.
  await edit(b, bot, { fileId, edits: [put(text.length, ' end')], stateVector: watchers[0]?.state });
  await expect.poll(() => watchers.map((watcher) => watcher.text.endsWith(' end'))).toEqual([true, true, true]);
  const byBot = { name: 'file:updated', userId: bot };
  expect(watchers.map(({ events }) => events.at(-1))).toEqual([byBot, byBot, byBot]);
  expect([...a.bugs, ...b.bugs, ...a.gateway.bugs, ...b.gateway.bugs]).toEqual([]);
});

test('[DC-62] edits that cross find their places, and none is lost', async () => {
  await using at = await world(1, '');
  const { node, fileId } = at;
  const watchers = await Promise.all(Array.from({ length: 4 }, () => watch(node, fileId)));
  const random = randomOf(7);
  let inserted = 0;
  await Promise.all(
    watchers.map(async (watcher, who) => {
      for (let n = 0; n < 25; n++) {
        const { text, state } = watcher;
        const index = random(text.length + 1);
        const word = `<${who}.${n}>`;
        // Only insertions: every word has to be there in the end, whole or not.
        await edit(node, watcher.userId, { fileId, edits: [put(index, word)], stateVector: state });
        inserted += word.length;
      }
    }),
  );
  const text = await node.feature.text(fileId);
  expect(text).toHaveLength(inserted);
  await expect.poll(() => watchers.map((watcher) => watcher.text)).toEqual([text, text, text, text]);
});

test('[DC-65] who may not read any more hears nothing, who unwatches neither', async () => {
  await using at = await world(1, 'text');
  const { node, fileId } = at;
  const [ada, ben, eve] = [await watch(node, fileId), await watch(node, fileId), await watch(node, fileId)];
  await ben.unwatch();
  at.access.set(eve.userId, 'none');
  at.accessChanged();
  await expect.poll(() => eve.events).toEqual([{ name: 'doc:access-changed' }]);
  await edit(node, ada.userId, { fileId, edits: [put(0, 'new ')] });
  await expect.poll(() => ada.text).toBe('new text');
  expect([ben.text, eve.text]).toEqual(['text', 'text']);
  await expect(watch(node, fileId, eve.userId)).rejects.toMatchObject({ code: 'not_found' });
  await expect(watch(node, newId())).rejects.toMatchObject({ code: 'not_found' });
  // The file goes.
  at.removed([fileId]);
  await expect.poll(() => ada.events.at(-1)).toEqual({ name: 'doc:access-changed' });
});

test('[DC-61] an edit that is refused touches nobody else', async () => {
  await using at = await world(1, 'text');
  const { node, fileId } = at;
  const ada = await watch(node, fileId);
  const refused = edit(node, newId(), { fileId, edits: [put(0, 'x'), { find: 'none', replace: '' }] });
  const done = edit(node, ada.userId, { fileId, edits: [put(4, '!')] });
  await expect(refused).rejects.toMatchObject({ code: 'conflict' });
  await done;
  await expect.poll(() => ada.text).toBe('text!');
  expect(ada.events).toMatchObject([{ name: 'file:updated' }]);
});

test('[DC-64] after a change that could not be stored, or beside embedded things, the whole text is told', async () => {
  await using at = await world(1, 'text');
  const { node, fileId } = at;
  const ada = await watch(node, fileId);
  const ben = await openPeer(node, fileId);
  ben.text.insertEmbed(0, { image: 'x' });
  ben.text.insert(0, 'some ');
  await ben.push();
  await expect.poll(() => ada.text).toBe('some text');
  expect(ada.events.map(({ name }) => name)).toEqual(['file:reset']);
  // Places are places in the text.
  await edit(node, ada.userId, { fileId, edits: [put(5, 'more ')] });
  await expect.poll(() => ada.text).toBe('some more text');
  await node.feature.write(fileId, 'some other text', ada.userId);
  await expect.poll(() => ada.text).toBe('some other text');
  expect(ben.text.toDelta()).toHaveLength(3);
});

test('[DC-60] a text that is written keeps what others write meanwhile, and cursors where they are', async () => {
  await using at = await world(1, 'one\ntwo\nthree\n');
  const { node, fileId } = at;
  const ada = await openPeer(node, fileId);
  const bot = newId();
  expect(await node.feature.write(fileId, 'one\n2\nthree\nfour\n', bot)).toEqual({ sizeBytes: 17 });
  expect(ada.text.toJSON()).toBe('one\n2\nthree\nfour\n');
  expect(ada.heard).toHaveLength(1);
  // Not replaced: what is alike is the same to Yjs.
  expect(ada.text.toDelta()).toHaveLength(1);
  expect(ada.heard[0]?.byteLength).toBeLessThan(80);
  await node.feature.write(fileId, 'one\n2\nthree\nfour\n', bot);
  expect(ada.heard).toHaveLength(1);
  await Promise.all([
    node.feature.write(fileId, 'ONE\n2\nthree\nfour\n', bot),
    (async () => {
      ada.text.insert(ada.text.length, 'five\n');
      await ada.push();
    })(),
  ]);
  const text = await node.feature.text(fileId);
  expect(text.startsWith('ONE\n2\n')).toBe(true);
  await expect(node.feature.write(fileId, '\ud800', bot)).rejects.toMatchObject({ code: 'invalid' });
  const tooLarge = 'é'.repeat(LIMITS.documentTextBytes / 2 + 1);
  await expect(node.feature.write(fileId, tooLarge, bot)).rejects.toMatchObject({ code: 'too_large' });
});

test('[DC-60] large texts that have little in common are written, too', async () => {
  const lines = Array.from({ length: 5_000 }, (_, n) => `line ${n}\n`);
  await using at = await world(1, lines.join(''));
  const { node, fileId } = at;
  await node.feature.write(fileId, lines.toReversed().join(''), newId());
  expect(await node.feature.text(fileId)).toBe(lines.toReversed().join(''));
});

/** People and cursors as a watching client hears them, and its own. */
async function stand(node: DocumentNode, fileId: string, userId = newId()) {
  const member = await node.gateway.join('run:tests');
  const context = contextOf(userId, member.socket.id);
  const heard: [string, string, (number | undefined)?, (number | undefined)?][] = [];
  member.client.on('user:joined', ({ userId: who, name }: { userId: string; name: string }) => {
    expect(name).toBe(`Name ${who}`);
    heard.push(['joined', who]);
  });
  member.client.on('user:left', ({ userId: who }: { userId: string }) => heard.push(['left', who]));
  member.client.on('cursor:moved', (event: { userId: string; index: number; head?: number }) =>
    heard.push(['cursor', event.userId, event.index, event.head]),
  );
  await node.feature.handlers['doc:watch']({ fileId }, context);
  return {
    userId,
    heard,
    move: (index: number, head?: number) =>
      node.feature.handlers['cursor:move']({ fileId, index, ...(head === undefined ? {} : { head }) }, context),
    unwatch: () => node.feature.handlers['doc:unwatch']({ fileId }, context),
  };
}

test('[DC-66] [DC-67] people and cursors, on two nodes, by Yjs and without', async () => {
  await using at = await world(2, 'hello world');
  const [a, b] = at.nodes as [DocumentNode, DocumentNode];
  const { fileId } = at;
  const ada = await stand(a, fileId);
  await expect.poll(() => ada.heard).toEqual([['joined', ada.userId]]);
  const ben = await stand(b, fileId);
  await expect
    .poll(() => ada.heard)
    .toEqual([
      ['joined', ada.userId],
      ['joined', ben.userId],
    ]);
  await expect
    .poll(() => ben.heard.map(([what, who]) => `${what} ${who}`).sort())
    .toEqual([`joined ${ada.userId}`, `joined ${ben.userId}`].sort());
  await ada.move(6, 11);
  await expect.poll(() => ben.heard.at(-1)).toEqual(['cursor', ada.userId, 6, 11]);
  await edit(b, ben.userId, { fileId, edits: [put(0, '>> ')] });
  // A place is one of the text as the node has it.
  await expect.poll(() => a.feature.text(fileId)).toBe('>> hello world');
  await ada.move(9);
  await expect.poll(() => ben.heard.at(-1)).toEqual(['cursor', ada.userId, 9, undefined]);

  // An editor with Yjs.
  const [eve, doc] = [newId(), new Y.Doc()];
  const peer = await openPeer(a, fileId, eve);
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(peer.doc));
  const awareness = new YAwareness(doc);
  const socket = await a.gateway.join(`doc:${fileId}`);
  const context = contextOf(eve, socket.socket.id);
  await a.feature.handlers['doc:open']({ fileId }, context);
  const place = (index: number) => Y.createRelativePositionFromTypeIndex(doc.getText('content'), index);
  awareness.setLocalState({ user: { name: 'Eve' }, cursor: { anchor: place(3), head: place(8) } });
  const update = encodeAwarenessUpdate(awareness, [doc.clientID]);
  await a.feature.handlers['doc:awareness']({ docId: fileId, update }, context);
  await expect
    .poll(() => ben.heard.slice(-2))
    .toEqual([
      ['joined', eve],
      ['cursor', eve, 3, 8],
    ]);
  const seen = new YAwareness(new Y.Doc());
  socket.client.on('doc:awareness-changed', (event: { update: ArrayBuffer }) =>
    applyAwarenessUpdate(seen, new Uint8Array(event.update), 'server'),
  );
  await ben.move(0);
  const names = () => [...seen.getStates().values()].map(({ user }) => (user as { name: string } | undefined)?.name);
  await expect.poll(names).toContain(`Name ${ben.userId}`);

  const late = await stand(b, fileId);
  await expect
    .poll(() =>
      late.heard
        .filter(([what]) => what === 'joined')
        .map(([, who]) => who)
        .sort(),
    )
    .toEqual([ada.userId, ben.userId, eve, late.userId].sort());
  expect(late.heard).toContainEqual(['cursor', eve, 3, 8]);
  await ben.unwatch();
  await expect.poll(() => ada.heard.at(-1)).toEqual(['left', ben.userId]);
  await expect(ben.move(0)).rejects.toMatchObject({ code: 'not_found' });
  seen.destroy();
  awareness.destroy();
  expect([...a.bugs, ...b.bugs, ...a.gateway.bugs, ...b.gateway.bugs]).toEqual([]);
});
