/** A file helper that says whatever it likes: it is ended, another one is started, and nobody is given what it said. */
import { createHash } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { LIMITS, withResolvers } from '../../src/protocol/index.ts';
import { FrameParser, encodeFrame, type Exit } from '../../src/sandbox/agent-protocol/index.ts';
import type { AgentStreams, SandboxProcess } from '../../src/sandbox/agent-streams.ts';
import { encodeHelperMessage, HELPER_TYPES, type Call } from '../../src/sandbox/disk/helper-protocol.ts';
import { createSandboxDisk } from '../../src/sandbox/sandbox-disk.ts';
import { Ends } from '../support/ends.ts';
import { silentLog } from '../support/log.ts';
import { randomOf } from '../support/random.ts';

/** For a machine that is busy with other tests. */
const WAITS = { timeout: 10_000 };

/** What a helper says to a call, as frames; undefined: what a good one would. */
type Says = (call: Call, number: number) => Uint8Array | undefined;

const { answer, failure, notice, part } = HELPER_TYPES;

interface Forged {
  disk: ReturnType<typeof createSandboxDisk>;
  /** How many helpers have been started. */
  started: () => number;
  told: string[];
  overflows: () => number;
  /** By itself, from the one that runs. */
  say: (bytes: Uint8Array) => void;
}

/** A disk whose first helper says this; those after it behave. */
function forged(ends: Ends, says: Says): Forged {
  let started = 0;
  let current: PassThrough | undefined;
  const spawn = async (): Promise<SandboxProcess> => {
    const isFirst = started++ === 0;
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    for (const stream of [stdin, stdout, stderr]) stream.on('error', () => {});
    current = stdout;
    const parser = new FrameParser();
    stdin.on('data', (piece: Uint8Array) => {
      for (const frame of parser.push(piece)) {
        if (frame.type !== HELPER_TYPES.call) continue;
        const call = JSON.parse(Buffer.from(frame.payload).toString()) as Call;
        const said = isFirst ? says(call, frame.channel) : undefined;
        stdout.write(said ?? good(call, frame.channel));
      }
    });
    const exited = withResolvers<Exit>();
    return { stdin, stdout, stderr, exited: exited.promise, kill: () => exited.resolve({ code: 0, signal: 9 }) };
  };
  const streams = { isConnected: true, spawn, onConnected: () => () => {} } as unknown as AgentStreams;
  const helper = { argv: ['helper'], env: {}, cwd: '/' };
  const disk = createSandboxDisk({ streams, helper, directory: '/work', mostBytes: 1_000, log: silentLog });
  ends.defer(() => disk.close());
  const told: string[] = [];
  let overflows = 0;
  disk.watch({ changed: (paths) => told.push(...paths), overflow: () => overflows++ });
  return { disk, started: () => started, told, overflows: () => overflows, say: (bytes) => current?.write(bytes) };
}

const good = ({ op }: Call, number: number): Uint8Array => {
  const values: Record<string, unknown> = {
    read: { kind: 'missing' }, open: 1, next: false, list: 1, page: { paths: ['a'], isLast: true }, ids: [],
    replace: 'swapped', place: 'swapped', take: true, move: 'moved', stage: 1,
  }; // prettier-ignore
  return encodeHelperMessage(answer, number, values[op] ?? null);
};

const drained = async (list: AsyncIterable<unknown>): Promise<void> => {
  for await (const item of list) void item;
};
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const data = Buffer.from('data');
const file = { kind: 'file', hash: digest(data), sizeBytes: 4, withBytes: true };
const large = Buffer.alloc(LIMITS.documentTextBytes + 1);
const endless = Buffer.alloc(300, 'x');

/** What it answers to which call. */
const LIES: Record<string, [op: string, says: (number: number) => Uint8Array]> = {
  'an entry of no kind': ['read', (n) => encodeHelperMessage(answer, n, { kind: 'root' })],
  'an entry with more than it has': ['read', (n) => encodeHelperMessage(answer, n, { kind: 'missing', bytes: 1 })],
  'a wrong hash': ['read', (n) => encodeHelperMessage(answer, n, { ...file, hash: digest(endless) }, data)],
  'no hash': ['read', (n) => encodeHelperMessage(answer, n, { ...file, hash: 'x'.repeat(64) }, data)],
  'fewer bytes than it says': ['read', (n) => encodeHelperMessage(answer, n, { ...file, sizeBytes: 5 }, data)],
  'bytes that it does not speak of': [
    'read',
    (n) => encodeHelperMessage(answer, n, { ...file, withBytes: false }, data),
  ],
  'a file over the limit': [
    'read',
    (n) => encodeHelperMessage(answer, n, { ...file, sizeBytes: 1_001, withBytes: false }),
  ],
  'a text over the limit': [
    'read',
    (n) => encodeHelperMessage(answer, n, { ...file, hash: digest(large), sizeBytes: large.length }, large),
  ],
  'parts without an end': ['read', (n) => encodeHelperMessage(answer, n, file, Buffer.alloc(5_000_000))],
  'an empty part': ['read', (n) => encodeFrame({ type: part, channel: n, payload: new Uint8Array(0) })],
  'an answer to no call': ['read', () => encodeHelperMessage(answer, 999, null)],
  'a part of no answer': ['read', () => encodeFrame({ type: part, channel: 999, payload: data })],
  'two answers': ['read', (n) => Buffer.concat([1, 2].map(() => encodeHelperMessage(answer, n, null)))],
  'no JSON': ['read', (n) => encodeFrame({ type: answer, channel: n, payload: data })],
  'a call of its own': ['read', (n) => encodeHelperMessage(HELPER_TYPES.call, n, {})],
  'a failure in its own words': ['read', (n) => encodeHelperMessage(failure, n, '<script>')],
  'a content without an end': ['next', (n) => encodeHelperMessage(answer, n, true, endless)],
  'a content of nothing': ['next', (n) => encodeHelperMessage(answer, n, true)],
  'a list without an end': ['page', (n) => encodeHelperMessage(answer, n, { paths: [], isLast: false })],
  'a path that leads out': ['page', (n) => encodeHelperMessage(answer, n, { paths: ['a/../../b'], isLast: true })],
  'an absolute path': ['page', (n) => encodeHelperMessage(answer, n, { paths: ['/etc/passwd'], isLast: true })],
  'ids that are none': ['ids', (n) => encodeHelperMessage(answer, n, ['../a'])],
  'too many paths': [
    'page',
    (n) => encodeHelperMessage(answer, n, { paths: Array.from({ length: 501 }, () => 'a'), isLast: true }),
  ],
  'notices of paths that lead out': ['read', () => encodeHelperMessage(notice, 0, { paths: ['..'] })],
  'notices to a call': ['read', (n) => encodeHelperMessage(notice, n, { paths: ['a'] })],
  'a frame that is too large': ['read', () => Buffer.from([255, 255, 255, 255])],
  'a flood': [
    'read',
    () => Buffer.concat(Array.from({ length: 6_000 }, () => encodeHelperMessage(notice, 0, { paths: [] }))),
  ],
};

