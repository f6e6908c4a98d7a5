/** Delivery over several nodes: what one emits and relays the others hear, in its order and within the bus's bounds. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRedisBus } from '../../src/cluster/redis-bus.ts';
import { chatRoom, docRoom, LIMITS, userRoom, type Packet, type Room } from '../../src/protocol/index.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { createBusNetwork } from '../support/bus-network.ts';
import { startGateway, type TestGateway, type TestMember } from '../support/gateway.ts';
import { silentLog } from '../support/log.ts';
import { hasRedis, startRedis } from '../support/redis.ts';

const room = chatRoom('1');

const bytesOf = ({ heard }: TestMember, n: number): number[] => {
  const [, data] = heard[n] ?? [];
  return [...(data as { bytes: Uint8Array }).bytes];
};
const numbers = ({ heard }: TestMember): unknown[] => heard.map(([, data]) => (data as { n: number }).n);

test('[PR-20] what a node emits reaches the room on every node in its order, text and binary mixed', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  await using there = await startGateway({ bus: network.node() });
  const members = [await here.join(room), await there.join(room), await there.join(room, 'polling')];
  const stranger = await there.join(chatRoom('2'));
  for (let n = 0; n < 50; n++) {
    here.rooms.emit(room, 'said', n % 2 === 0 ? { n } : { n, bytes: Buffer.from([n]) });
  }
  for (const member of members) {
    await expect.poll(() => member.heard.length).toBe(50);
    expect(numbers(member)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(bytesOf(member, 7)).toEqual([7]);
  }
  expect(stranger.heard).toEqual([]);
  // One tick, one notice.
  expect(network.relayed.length).toBe(1);
});

test('[PR-21] over nodes, too, a joiner hears what comes after it and a leaver nothing more', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  await using there = await startGateway({ bus: network.node() });
  const stays = await there.join(room);
  const moves = await there.join(chatRoom('2'));
  const emitted = async (n: number): Promise<void> => {
    here.rooms.emit(room, 'said', { n });
    await expect.poll(() => numbers(stays)).toContain(n);
  };
  await emitted(1);
  there.rooms.join({ connectionId: moves.socket.id }, room);
  await emitted(2);
  there.rooms.leave({ connectionId: moves.socket.id }, room);
  await emitted(3);
  expect(numbers(stays)).toEqual([1, 2, 3]);
  expect(numbers(moves)).toEqual([2]);
});

test('[PR-30] who is excepted is skipped on every node, and what stays on its node stays', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  await using there = await startGateway({ bus: network.node() });
  const [plain, skipped] = [await there.join(room), await there.join(room)];
  there.rooms.join({ connectionId: skipped.socket.id }, userRoom('blocked'));
  here.rooms.emitHere(room, 'said', { n: 0 });
  here.rooms.emit(room, 'said', { n: 1 }, { except: [userRoom('blocked')], latest: 'typing' });
  here.rooms.emit(room, 'said', { n: 2 }, { latest: 'typing' });
  await expect.poll(() => numbers(plain)).toEqual([1, 2]);
  await expect.poll(() => numbers(skipped)).toEqual([2]);
});

test('what stands in a log is relayed with its position to whoever listens for that kind of room', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  await using there = await startGateway({ bus: network.node() });
  await using third = await startGateway({ bus: network.node() });
  const heard: [Room, number, Packet | undefined][] = [];
  for (const gateway of [here, there, third]) {
    gateway.rooms.onRelayed('doc', () => expect.fail('no such room'));
    gateway.rooms.onRelayed('chat', (...args) => heard.push(args));
  }
  const member = await there.join(room);
  const small = here.rooms.encode('said', { n: 1, bytes: Buffer.from([1, 2]) });
  const large = here.rooms.encode('said', { n: 2, text: 'x'.repeat(LIMITS.relayBatchBytes) });
  if (!small || !large) throw new Error('They can be encoded');
  here.rooms.relay(room, 7, small);
  here.rooms.relay(room, 8, large);
  here.rooms.relay(chatRoom('nobody is there'), 1, small);
  await expect.poll(() => heard.length).toBe(2);
  // Neither the node itself nor one without sockets in the room.
  expect(heard).toEqual([
    [room, 7, expect.anything()],
    [room, 8, undefined],
  ]);
  // As it is, so that it can be delivered in its turn.
  there.rooms.deliver(room, heard[0]?.[2] ?? []);
  await expect.poll(() => numbers(member)).toEqual([1]);
  expect(bytesOf(member, 0)).toEqual([1, 2]);
});

test('a listener that breaks stops neither the others nor the rest of its batch', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  await using there = await startGateway({ bus: network.node() });
  await there.join(room);
  const heard: number[] = [];
  there.rooms.onRelayed('chat', () => {
    throw new Error('broken');
  });
  const stop = there.rooms.onRelayed('chat', (_room, position) => heard.push(position));
  here.rooms.relay(room, 1, ['2["said",{}]']);
  here.rooms.relay(room, 2, ['2["said",{}]']);
  await expect.poll(() => heard).toEqual([1, 2]);
  expect(there.bugs.length).toBe(2);
  stop();
  here.rooms.relay(room, 3, ['2["said",{}]']);
  await expect.poll(() => there.bugs.length).toBe(3);
  expect(heard).toEqual([1, 2]);
});

test('[PR-20] a room that is held is open without a socket: what is relayed and told is heard until it is let go', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  const bus = network.node();
  await using there = await startGateway({ bus });
  const heard: unknown[] = [];
  there.rooms.onRelayed('doc', (of, position) => heard.push([of, position]));
  const doc = docRoom('1');
  const [release, releaseToo] = [there.rooms.hold(doc), there.rooms.hold(doc)];
  await there.rooms.listening(doc);
  expect(bus.topics.size).toBe(1);
  release();
  // Twice is once.
  release();
  here.rooms.relay(doc, 3, ['2["said",{}]']);
  await expect.poll(() => heard).toEqual([[doc, 3]]);
  releaseToo();
  here.rooms.relay(doc, 4, ['2["said",{}]']);
  // A room that is still open shares nothing but the bus: once it has heard, the other would have.
  const last = there.rooms.hold(docRoom('2'));
  here.rooms.relay(docRoom('2'), 5, ['2["said",{}]']);
  await expect.poll(() => heard.length).toBe(2);
  expect(heard[1]).toEqual([docRoom('2'), 5]);
  last();
});

test('what nodes tell each other of a room keeps its order with what they relay, and is no event', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  await using there = await startGateway({ bus: network.node() });
  await using third = await startGateway({ bus: network.node() });
  const heard: unknown[] = [];
  const doc = docRoom('1');
  const member = await there.join(doc);
  for (const gateway of [here, there, third]) {
    gateway.rooms.onTold('chat', () => expect.fail('no such room'));
    gateway.rooms.onTold('doc', (...args) => heard.push(args));
    gateway.rooms.onRelayed('doc', (_room, position) => heard.push(position));
  }
  there.rooms.onTold('doc', () => {
    throw new Error('broken');
  });
  const words = [new Uint8Array([1, 2]), 'ada'];
  here.rooms.relay(doc, 1, ['2["said",{}]']);
  here.rooms.tell(doc, words);
  here.rooms.relay(doc, 2, ['2["said",{}]']);
  await expect.poll(() => heard).toEqual([1, [doc, words], 2]);
  expect(there.bugs.length).toBe(1);
  expect(member.heard).toEqual([]);
  // One that is larger than a batch travels all the same.
  here.rooms.tell(doc, [new Uint8Array(2 * LIMITS.relayBatchBytes)]);
  await expect.poll(() => heard.length).toBe(4);
});

test('what is sent to one socket reaches it alone, and nobody when it has gone', async () => {
  await using gateway = await startGateway();
  const [one, other] = [await gateway.join(room), await gateway.join(room)];
  gateway.rooms.send(one.socket.id, 'said', { n: 1, bytes: Buffer.from([7]) });
  gateway.rooms.send('nobody', 'said', { n: 2 });
  gateway.rooms.emit(room, 'said', { n: 3 });
  await expect.poll(() => numbers(one)).toEqual([1, 3]);
  expect(bytesOf(one, 0)).toEqual([7]);
  await expect.poll(() => numbers(other)).toEqual([3]);
  expect(gateway.bugs).toEqual([]);
});

test('a batch is cut at its limit, and an event that is larger travels alone', async () => {
  const network = createBusNetwork();
  await using here = await startGateway({ bus: network.node() });
  await using there = await startGateway({ bus: network.node() });
  const member = await there.join(room);
  const sizes = [30_000, 30_000, 30_000, 200_000, 10, 10];
  for (const [n, size] of sizes.entries()) here.rooms.emit(room, 'said', { n, text: 'x'.repeat(size) });
  await expect.poll(() => numbers(member)).toEqual(sizes.map((_, n) => n));
  const batches = network.relayed.map(({ data }) => (data as unknown[]).length);
  expect(batches).toEqual([2, 1, 1, 2]);
});

test('a node listens to the topics of its rooms, from before it says so', async () => {
  const network = createBusNetwork();
  const bus = network.node();
  await using gateway = await startGateway({ bus });
  expect(bus.topics.size).toBe(0);
  await gateway.rooms.listening(room);
  expect(bus.topics.size).toBe(1);
  const [topic] = bus.topics;
  await gateway.join(room);
  await gateway.rooms.listening(room);
  expect([...bus.topics]).toEqual([topic]);
  const many = await gateway.join(room);
  for (let n = 0; n < 2_000; n++) gateway.rooms.join({ connectionId: many.socket.id }, chatRoom(`chat ${n}`));
  expect(bus.topics.size).toBe(256);
});

test('a node that is alone makes nothing for others', async () => {
  await using gateway = await startGateway();
  const member = await gateway.join(room);
  // It could not be encoded, and nobody here is to get it.
  gateway.rooms.emit(chatRoom('nobody'), 'said', { n: 1n });
  gateway.rooms.emit(room, 'said', { n: 2 });
  await gateway.rooms.listening(room);
  await expect.poll(() => numbers(member)).toEqual([2]);
  expect(gateway.bugs).toEqual([]);
});

describe.runIf(hasRedis())('on Redis', () => {
  test('[PR-20] the same over a real bus: order, text and binary, large and small', async () => {
    await using server = await startRedis();
    const gateways: TestGateway[] = [];
    for (const nodeId of ['here', 'there', 'third']) {
      const redis = await connectRedis({ url: server.url, log: silentLog });
      const bus = await createRedisBus({ redis, prefix: 'atelier:test:1', nodeId, log: silentLog });
      const gateway = await startGateway({ bus });
      onTestFinished(async () => {
        await gateway[Symbol.asyncDispose]();
        await bus.close();
        await redis.close();
      });
      gateways.push(gateway);
    }
    const members: TestMember[] = [];
    for (const gateway of gateways) members.push(await gateway.join(room), await gateway.join(room, 'polling'));
    for (const gateway of gateways) await gateway.rooms.listening(room);
    const each = 100;
    for (let n = 0; n < each; n++) {
      for (const [node, { rooms }] of gateways.entries()) {
        const text = 'ü'.repeat(n % 10 === 0 ? LIMITS.relayBatchBytes : n * 20);
        rooms.emit(room, 'said', n % 3 === 0 ? { node, n, bytes: Buffer.from(text) } : { node, n, text });
      }
      await new Promise(setImmediate);
    }
    for (const { heard } of members) {
      await expect.poll(() => heard.length, { timeout: 20_000 }).toBe(each * gateways.length);
      const events = heard.map(([, data]) => data as { node: number; n: number; bytes?: Uint8Array });
      for (const node of gateways.keys()) {
        expect(events.filter((event) => event.node === node).map(({ n }) => n)).toEqual(
          Array.from({ length: each }, (_, n) => n),
        );
      }
      expect(events.find(({ n }) => n === 30)?.bytes?.length).toBe(2 * LIMITS.relayBatchBytes);
    }
    for (const { bugs } of gateways) expect(bugs).toEqual([]);
  });
});
