/** Bad input in every operation: a coded answer, the process alive, others undisturbed. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contract } from '../../src/features/registry.ts';
import { STATUS_BY_CODE, type Operation } from '../../src/protocol/index.ts';
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

/** An input as it would stand in a packet; hostile clients do not use our encoder. */
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const everywhere = (value: unknown) => (keys: string[]) =>
  JSON.stringify(Object.fromEntries(keys.map((key) => [key, value])));

const HOSTILE: [string, (keys: string[]) => string][] = [
  ['null', () => 'null'],
  ['a number', () => '7'],
  ['text', () => '"text"'],
  ['a list', () => '[1,2,3]'],
  ['5,000-deep lists', () => nested(5_000)],
  ['100,000-deep lists', () => nested(100_000)],
  ['5,000-deep lists in a field', (keys) => `{"${keys[0] ?? 'x'}":${nested(5_000)}}`],
  ['__proto__ and constructor keys', () => '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}'],
  ['an unknown key', () => '{"surplus":1}'],
  ['wrong types', everywhere({ $gt: '' })],
  ['huge texts', everywhere('x'.repeat(300_000))],
  ['ids that are not', everywhere('../../etc/passwd')],
];

const operations = Object.entries(contract).filter(([, { http }]: [string, Operation]) => !http?.only);
const names = operations.map(([name]) => name);

interface AnswerShape {
  ok: boolean;
  error?: { code: string };
}

let nextAck = 1_000_000;

/** Sends a packet's text as it is and waits for its ack. */
function raw(name: string, input: string): Promise<AnswerShape> {
  const id = nextAck++;
  const { engine } = socket.io;
  return new Promise((resolve, reject) => {
    const lost = setTimeout(() => reject(new Error('no answer')), 10_000);
    const onData = (data: unknown): void => {
      if (typeof data !== 'string' || !data.startsWith(`3${id}[`)) return;
      clearTimeout(lost);
      engine.off('data', onData);
      resolve((JSON.parse(data.slice(data.indexOf('['))) as [AnswerShape])[0]);
    };
    engine.on('data', onData);
    engine.write(`2${id}["${name}",${input}]`);
  });
}

/** What is wrong with an answer: bad input must not be accepted, and no refusal may be a bug of ours. */
function faultIn(answer: AnswerShape, allowed: boolean): string | undefined {
  if (answer.ok) return allowed ? undefined : 'accepted';
  const code = answer.error?.code ?? 'without a code';
  return code in STATUS_BY_CODE && code !== 'internal' ? undefined : code;
}

describe.each(operations)('[PR-3] %s', (name, { input }) => {
  const keys = Object.keys(input.shape);

  test.each(HOSTILE)('answers %s as its contract says, never with a bug', async (what, write) => {
    const text = write(keys);
    const allowed = !what.includes('deep') && input.safeParse(JSON.parse(text) ?? {}).success;
    expect(faultIn(await raw(name, text), allowed)).toBeUndefined();
  });

  test('refuses binary where text belongs', async () => {
    const some = (keys.length > 0 ? keys : ['x']).slice(0, 10);
    const binary = Object.fromEntries(some.map((key) => [key, Buffer.from([0, 255])]));
    const answer = (await socket.timeout(10_000).emitWithAck(name, binary)) as AnswerShape;
    expect(faultIn(answer, false)).toBeUndefined();
  });
});

const naming = operations.flatMap(([name, { input }]) =>
  ['name', 'deviceName'].filter((key) => key in input.shape).map((key): [string, string] => [name, key]),
);
test.each(naming)('[PR-33] %s takes no %s that hides what it is', async (name, key) => {
  const answer: unknown = await socket.timeout(10_000).emitWithAck(name, { [key]: 'photo\u202egpj.exe' });
  const complaint = { path: key, message: expect.stringContaining('direction') };
  expect(answer).toMatchObject({ error: { code: 'invalid', detail: expect.arrayContaining([complaint]) } });
});

test('[PR-2] unknown operations are not_found, also without an ack', async () => {
  for (const name of ['nope', 'constructor', '__proto__', 'toString', 'error', 'message', '']) {
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
  // They are more than may be under way at once: until some have ended, the next is refused.
  await expect.poll(() => socket.timeout(5_000).emitWithAck('chat:list', {})).toMatchObject({ ok: true });
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
  ['too many attachments', '4510000-["message:send",{}]'],
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
