/** Frames, messages and the ring, without a connection. */
import { array, assert, json, nat, property, uint8Array } from 'fast-check';
import { expect, test } from 'vitest';
import {
  AGENT_LIMITS,
  ByteRing,
  decodeAgentMessage,
  decodeServerMessage,
  encodeAgentMessage,
  encodeFrame,
  encodeServerMessage,
  FrameBudget,
  FrameParser,
  ProtocolError,
  type AgentMessage,
  type Frame,
  type ServerMessage,
} from '../../src/sandbox/agent-protocol/index.ts';
import { randomOf, type Random } from '../support/random.ts';

const bytesOf = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => random(256));

/** The bytes in pieces of random length. */
function* pieces(random: Random, bytes: Uint8Array): Generator<Uint8Array> {
  for (let from = 0; from < bytes.length;) {
    const length = random(4) === 0 ? random(3) : random(5_000);
    yield bytes.subarray(from, from + length);
    from += length;
  }
}

test('[AG-1] frames come out as they went in, whatever pieces they come in', () => {
  const random = randomOf(1);
  for (let round = 0; round < 30; round++) {
    const frames: Frame[] = Array.from({ length: 1 + random(30) }, () => ({
      type: random(256),
      channel: random(2 ** 32),
      payload: bytesOf(random, [0, 1, random(300), random(AGENT_LIMITS.payloadBytes + 1)][random(4)] ?? 0),
    }));
    const parser = new FrameParser();
    const parsed: Frame[] = [];
    for (const piece of pieces(random, Buffer.concat(frames.map(encodeFrame)))) {
      for (const frame of parser.push(piece)) parsed.push({ ...frame, payload: frame.payload.slice() });
    }
    expect(parsed.length).toBe(frames.length);
    expect(parsed.every((frame, i) => Buffer.compare(encodeFrame(frame), encodeFrame(frames[i] as Frame)) === 0)).toBe(
      true,
    );
  }
});

test('[AG-1] a length that cannot be breaks the parser for good, at its fourth byte', () => {
  for (const length of [0, 4, AGENT_LIMITS.payloadBytes + 6, 2 ** 32 - 1]) {
    const parser = new FrameParser();
    const header = new Uint8Array(4);
    new DataView(header.buffer).setUint32(0, length);
    expect([...parser.push(header.subarray(0, 3))]).toEqual([]);
    expect(() => [...parser.push(header.subarray(3))]).toThrow(ProtocolError);
    expect(() => [...parser.push(encodeFrame({ type: 1, channel: 0, payload: new Uint8Array(0) }))]).toThrow(
      ProtocolError,
    );
  }
});

const AGENT_MESSAGES: AgentMessage[] = [
  {
    type: 'hello',
    hello: {
      version: 1,
      role: 'terminal',
      fence: 7,
      secret: 's',
      terminals: [
        { number: 1, id: 'a', seq: 5, input: 0, taken: 0, columns: 80, rows: 24 },
        { number: 2, id: 'b:2', seq: 2 ** 40, input: 9, taken: 8, columns: 1, rows: 1, exit: { code: 1, signal: 0 } },
      ],
    },
  },
  { type: 'opened', terminal: 3 },
  { type: 'closed', terminal: 3 },
  { type: 'failed', terminal: 3, code: 'fork', message: 'no process' },
  { type: 'exited', terminal: 3, seq: 12, exit: { code: 255, signal: 9 } },
  { type: 'taken', terminal: 3, input: Number.MAX_SAFE_INTEGER },
  { type: 'output', attachment: 9, seq: 2 ** 50, data: Uint8Array.of(1, 2, 3) },
  {
    type: 'snapshot',
    attachment: 9,
    seq: 4,
    columns: 500,
    rows: 200,
    totalBytes: 5,
    offset: 3,
    data: Uint8Array.of(1, 2),
  },
  { type: 'snapshot', attachment: 9, seq: 4, columns: 1, rows: 1, totalBytes: 0, offset: 0, data: new Uint8Array(0) },
  { type: 'end', attachment: 9, seq: 12, exit: { code: 0, signal: 15 } },
  { type: 'gone', attachment: 2 ** 32 - 1 },
  { type: 'killed', request: 4, processes: 17 },
  { type: 'counted', request: 5, bytes: 2 ** 40 },
  { type: 'started', stream: 4 },
  { type: 'unable', stream: 4, code: 'port' },
  { type: 'ended', stream: 4, exit: { code: 1, signal: 9 } },
  { type: 'incoming', stream: 2 ** 31, listener: 'npm' },
  { type: 'data', stream: 4, data: Uint8Array.of(1, 2) },
  { type: 'finish', stream: 4 },
  { type: 'reset', stream: 2 ** 32 - 1 },
  { type: 'more', stream: 4, bytes: 32_768 },
];

