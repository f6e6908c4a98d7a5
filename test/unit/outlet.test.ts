/** Clients that read slowly or not at all: what waits for them is bounded, and the others do not notice. */
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { chatRoom, LIMITS } from '../../src/protocol/index.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import type { RawClient } from '../support/raw-client.ts';

const room = chatRoom('1');
const KIB = 1024;
/** More than the system takes for a connection before anything waits in the server. */
const SYSTEM_BYTES = 16 * 1024 * KIB;

/** Emits numbered events until so much waits for the sockets together; returns how many. */
async function fill(gateway: TestGateway, waitingBytes: number, first = 0): Promise<number> {
  const text = 'x'.repeat(32 * KIB);
  for (let n = first; ; n++) {
    if (gateway.rooms.outboundBytes() >= waitingBytes) return n;
    if ((n - first) * text.length > SYSTEM_BYTES) throw new Error('The system takes it all');
    gateway.rooms.emit(room, 'said', { n, text });
    await turn();
  }
}

const numbers = (client: RawClient): number[] => client.events().map(([, data]) => (data as { n: number }).n);
const upTo = (end: number): number[] => Array.from({ length: end }, (_, n) => n);

test('[PR-18] a client that does not read is given up before 2 MiB wait for it; the others get everything', async () => {
  await using gateway = await startGateway();
  const { client } = await gateway.joinRaw(room);
  const other = await gateway.join(room);
  client.stopReading();
  const text = 'x'.repeat(32 * KIB);
  let sent = 0;
  for (; gateway.slowReaders.length === 0 && sent * text.length < 2 * SYSTEM_BYTES; sent++) {
    gateway.rooms.emit(room, 'said', { n: sent, text });
    await turn();
    expect(gateway.rooms.outboundBytes()).toBeLessThan(2 * LIMITS.outboundBytes);
  }
  expect(gateway.slowReaders.length).toBe(1);
  expect(gateway.slowReaders[0]?.bytes).toBeGreaterThan(LIMITS.outboundBytes);
  expect(gateway.rooms.largestOutboundBytes()).toBeLessThan(2 * LIMITS.outboundBytes);
  await expect.poll(() => gateway.rooms.size(room)).toBe(1);
  client.readOn();
  await expect.poll(() => client.closed).toBe(true);
  await expect.poll(() => other.heard.length).toBe(sent);
  expect(other.heard.map(([, data]) => (data as { n: number }).n)).toEqual(upTo(sent));
  expect(gateway.rooms.outboundBytes()).toBe(0);
});

test('[PR-18] the number of writes that wait is bounded as well as their bytes', async () => {
  await using gateway = await startGateway();
  const { client } = await gateway.joinRaw(room);
  client.stopReading();
  await fill(gateway, 1);
  for (let n = 0; n <= LIMITS.outboundPackets + 1 && gateway.slowReaders.length === 0; n++) {
    gateway.rooms.emit(room, 'said', { n });
    await turn();
  }
  expect(gateway.slowReaders.length).toBe(1);
  expect(gateway.slowReaders[0]?.bytes).toBeLessThan(LIMITS.outboundBytes);
});

test('[PR-18] a burst over the limit ends nobody who takes it', async () => {
  await using gateway = await startGateway();
  const member = await gateway.join(room);
  const text = 'x'.repeat(250 * KIB);
  for (let n = 0; n < 6; n++) gateway.rooms.emit(room, 'said', { n, text });
  await expect.poll(() => member.heard.length).toBe(6);
  expect(gateway.slowReaders).toEqual([]);
});

