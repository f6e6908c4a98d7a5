/** The SDK's Yjs provider against a scripted server: what it sends and when, and what becomes of it where that fails. */
import { expect, onTestFinished, test } from 'vitest';
import { Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { AtelierError } from '../../src/client/index.ts';
import type { SocketIOProvider } from '../../src/client/yjs.ts';
import { LIMITS } from '../../src/protocol/limits.ts';
import { open, scripted, textOf } from './sdk-scripted-document.ts';
import { fault, type Fate } from './sdk-scripted-server.ts';
import { startClient } from './sdk-setup.ts';

const synced = (provider: SocketIOProvider): Promise<void> =>
  expect.poll(() => provider.synced, { interval: 5 }).toBe(true);
const saved = (provider: SocketIOProvider): Promise<void> =>
  expect.poll(() => provider.unsavedChanges, { interval: 5 }).toBe(0);

/** What another writer's change is as an update. */
function changeOf(doc: Y.Doc, change: () => void): Uint8Array {
  const before = Y.encodeStateVector(doc);
  change();
  return Y.encodeStateAsUpdate(doc, before);
}

test('[SD-30] an empty document receives everything; one that is kept elsewhere receives and sends what is missing', async () => {
  const world = await scripted('hello');
  const first = open(world);
  await synced(first.provider);
  expect(first.text.toJSON()).toBe('hello');
  expect(world.server.callsOf('doc:open')[0]?.input).toEqual({ fileId: world.fileId });

  const kept = new Y.Doc();
  Y.applyUpdate(kept, Y.encodeStateAsUpdate(world.theirs));
  textOf(kept).insert(5, ' world');
  textOf(world.theirs).insert(0, '> ');
  const second = open(world, { doc: kept });
  const unsaved: number[] = [];
  second.provider.on('unsaved-changes', (count) => unsaved.push(count));
  await synced(second.provider);
  expect(second.text.toJSON()).toBe('> hello world');
  await saved(second.provider);
  expect(Math.max(...unsaved)).toBe(1);
  expect(textOf(world.theirs).toJSON()).toBe('> hello world');
  expect(world.server.callsOf('doc:update')).toHaveLength(1);
});

test('[SD-30] what was only deleted elsewhere is sent, and what both have is not', async () => {
  const world = await scripted('hello');
  const kept = new Y.Doc();
  Y.applyUpdate(kept, Y.encodeStateAsUpdate(world.theirs));
  textOf(kept).delete(0, 1);
  const { provider } = open(world, { doc: kept });
  await synced(provider);
  await saved(provider);
  expect(textOf(world.theirs).toJSON()).toBe('ello');
  const same = new Y.Doc();
  Y.applyUpdate(same, Y.encodeStateAsUpdate(world.theirs));
  const { provider: other } = open(world, { doc: same });
  await synced(other);
  expect(other.unsavedChanges).toBe(0);
  expect(world.server.callsOf('doc:update')).toHaveLength(1);
});

test('[SD-31] changes of one tick are one message; one is under way, and the next carries all that came meanwhile', async () => {
  const world = await scripted();
  const { provider, text } = open(world);
  await synced(provider);
  const counts: number[] = [];
  provider.on('unsaved-changes', (count) => counts.push(count));
  let release: (() => void) | undefined;
  world.server.fate = ({ name }) =>
    name === 'doc:update' && !release ? new Promise((resolve) => (release = () => resolve('answer'))) : 'answer';
  text.insert(0, 'a');
  text.insert(1, 'b');
  await expect.poll(() => release).toBeDefined();
  for (const letter of 'cdefg') {
    text.insert(text.length, letter);
    await Promise.resolve();
  }
  expect(world.server.callsOf('doc:update')).toHaveLength(1);
  expect(provider.savedAt).toBeUndefined();
  release?.();
  await saved(provider);
  expect(world.server.callsOf('doc:update')).toHaveLength(2);
  expect(textOf(world.theirs).toJSON()).toBe('abcdefg');
  expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 5, 0]);
  expect(Date.parse(provider.savedAt ?? '')).toBeGreaterThan(0);
});

test('[SD-31] what waits is bounded: a long wait costs one comparison', async () => {
  const world = await scripted();
  const { provider, text } = open(world);
  await synced(provider);
  let release: (() => void) | undefined;
  world.server.fate = ({ name }) =>
    name === 'doc:update' && !release ? new Promise((resolve) => (release = () => resolve('answer'))) : 'answer';
  text.insert(0, '>');
  await expect.poll(() => release).toBeDefined();
  const line = 'x'.repeat(LIMITS.documentUpdateBytes / 512);
  for (let i = 0; i < 600; i++) text.insert(text.length, line);
  release?.();
  await saved(provider);
  expect(textOf(world.theirs).toJSON()).toBe(text.toJSON());
  expect(world.server.callsOf('doc:open')).toHaveLength(2);
});