const SERVER_MESSAGES: ServerMessage[] = [
  { type: 'welcome', fence: 3 },
  { type: 'refused', code: 'secret', message: 'no' },
  {
    type: 'open',
    terminal: 1,
    request: { id: 'a', argv: ['sh', '-c', ''], env: { A: 'é' }, cwd: '/', columns: 80, rows: 24 },
  },
  {
    type: 'open',
    terminal: 1,
    request: { id: 'a', argv: ['sh'], env: {}, cwd: '/', columns: 80, rows: 24, owner: { uid: 1, gid: 2 } },
  },
  { type: 'input', terminal: 1, offset: 8, data: Uint8Array.of(3) },
  { type: 'resize', terminal: 1, columns: 100, rows: 30 },
  { type: 'signal', terminal: 1, signal: 'SIGTSTP' },
  { type: 'close', terminal: 1 },
  { type: 'attach', attachment: 2, terminal: 1, after: 77, creditBytes: 1_000 },
  { type: 'credit', attachment: 2, bytes: 10 },
  { type: 'detach', attachment: 2 },
  { type: 'kill-all', request: 1 },
  { type: 'count', request: 2 },
  { type: 'spawn', stream: 1, request: { argv: ['sh', '-c', ''], env: { A: 'é' }, cwd: '/' } },
  { type: 'connect', stream: 4, port: 65_535 },
  { type: 'kill', stream: 1, signal: 'SIGKILL' },
  { type: 'data', stream: 4, data: Uint8Array.of(1, 2) },
  { type: 'finish', stream: 4 },
  { type: 'reset', stream: 2 ** 31 },
  { type: 'more', stream: 4, bytes: 1 },
];

const frameOf = (bytes: Uint8Array): Frame => [...new FrameParser().push(bytes)][0] as Frame;

test('[AG-2] every message comes out as it went in', () => {
  for (const message of AGENT_MESSAGES)
    expect(decodeAgentMessage(frameOf(encodeAgentMessage(message)))).toEqual(message);
  for (const message of SERVER_MESSAGES) {
    expect(decodeServerMessage(frameOf(encodeServerMessage(message)))).toEqual(message);
  }
});

test('[AG-2] a message with a byte less or more is refused, and so is one sent back', () => {
  const wrongFrames = (frame: Frame): Frame[] => [
    { ...frame, payload: Buffer.concat([frame.payload, Uint8Array.of(0)]) },
    ...(frame.payload.length > 0 ? [{ ...frame, payload: frame.payload.subarray(0, -1) }] : []),
  ];
  // What ends in bytes of any length cannot tell; a snapshot's part can be longer than its whole.
  const open = new Set(['output', 'input', 'snapshot', 'data', 'incoming']);
  for (const message of AGENT_MESSAGES) {
    const frame = frameOf(encodeAgentMessage(message));
    expect(() => decodeServerMessage(frame)).toThrow(ProtocolError);
    if (open.has(message.type)) continue;
    for (const wrong of wrongFrames(frame)) expect(() => decodeAgentMessage(wrong)).toThrow(ProtocolError);
  }
  for (const message of SERVER_MESSAGES) {
    const frame = frameOf(encodeServerMessage(message));
    expect(() => decodeAgentMessage(frame)).toThrow(ProtocolError);
    if (open.has(message.type)) continue;
    for (const wrong of wrongFrames(frame)) expect(() => decodeServerMessage(wrong)).toThrow(ProtocolError);
  }
});

