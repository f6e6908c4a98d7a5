/** Bad input in every operation: a coded answer, the process alive, others undisturbed. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contract } from '../../src/features/registry.ts';
import { STATUS_BY_CODE } from '../../src/protocol/index.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let mallory: Person;
let socket: Socket;
let bystander: Socket;

beforeAll(async () => {
  server = await startServer();
  mallory = await server.person('Mallory');
  socket = await server.socket(mallory);
  bystander = await server.socket(await server.person('Bystander'));
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const nested = (depth: number): unknown => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
const proto = (): unknown => JSON.parse('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}');

const HOSTILE: [string, () => unknown][] = [
  ['nothing', () => undefined],
  ['null', () => null],
  ['a number', () => 7],
  ['text', () => 'x'.repeat(100)],
  ['a list', () => [1, 2, 3]],
  ['5,000-deep lists', () => nested(5_000)],
  ['5,000-deep lists in a field', () => ({ chatId: nested(5_000) })],
  ['__proto__ and constructor keys', proto],
  ['an unknown key', () => ({ surplus: 1 })],
  ['wrong types everywhere', () => Object.fromEntries(allKeys().map((key) => [key, { $gt: '' }]))],
  ['binary everywhere', () => Object.fromEntries(allKeys().map((key) => [key, Buffer.from([0, 159, 146, 150])]))],
  ['huge texts', () => Object.fromEntries(allKeys().map((key) => [key, 'x'.repeat(200_000)]))],
  ['ids that are not', () => Object.fromEntries(allKeys().map((key) => [key, '../../etc/passwd']))],
];

function allKeys(): string[] {
  return [...new Set(Object.values(contract).flatMap((one) => Object.keys(one.input.shape)))];
}

const names = Object.entries(contract)
  .filter(([, one]) => !('http' in one && one.http && 'only' in one.http))
  .map(([name]) => name);

describe.each(names)('[PR-3] %s', (name) => {
  test.each(HOSTILE)('refuses %s with a code', async (_what, input) => {
    const answer = (await socket.timeout(5_000).emitWithAck(name, input())) as {
      ok: boolean;
      error?: { code: string; message: string };
    };
    // Operations without an input accept nothing or null as "no input"; everything else is refused.
    if (answer.ok) expect(input() ?? undefined).toBeUndefined();
    else {
      expect(Object.keys(STATUS_BY_CODE)).toContain(answer.error?.code);
      expect(answer.error?.code).not.toBe('internal');
    }
  });
});

test('[PR-2] unknown operations are not_found, also without an ack', async () => {
  for (const name of ['nope', 'constructor', '__proto__', 'toString', 'error', 'message', 'newListener', '']) {
    socket.emit(name, {});
    expect(await socket.timeout(5_000).emitWithAck(name, {})).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
  }
});

test('[PR-9] a missing ack, an ack in the wrong place and surplus arguments are survived', async () => {
  for (const name of names) {
    socket.emit(name);
    socket.emit(name, {});
    socket.emit(name, null, null, null);
  }
  await expect(socket.timeout(5_000).emitWithAck('chat:list', {})).resolves.toMatchObject({ ok: true });
});

test('[PR-4] a packet over the limit ends only its own connection', async () => {
  const victim = await server.socket(mallory);
  const gone = new Promise((resolve) => victim.once('disconnect', resolve));
  victim.emit('message:send', { content: 'x'.repeat(5 * 1024 * 1024) });
  await gone;
  await expect(bystander.timeout(5_000).emitWithAck('chat:list', {})).resolves.toMatchObject({ ok: true });
});

test.each([
  ['not JSON', '42["message:send",{'],
  ['a reserved event', '42["disconnect",{}]'],
  ['binary placeholders without data', '451-["message:send",{"_placeholder":true,"num":5}]'],
  ['too many attachments', `45${10_000}-["message:send",{}]`],
  ['an ack that nobody asked for', '439999[{}]'],
  ['a foreign namespace', '40/admin,{}'],
  ['an unknown packet type', '4x'],
])('[PR-10] a raw packet that is %s disturbs nobody else', async (_what, packet) => {
  const victim = await server.socket(mallory, { transports: ['websocket'], reconnection: false });
  const engine = victim.io.engine as unknown as { write: (data: string) => void };
  engine.write(packet.slice(1));
  await expect(bystander.timeout(5_000).emitWithAck('chat:list', {})).resolves.toMatchObject({ ok: true });
  victim.close();
});

test('[PR-5] nothing of this was a bug of ours', () => {
  expect(server.errors).toEqual([]);
});