test('[SD-32] what is written without a connection, and what was on its way, arrives once', async () => {
  const world = await scripted('start');
  const { provider, text, client, errors } = open(world);
  await synced(provider);
  // Stored, but nobody was told.
  const fates: Fate[] = ['cut-after'];
  world.server.fate = ({ name }) => (name === 'doc:update' ? (fates.shift() ?? 'answer') : 'answer');
  const away = client.once('state', ({ state }) => state === 'reconnecting');
  text.insert(5, ' on its way');
  await away;
  expect([provider.status, provider.synced, provider.unsavedChanges]).toEqual(['disconnected', false, 1]);
  text.insert(0, 'offline, ');
  textOf(world.theirs).insert(0, 'others, ');
  await synced(provider);
  await saved(provider);
  expect(text.toJSON()).toBe(textOf(world.theirs).toJSON());
  expect(text.toJSON()).toMatch(/^(offline, others|others, offline), start on its way$/);
  expect(errors).toEqual([]);
});

test('[SD-32] an answer that does not come, and a server that cannot store, are tried again', async () => {
  const world = await scripted();
  const client = startClient(world.server, { requestTimeoutMs: 100 });
  const { provider, text, errors } = open(world, { client });
  await synced(provider);
  const fates: Fate[] = ['lose', fault('unavailable'), fault('rate_limited', { retryAfterMs: 5 })];
  world.server.fate = ({ name }) => (name === 'doc:update' ? (fates.shift() ?? 'answer') : 'answer');
  text.insert(0, 'once');
  await saved(provider);
  expect(textOf(world.theirs).toJSON()).toBe('once');
  expect(errors).toEqual(['timeout', 'unavailable']);
  expect(provider.connected).toBe(true);
});

test('[SD-32] leaving sends what waits before it closes', async () => {
  const world = await scripted();
  const { provider, text } = open(world);
  await synced(provider);
  let release: (() => void) | undefined;
  world.server.fate = ({ name }) =>
    name === 'doc:update' && !release ? new Promise((resolve) => (release = () => resolve('answer'))) : 'answer';
  text.insert(0, 'first');
  await expect.poll(() => release).toBeDefined();
  text.insert(5, ' last');
  provider.destroy();
  release?.();
  await expect.poll(() => textOf(world.theirs).toJSON()).toBe('first last');
  const names = world.server.calls.map(({ name }) => name).filter((name) => name.startsWith('doc:'));
  expect(names.slice(-2)).toEqual(['doc:awareness', 'doc:close']);
  expect(names.filter((name) => name === 'doc:update')).toHaveLength(2);
});

test('[SD-33] a conflict compares again, without a word where that heals it', async () => {
  const world = await scripted('text');
  const { provider, text, errors } = open(world);
  await synced(provider);
  const fates: Fate[] = [fault('conflict')];
  world.server.fate = ({ name }) => (name === 'doc:update' ? (fates.shift() ?? 'answer') : 'answer');
  text.insert(0, 'new ');
  await saved(provider);
  expect(textOf(world.theirs).toJSON()).toBe('new text');
  expect(errors).toEqual([]);
  expect(world.server.callsOf('doc:open')[1]?.input).toHaveProperty('stateVector');
  expect(provider.synced).toBe(true);
});

test('[SD-33] an update whose predecessor was lost is completed by a comparison', async () => {
  const world = await scripted('text');
  const { provider, text } = open(world);
  await synced(provider);
  const other = new Y.Doc();
  Y.applyUpdate(other, Y.encodeStateAsUpdate(world.theirs));
  const updates = ['lost ', 'heard '].map((word) => changeOf(other, () => textOf(other).insert(0, word)));
  for (const update of updates) Y.applyUpdate(world.theirs, update);
  world.server.emit('doc:updated', { docId: world.fileId, update: updates[1] });
  await expect.poll(() => text.toJSON()).toBe('heard lost text');
});

test('[SD-34] what the server refuses is told once and not sent again, and others are heard all the same', async () => {
  for (const code of ['invalid', 'too_large', 'forbidden'] as const) {
    const world = await scripted('text');
    const { provider, text, errors } = open(world);
    await synced(provider);
    world.server.fate = ({ name }) => (name === 'doc:update' ? fault(code) : 'answer');
    text.insert(0, 'refused ');
    await expect.poll(() => errors).toEqual([code]);
    text.insert(0, 'more ');
    const update = changeOf(world.theirs, () => textOf(world.theirs).insert(4, '!'));
    world.server.emit('doc:updated', { docId: world.fileId, update });
    await expect.poll(() => text.toJSON()).toBe('more refused text!');
    expect([world.server.callsOf('doc:update').length, provider.unsavedChanges, errors.length]).toEqual([1, 2, 1]);
    expect(provider.access).toBe(code === 'forbidden' ? 'read' : 'write');
    // The next connection may know better.
    world.server.fate = () => 'answer';
    world.server.cut();
    await saved(provider);
    expect(textOf(world.theirs).toJSON()).toBe('more refused text!');
  }
});