test('[AG-2] JSON with a key too many, one missing, or a value out of its bounds is refused', () => {
  const hello = { version: 1, role: 'terminal', fence: 0, secret: 's', terminals: [] as unknown[] };
  const terminal = { number: 1, id: 'a', seq: 0, input: 0, taken: 0, columns: 80, rows: 24 };
  const frame = (value: unknown): Frame => ({ type: 1, channel: 0, payload: Buffer.from(JSON.stringify(value)) });
  expect(decodeAgentMessage(frame({ ...hello, terminals: [terminal] })).type).toBe('hello');
  const wrong = [
    null,
    [],
    7,
    { ...hello, more: 1 },
    { ...hello, role: 'root' },
    { ...hello, fence: -1 },
    { ...hello, fence: 1.5 },
    { ...hello, secret: '' },
    { ...hello, secret: 's'.repeat(AGENT_LIMITS.secretLength + 1) },
    { version: 1, role: 'terminal', fence: 0, secret: 's' },
    { ...hello, terminals: [{ ...terminal, number: 0 }] },
    { ...hello, terminals: [{ ...terminal, id: '"' }] },
    { ...hello, terminals: [{ ...terminal, columns: 501 }] },
    { ...hello, terminals: [{ ...terminal, exit: { code: 256, signal: 0 } }] },
    { ...hello, terminals: Array.from({ length: AGENT_LIMITS.terminals + 1 }, () => terminal) },
  ];
  for (const value of wrong) expect(() => decodeAgentMessage(frame(value))).toThrow(ProtocolError);
  expect(() => decodeAgentMessage({ type: 1, channel: 0, payload: Uint8Array.of(0x22, 0xff, 0x22) })).toThrow(
    'No JSON',
  );
  expect(() => decodeAgentMessage({ ...frame(hello), channel: 1 })).toThrow(ProtocolError);
});

test('[AG-2] no bytes make the readers do anything but give a message or throw a ProtocolError', () => {
  const givesOrRefuses = (read: () => unknown): boolean => {
    try {
      read();
      return true;
    } catch (error) {
      return error instanceof ProtocolError;
    }
  };
  assert(
    property(nat(90), nat(2 ** 32 - 1), uint8Array({ maxLength: 200 }), (type, channel, payload) => {
      expect(givesOrRefuses(() => decodeAgentMessage({ type, channel, payload }))).toBe(true);
      expect(givesOrRefuses(() => decodeServerMessage({ type, channel, payload }))).toBe(true);
    }),
    { seed: 5, numRuns: 3_000 },
  );
  assert(
    property(json(), (value) => {
      const payload = Buffer.from(value);
      for (const type of [1, 3])
        expect(givesOrRefuses(() => decodeAgentMessage({ type, channel: 0, payload }))).toBe(true);
      for (const type of [65, 66, 67]) {
        expect(givesOrRefuses(() => decodeServerMessage({ type, channel: 0, payload }))).toBe(true);
      }
    }),
    { seed: 6, numRuns: 1_000 },
  );
  assert(
    property(array(uint8Array({ maxLength: 40 }), { maxLength: 20 }), (chunks) => {
      const parser = new FrameParser();
      expect(givesOrRefuses(() => chunks.forEach((chunk) => [...parser.push(chunk)].map(decodeAgentMessage)))).toBe(
        true,
      );
    }),
    { seed: 7, numRuns: 2_000 },
  );
});

test('[AG-8] the ring gives back the last bytes by their positions, and nothing else', () => {
  const random = randomOf(8);
  const ring = new ByteRing(1_000);
  let all = new Uint8Array(0);
  for (let round = 0; round < 300; round++) {
    const added = bytesOf(random, random(round % 10 === 0 ? 2_500 : 300));
    ring.push(added);
    all = Buffer.concat([all, added]);
    expect(ring.end).toBe(all.length);
    expect(ring.start).toBe(Math.max(0, all.length - 1_000));
    const from = ring.start + random(ring.end - ring.start + 1);
    const max = random(1_200);
    expect(Buffer.compare(ring.read(from, max) ?? Buffer.from('none'), all.subarray(from, from + max))).toBe(0);
    expect(ring.read(ring.start - 1, 1)).toBeUndefined();
    expect(ring.read(ring.end + 1, 1)).toBeUndefined();
  }
});

test('[AG-17] a budget of frames fills up evenly, to that of one second', () => {
  const budget = new FrameBudget(100, 0);
  const taken = (nowMs: number): number => {
    for (let count = 0; ; count++) if (!budget.take(nowMs)) return count;
  };
  expect(taken(0)).toBe(100);
  expect(taken(100)).toBe(10);
  expect(taken(100)).toBe(0);
  expect(taken(60_000)).toBe(100);
});
