/** Delivery in one node: order, membership, and what a write carries. */
import { expect, test, vi } from 'vitest';
import * as ws from 'ws';
import { engineOf } from '../../src/gateway/engine.ts';
import { binaryFrame, textFrame } from '../../src/gateway/websocket-frame.ts';
import { chatRoom, userRoom } from '../../src/protocol/index.ts';
import { startGateway } from '../support/gateway.ts';

const room = chatRoom('1');
const elsewhere = chatRoom('2');

test.each([0, 1, 125, 126, 127, 65_535, 65_536, 200_000])('frames of %d bytes are those of RFC 6455', (size) => {
  const text = 'a'.repeat(size);
  // Not in its types.
  const sender = (ws as unknown as { Sender: { frame: (data: Buffer, options: object) => Buffer[] } }).Sender;
  const options = { fin: true, rsv1: false, mask: false, readOnly: true };
  const expectText = Buffer.concat(sender.frame(Buffer.from(text), { ...options, opcode: 1 }));
  expect(textFrame(text).equals(expectText)).toBe(true);
  const expectBinary = Buffer.concat(sender.frame(Buffer.from(text), { ...options, opcode: 2 }));
  expect(binaryFrame(Buffer.from(text)).equals(expectBinary)).toBe(true);
});

test('[PR-20] events of a room arrive in order, text and binary mixed, on websocket and long-polling', async () => {
  await using gateway = await startGateway();
  const members = [await gateway.join(room), await gateway.join(room, 'polling'), await gateway.join(elsewhere)];
  const expected: unknown[][] = [];
  for (let n = 0; n < 30; n++) {
    const data = n % 3 === 0 ? { n, bytes: Buffer.from([n, n + 1]) } : { n, text: 'ü'.repeat(n * 50) };
    gateway.rooms.emit(room, 'said', data);
    expected.push(['said', data]);
  }
  for (const { heard } of members.slice(0, 2)) {
    await expect.poll(() => heard.length).toBe(30);
    expect(heard.map(([, data]) => (data as { n: number }).n)).toEqual(expected.map((_, n) => n));
    expect(heard[3]?.[1]).toEqual({ n: 3, bytes: expect.anything() });
    expect([...((heard[3]?.[1] ?? { bytes: [] }) as { bytes: Iterable<number> }).bytes]).toEqual([3, 4]);
    expect(heard[4]?.[1]).toEqual(expected[4]?.[1]);
  }
  expect(members[2]?.heard).toEqual([]);
});

test('[PR-21] a joiner does not get what was emitted before it joined; a leaver gets it', async () => {
  await using gateway = await startGateway();
  const early = await gateway.join(room);
  const late = await gateway.join(elsewhere);
  gateway.rooms.emit(room, 'before', {});
  gateway.rooms.join({ connectionId: late.socket.id }, room);
  gateway.rooms.emit(room, 'between', {});
  gateway.rooms.leave({ connectionId: early.socket.id }, room);
  gateway.rooms.emit(room, 'after', {});
  await expect
    .poll(() => late.heard)
    .toEqual([
      ['between', {}],
      ['after', {}],
    ]);
  await expect
    .poll(() => early.heard)
    .toEqual([
      ['before', {}],
      ['between', {}],
    ]);
});

test('[PR-22] one tick is one write per websocket', async () => {
  await using gateway = await startGateway();
  const { heard, socket } = await gateway.join(room);
  const tcp = engineOf(socket).transport.socket?._socket;
  if (!tcp) throw new Error('It is no websocket');
  const write = vi.spyOn(tcp, 'write');
  for (let n = 0; n < 10; n++) gateway.rooms.emit(room, 'said', { n });
  await expect.poll(() => heard.length).toBe(10);
  expect(write).toHaveBeenCalledTimes(1);
});

test('[PR-30] sockets that are also in an excepted room are skipped, whatever else the tick brings', async () => {
  await using gateway = await startGateway();
  const blocked = userRoom('blocked');
  const [plain, skipped, polling] = [
    await gateway.join(room),
    await gateway.join(room),
    await gateway.join(room, 'polling'),
  ];
  for (const { socket } of [skipped, polling]) gateway.rooms.join({ connectionId: socket.id }, blocked);
  gateway.rooms.emit(room, 'said', { n: 1 });
  gateway.rooms.emit(room, 'said', { n: 2, bytes: Buffer.from([2]) }, { except: [userRoom('nobody'), blocked] });
  gateway.rooms.emit(room, 'said', { n: 3 });
  const numbers = (heard: unknown[][]): unknown[] => heard.map(([, data]) => (data as { n: number }).n);
  await expect.poll(() => numbers(plain.heard)).toEqual([1, 2, 3]);
  await expect.poll(() => numbers(skipped.heard)).toEqual([1, 3]);
  await expect.poll(() => numbers(polling.heard)).toEqual([1, 3]);
});

test('[PR-10] an event that cannot be encoded is reported as a bug and breaks nothing', async () => {
  await using gateway = await startGateway();
  const { heard } = await gateway.join(room);
  gateway.rooms.emit(room, 'said', { n: 1n });
  gateway.rooms.emit(room, 'said', { n: 2 });
  await expect.poll(() => heard).toEqual([['said', { n: 2 }]]);
  expect(gateway.bugs).toEqual([[expect.any(TypeError), { event: 'said' }]]);
});