test('[SD-34] a document that became too large is taken when it has become smaller', { timeout: 20_000 }, async () => {
  const world = await scripted('text');
  const { provider, text, errors } = open(world);
  await synced(provider);
  world.server.fate = ({ name, input }) =>
    name === 'doc:update' && (input.update as Uint8Array).byteLength > 1_000 ? fault('too_large') : 'answer';
  text.insert(0, 'x'.repeat(2_000));
  await expect.poll(() => errors).toEqual(['too_large']);
  text.delete(0, 2_000);
  await expect.poll(() => provider.unsavedChanges).toBe(0);
  expect(errors).toHaveLength(1);
});

test('[SD-34] a document that is not there, or not for us, is given up until `connect`', async () => {
  const world = await scripted();
  world.server.fate = ({ name }) => (name === 'doc:open' ? fault('not_found') : 'answer');
  const { provider, errors } = open(world);
  const closed: unknown[] = [];
  provider.on('closed', (reason) => closed.push(reason));
  await expect.poll(() => closed).toEqual([{ code: 4404, reason: 'not_found' }]);
  expect([errors, provider.status, provider.shouldConnect]).toEqual([['not_found'], 'disconnected', false]);
  world.server.fate = () => 'answer';
  provider.connect();
  await synced(provider);
  expect(world.server.callsOf('doc:open')).toHaveLength(2);
});

test('[SD-35] the own awareness state is told, follows changes, and goes with the provider', async () => {
  const world = await scripted();
  const { provider, doc } = open(world);
  const watcher = open(world);
  await synced(provider);
  await synced(watcher.provider);
  const seen = (): unknown => watcher.provider.awareness.getStates().get(doc.clientID);
  provider.awareness.setLocalStateField('user', { name: 'Ada' });
  await expect.poll(() => seen()).toEqual({ user: { name: 'Ada' } });
  const before = world.server.callsOf('doc:awareness').length;
  for (let i = 1; i <= 100; i++) provider.awareness.setLocalStateField('cursor', i);
  await expect.poll(() => seen()).toMatchObject({ cursor: 100 });
  // The first one at once, and the last one.
  expect(world.server.callsOf('doc:awareness').length - before).toBeLessThanOrEqual(3);
  provider.destroy();
  await expect.poll(() => seen()).toBeUndefined();
});

test('[SD-35] others go with the connection and come back with it, and so does the own state', async () => {
  const world = await scripted();
  const { provider, doc, client } = open(world);
  await synced(provider);
  provider.awareness.setLocalStateField('user', { name: 'Ada' });
  await expect.poll(() => world.server.callsOf('doc:awareness').length).toBeGreaterThanOrEqual(2);
  const other = new Awareness(new Y.Doc());
  onTestFinished(() => other.destroy());
  other.setLocalStateField('user', { name: 'Ben' });
  const update = encodeAwarenessUpdate(other, [other.clientID]);
  const tell = (): void => world.server.emit('doc:awareness-changed', { docId: world.fileId, update });
  tell();
  await expect.poll(() => provider.awareness.getStates().has(other.clientID)).toBe(true);
  const clock = provider.awareness.meta.get(doc.clientID)?.clock ?? 0;
  const away = client.once('state', ({ state }) => state === 'reconnecting');
  const calls = world.server.callsOf('doc:awareness').length;
  world.server.cut();
  await away;
  expect([...provider.awareness.getStates().keys()]).toEqual([doc.clientID]);
  await synced(provider);
  tell();
  await expect.poll(() => provider.awareness.getStates().has(other.clientID)).toBe(true);
  await expect.poll(() => world.server.callsOf('doc:awareness').length).toBeGreaterThan(calls);
  expect(provider.awareness.meta.get(doc.clientID)?.clock).toBeGreaterThan(clock);
});

test('[SD-36] who may only read sends nothing; with the right to write what waited goes; without any right it ends', async () => {
  const world = await scripted('text');
  world.access = 'read';
  const { provider, text } = open(world);
  const told: string[] = [];
  provider.on('access', (access) => told.push(access));
  await synced(provider);
  text.insert(0, 'my ');
  await expect.poll(() => provider.unsavedChanges).toBe(1);
  world.access = 'write';
  world.server.emit('doc:access-changed', { docId: world.fileId, access: 'write' });
  await saved(provider);
  expect(textOf(world.theirs).toJSON()).toBe('my text');
  expect(world.server.callsOf('doc:update')).toHaveLength(1);
  const closed: unknown[] = [];
  provider.on('closed', ({ code }) => closed.push(code));
  world.server.emit('doc:access-changed', { docId: world.fileId, access: 'none' });
  await expect.poll(() => closed).toEqual([4403]);
  expect(told).toEqual(['read', 'write', 'none']);
  expect([provider.status, provider.shouldConnect]).toEqual(['disconnected', false]);
});