test('[PR-18] long-polling: one that does not poll is given up', async () => {
  await using gateway = await startGateway();
  const base = `${gateway.url}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await (await fetch(base)).text()).slice(1)) as { sid: string };
  await (await fetch(`${base}&sid=${sid}`, { method: 'POST', body: '40' })).text();
  await (await fetch(`${base}&sid=${sid}`)).text();
  for (const id of gateway.namespace.sockets.keys()) gateway.rooms.join({ connectionId: id }, room);
  for (let n = 0; n < 40; n++) {
    gateway.rooms.emit(room, 'said', { text: 'x'.repeat(32 * KIB) });
    await turn();
  }
  expect(gateway.slowReaders.length).toBe(1);
  await expect.poll(() => gateway.namespace.sockets.size).toBe(0);
});

test('[PR-31] one that is behind misses no event but those that newer ones replace', async () => {
  await using gateway = await startGateway();
  const { client, socket } = await gateway.joinRaw(room);
  const other = await gateway.join(chatRoom('2'));
  client.stopReading();
  const filled = await fill(gateway, LIMITS.outboundBytes / 2 + 64 * KIB);
  gateway.rooms.join({ connectionId: other.socket.id }, room);
  gateway.rooms.join({ connectionId: socket.id }, chatRoom('3'));
  for (let n = 0; n < 100; n++) {
    for (const key of ['ada', 'bob']) gateway.rooms.emit(room, 'before', { key, n }, { latest: key });
    gateway.rooms.emit(chatRoom('3'), 'before', { key: 'left', n }, { latest: 'ada' });
    if (n % 10 === 0) gateway.rooms.emit(room, 'said', { n: filled + n / 10 });
    await turn();
  }
  gateway.rooms.leave({ connectionId: socket.id }, chatRoom('3'));
  // Those who keep up get every one.
  await expect.poll(() => other.heard.length).toBe(210);
  client.readOn();
  const states = (): unknown[] => client.events().filter(([name]) => name === 'before');
  await expect.poll(states).toEqual([
    ['before', { key: 'ada', n: 99 }],
    ['before', { key: 'bob', n: 99 }],
  ]);
  expect(
    client
      .events()
      .filter(([name]) => name === 'said')
      .map(([, data]) => (data as { n: number }).n),
  ).toEqual(upTo(filled + 10));
  expect(gateway.slowReaders).toEqual([]);
});

test('[PR-32] a large packet waits for its turn, is not counted, and keeps its place', async () => {
  await using gateway = await startGateway();
  const { client } = await gateway.joinRaw(room);
  client.stopReading();
  let n = await fill(gateway, 200 * KIB);
  const emit = (text: string | Buffer): void => gateway.rooms.emit(room, 'said', { n: n++, text });
  const large = 'y'.repeat(3 * 1024 * KIB);
  emit('before');
  emit(large);
  emit('between');
  emit(Buffer.from(large));
  emit(large);
  await turn();
  emit('after');
  await turn();
  expect(gateway.rooms.outboundBytes()).toBeGreaterThan(3 * large.length);
  expect(gateway.slowReaders).toEqual([]);
  client.readOn();
  await expect.poll(() => client.events().length, { timeout: 10_000 }).toBe(n);
  expect(numbers(client)).toEqual(upTo(n));
  // The one binary attachment, right after its header.
  const at = client.packets.indexOf(large.length);
  expect(String(client.packets[at - 1])).toMatch(/^51-/);
  await expect.poll(() => gateway.rooms.outboundBytes()).toBe(0);
});

test('[PR-32] while a large packet leaves, pings wait with it', { timeout: 30_000 }, async () => {
  await using gateway = await startGateway({ pingIntervalMs: 500, pingTimeoutMs: LIMITS.pingTimeoutMs });
  const { client } = await gateway.joinRaw(room);
  client.stopReading();
  gateway.rooms.emit(room, 'said', { n: 0, text: 'y'.repeat(SYSTEM_BYTES) });
  await turn();
  expect(gateway.rooms.outboundBytes()).toBeGreaterThan(0);
  // Longer than a ping may stay unanswered.
  await wait(1.5 * LIMITS.pingTimeoutMs);
  expect(client.closed).toBe(false);
  client.readOn();
  await expect.poll(() => numbers(client), { timeout: 10_000 }).toEqual([0]);
  gateway.rooms.emit(room, 'said', { n: 1 });
  await expect.poll(() => numbers(client)).toEqual([0, 1]);
});

test('[PR-32] large packets that nobody reads are bounded, too', async () => {
  await using gateway = await startGateway();
  const { client } = await gateway.joinRaw(room);
  client.stopReading();
  await fill(gateway, 1);
  const large = Buffer.alloc(4 * 1024 * KIB);
  for (let n = 0; n < 8 && gateway.slowReaders.length === 0; n++) {
    gateway.rooms.emit(room, 'said', { n, large });
    await turn();
    await turn();
  }
  expect(gateway.slowReaders.length).toBe(1);
});

test('[TM-4] what waits for a socket is known, and when it has been taken', async () => {
  await using gateway = await startGateway();
  const { client, socket } = await gateway.joinRaw(room);
  const { rooms } = gateway;
  expect(rooms.waitingBytes(socket.id)).toBe(0);
  client.stopReading();
  await fill(gateway, 300 * KIB);
  expect(rooms.waitingBytes(socket.id)).toBeGreaterThanOrEqual(300 * KIB);
  let isTaken = false;
  rooms.onTaken(socket.id, () => {
    isTaken = true;
  });
  await turn();
  expect(isTaken).toBe(false);
  client.readOn();
  await expect.poll(() => isTaken).toBe(true);
  expect(rooms.waitingBytes(socket.id)).toBe(0);
  // Nothing waits: it is told at once, but not within the call.
  const told: string[] = [];
  rooms.onTaken(socket.id, () => told.push('taken'));
  told.push('called');
  await expect.poll(() => told).toEqual(['called', 'taken']);
  expect(rooms.waitingBytes('nobody')).toBeUndefined();
});

test('[TM-22] a packet goes to the sockets that are named, with those of rooms in order', async () => {
  await using gateway = await startGateway();
  const [one, two, three] = [await gateway.join(room), await gateway.join(room), await gateway.join(room)];
  const { rooms } = gateway;
  for (let n = 0; n < 20; n++) {
    const packet = rooms.encode('said', { n, data: Buffer.from([n]) });
    if (packet) rooms.deliverTo([one.socket.id, 'nobody', two.socket.id], packet);
  }
  await expect.poll(() => [one.heard.length, two.heard.length]).toEqual([20, 20]);
  expect(one.heard.map(([, data]) => data)).toEqual(
    Array.from({ length: 20 }, (_, n) => ({ n, data: Buffer.from([n]) })),
  );
  expect(three.heard).toEqual([]);
});