test.each(Object.entries(LIES))('%s ends the helper, and the next one serves', async (_, [wrongOp, says]) => {
  await using ends = new Ends();
  const { disk, started, told, overflows } = forged(ends, ({ op }, number) =>
    op === wrongOp ? says(number) : undefined,
  );
  const asked: Record<string, () => Promise<unknown>> = {
    read: () => disk.read('a'),
    next: () => drained(disk.content('a')),
    page: () => drained(disk.list()),
    ids: () => disk.ids(),
  };
  await expect(asked[wrongOp]?.()).rejects.toMatchObject({
    code: expect.stringMatching(/upstream|unavailable/) as string,
  });
  expect(await disk.read('a')).toEqual({ kind: 'missing' });
  expect(started()).toBe(2);
  expect(told).toEqual([]);
  await expect.poll(overflows, WAITS).toBeGreaterThanOrEqual(1);
});

test('who is told without end hears of it now and then', async () => {
  await using ends = new Ends();
  const { disk, say, told, overflows, started } = forged(ends, () => undefined);
  await disk.read('a');
  await expect.poll(overflows, WAITS).toBe(1);
  const paths = Array.from({ length: 500 }, (_, i) => `f${i}`);
  for (let i = 0; i < 100; i++) say(encodeHelperMessage(notice, 0, { paths }));
  for (let i = 0; i < 100; i++) say(encodeHelperMessage(notice, 0, { paths: [] }));
  await expect.poll(overflows, { timeout: 5_000 }).toBe(2);
  expect(told.length).toBeLessThan(25_000);
  expect(told.length).toBeGreaterThan(5_000);
  expect(await disk.read('a')).toEqual({ kind: 'missing' });
  expect(started()).toBe(1);
});

test('garbage ends the helper, whatever it is', async () => {
  const random = randomOf(9);
  for (let round = 0; round < 20; round++) {
    await using ends = new Ends();
    const { disk, say, started } = forged(ends, () => undefined);
    await disk.read('a');
    const garbage = Uint8Array.from({ length: 9 + random(500) }, () => random(256));
    garbage[0] = 1;
    say(garbage);
    await expect.poll(started, WAITS).toBe(2);
    expect(await disk.read('a')).toEqual({ kind: 'missing' });
  }
});

test('a helper has so many calls at once, and the others in turn', async () => {
  await using ends = new Ends();
  const asked: number[] = [];
  const { disk, say } = forged(ends, ({ op }, number) => {
    if (op !== 'read') return undefined;
    asked.push(number);
    return new Uint8Array(0);
  });
  const reading = Promise.all(Array.from({ length: 50 }, (_, i) => disk.read(`f${i}`)));
  for (let answered = 0; answered < 50; answered++) {
    await expect.poll(() => asked.length, WAITS).toBe(Math.min(50, answered + 16));
    say(good({ op: 'read', args: {} }, asked[answered] as number));
  }
  expect((await reading).every(({ kind }) => kind === 'missing')).toBe(true);
});

test('a helper that does not answer is ended after a minute', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    await using ends = new Ends();
    const { disk, started } = forged(ends, ({ op }) => (op === 'read' ? new Uint8Array(0) : undefined));
    const reading = disk.read('a');
    reading.catch(() => {});
    await vi.advanceTimersByTimeAsync(100);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(started()).toBe(1);
    await vi.advanceTimersByTimeAsync(10_000);
    await expect(reading).rejects.toMatchObject({ code: 'unavailable' });
    expect(started()).toBe(2);
    expect(await disk.read('a')).toEqual({ kind: 'missing' });
  } finally {
    vi.useRealTimers();
  }
});

test('after its close a disk gives nothing and starts nothing', async () => {
  await using ends = new Ends();
  const { disk, started } = forged(ends, () => undefined);
  await disk.read('a');
  disk.close();
  await expect(disk.read('a')).rejects.toMatchObject({ code: 'unavailable' });
  expect(started()).toBe(1);
});