test('[SD-37] providers of one client share its socket, and the last one of a document closes it', async () => {
  const world = await scripted('text');
  const first = open(world);
  const second = open(world, { client: first.client });
  await synced(first.provider);
  await synced(second.provider);
  first.text.insert(0, 'one ');
  await expect.poll(() => second.text.toJSON()).toBe('one text');
  first.provider.disconnect();
  second.text.insert(0, 'two ');
  await saved(second.provider);
  expect(world.server.callsOf('doc:close')).toHaveLength(0);
  second.provider.destroy();
  await expect.poll(() => world.server.callsOf('doc:close')).toHaveLength(1);
  first.provider.connect();
  await synced(first.provider);
  expect(first.text.toJSON()).toBe('two one text');
  expect(world.server.connections).toBe(1);
});

test('[SD-37] a second provider of a document knows at once who is there, though the server tells a socket only once', async () => {
  const world = await scripted('text');
  const first = open(world);
  await synced(first.provider);
  const other = new Awareness(new Y.Doc());
  onTestFinished(() => other.destroy());
  other.setLocalStateField('user', { name: 'Ben' });
  const update = encodeAwarenessUpdate(other, [other.clientID]);
  world.server.emit('doc:awareness-changed', { docId: world.fileId, update });
  const knows = ({ provider }: typeof first): boolean => provider.awareness.getStates().has(other.clientID);
  await expect.poll(() => knows(first)).toBe(true);
  const second = open(world, { client: first.client });
  await expect.poll(() => knows(second)).toBe(true);
});

test('[SD-38] a change over 1 MiB goes as the first one after an opening, and one over 4 MiB is told', async () => {
  const world = await scripted();
  const { provider, text, errors } = open(world);
  await synced(provider);
  text.insert(0, 'x'.repeat(LIMITS.documentUpdateBytes + 1));
  await saved(provider);
  expect(world.server.callsOf('doc:open')).toHaveLength(2);
  expect(textOf(world.theirs).length).toBe(text.length);
  const details: unknown[] = [];
  provider.on('connection-error', (error) => details.push(error));
  text.insert(0, 'y'.repeat(LIMITS.documentFirstUpdateBytes));
  await expect.poll(() => errors).toEqual(['too_large']);
  expect(details[0]).toBeInstanceOf(AtelierError);
  expect(details[0]).toMatchObject({ detail: { maxBytes: LIMITS.documentFirstUpdateBytes } });
  expect(provider.unsavedChanges).toBe(1);
});

test('[SD-39] the events of a y-websocket provider, in its order', async () => {
  const world = await scripted('text');
  const { provider, client } = open(world, { connect: false });
  expect([provider.shouldConnect, provider.status, provider.wsconnected, provider.synced]).toEqual([
    false,
    'disconnected',
    false,
    false,
  ]);
  const told: unknown[] = [];
  provider.on('status', ({ status }) => told.push(status));
  provider.on('sync', (state) => told.push(state));
  provider.on('connection-close', (reason) => told.push(['closed', reason]));
  provider.connect();
  expect(provider.wsconnecting).toBe(true);
  await synced(provider);
  expect([provider.connected, provider.wsconnected]).toEqual([true, true]);
  const away = client.once('state', ({ state }) => state === 'reconnecting');
  world.server.cut();
  await away;
  await synced(provider);
  provider.disconnect();
  const once = ['connecting', 'connected', true, false, 'disconnected', ['closed', null]];
  expect(told).toEqual([...once, ...once]);
  provider.connect();
  await synced(provider);
  client.close();
  expect([provider.status, provider.shouldConnect]).toEqual(['disconnected', false]);
});

test('[SD-39] `resyncInterval` finds what no event told', async () => {
  const world = await scripted('text');
  const { provider, text } = open(world, { resyncInterval: 20 });
  await synced(provider);
  textOf(world.theirs).insert(4, ' changed');
  await expect.poll(() => text.toJSON()).toBe('text changed');
});

test('[SD-39] nothing is left when the document or the provider ends', async () => {
  const world = await scripted('text');
  const { provider, doc, text, client } = open(world);
  await synced(provider);
  doc.destroy();
  expect(provider.shouldConnect).toBe(false);
  await expect.poll(() => world.server.callsOf('doc:close')).toHaveLength(1);
  text.insert(0, 'after ');
  provider.connect();
  await client.call('presence:set', { status: 'online' });
  expect([provider.unsavedChanges, provider.status]).toEqual([0, 'disconnected']);
  expect(world.server.callsOf('doc:open')).toHaveLength(1);
});
