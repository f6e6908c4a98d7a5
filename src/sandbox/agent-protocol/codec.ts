/** Messages to bytes and, strictly, back. */
import { pack, packJson, parseJson, PayloadReader, wrong } from './fields.ts';
import { encodeFrame, type Frame } from './frame.ts';
import { AGENT_LIMITS } from './limits.ts';
import {
  SIGNALS,
  UNABLE,
  VERSION,
  type AgentMessage,
  type Exit,
  type ServerMessage,
  type SignalName,
  type Size,
  type StreamMessage,
  type UnableCode,
} from './messages.ts';
import { ProtocolError } from './protocol-error.ts';
import {
  failedShape,
  helloShape,
  LISTENER,
  openShape,
  refusedShape,
  sizeShape,
  spawnShape,
  welcomeShape,
} from './shapes.ts';

/** The `type` byte of a frame. Each direction has its own, so that nothing that is sent back means anything. */
export const AGENT_TYPES = {
  hello: 1,
  opened: 2,
  failed: 3,
  exited: 4,
  taken: 5,
  output: 6,
  snapshot: 7,
  end: 8,
  gone: 9,
  killed: 10,
  closed: 11,
  started: 12,
  unable: 13,
  ended: 14,
  incoming: 15,
  data: 16,
  finish: 17,
  reset: 18,
  more: 19,
  counted: 20,
} as const satisfies Record<AgentMessage['type'], number>;

export const SERVER_TYPES = {
  welcome: 65,
  refused: 66,
  open: 67,
  input: 68,
  resize: 69,
  signal: 70,
  close: 71,
  attach: 72,
  credit: 73,
  detach: 74,
  'kill-all': 75,
  spawn: 76,
  connect: 77,
  kill: 78,
  data: 79,
  finish: 80,
  reset: 81,
  more: 82,
  count: 83,
} as const satisfies Record<ServerMessage['type'], number>;

const NOTHING = new Uint8Array(0);
const { chunkBytes } = AGENT_LIMITS;

/** For each message the frame's channel and payload. */
type Fields<M extends { type: string }> = {
  [T in M['type']]: (message: Extract<M, { type: T }>) => [channel: number, payload: Uint8Array];
};

const STREAM_FIELDS: Fields<StreamMessage> = {
  data: ({ stream, data }) => [stream, data],
  finish: ({ stream }) => [stream, NOTHING],
  reset: ({ stream }) => [stream, NOTHING],
  more: ({ stream, bytes }) => [stream, pack([[bytes, 4]])],
};

const AGENT_FIELDS: Fields<AgentMessage> = {
  hello: ({ hello }) => [0, packJson(hello)],
  opened: ({ terminal }) => [terminal, NOTHING],
  failed: ({ terminal, code, message }) => [terminal, packJson({ code, message })],
  exited: ({ terminal, ...exited }) => [terminal, packExit(exited)],
  closed: ({ terminal }) => [terminal, NOTHING],
  taken: ({ terminal, input }) => [terminal, pack([[input, 8]])],
  output: ({ attachment, seq, data }) => [attachment, pack([[seq, 8]], data)],
  snapshot: ({ attachment, seq, columns, rows, totalBytes, offset, data }) => {
    const fields = [
      [seq, 8],
      [columns, 2],
      [rows, 2],
      [totalBytes, 4],
      [offset, 4],
    ] as const;
    return [attachment, pack(fields, data)];
  },
  end: ({ attachment, ...ended }) => [attachment, packExit(ended)],
  gone: ({ attachment }) => [attachment, NOTHING],
  killed: ({ request, processes }) => [request, pack([[processes, 4]])],
  counted: ({ request, bytes }) => [request, pack([[bytes, 8]])],
  started: ({ stream }) => [stream, NOTHING],
  unable: ({ stream, code }) => [stream, pack([[UNABLE[code], 1]])],
  ended: ({ stream, exit }) => {
    return [
      stream,
      pack([
        [exit.code, 1],
        [exit.signal, 1],
      ]),
    ];
  },
  incoming: ({ stream, listener }) => [stream, new TextEncoder().encode(listener)],
  ...STREAM_FIELDS,
};

/** The frame of a message from an agent. */
export function encodeAgentMessage(message: AgentMessage): Uint8Array {
  const fieldsOf = AGENT_FIELDS[message.type] as (message: AgentMessage) => [number, Uint8Array];
  const [channel, payload] = fieldsOf(message);
  return encodeFrame({ type: AGENT_TYPES[message.type], channel, payload });
}

/** What an agent said. Throws `frame` for a type that no agent sends, `message` for anything else that is wrong. */
export function decodeAgentMessage({ type, channel, payload }: Frame): AgentMessage {
  const fields = new PayloadReader(payload);
  switch (type) {
    case AGENT_TYPES.hello:
      isZero(channel);
      return { type: 'hello', hello: parseJson(payload, helloShape) };
    case AGENT_TYPES.opened:
      fields.end();
      return { type: 'opened', terminal: channel };
    case AGENT_TYPES.closed:
      fields.end();
      return { type: 'closed', terminal: channel };
    case AGENT_TYPES.failed:
      return { type: 'failed', terminal: channel, ...parseJson(payload, failedShape) };
    case AGENT_TYPES.exited:
      return { type: 'exited', terminal: channel, ...unpackExit(fields) };
    case AGENT_TYPES.taken:
      return last(fields, { type: 'taken', terminal: channel, input: fields.u64() });
    case AGENT_TYPES.output:
      return { type: 'output', attachment: channel, seq: fields.u64(), data: fields.rest(1, chunkBytes) };
    case AGENT_TYPES.snapshot: {
      const seq = fields.u64();
      const size = unpackSize(fields);
      const [totalBytes, offset] = [fields.u32(), fields.u32()];
      const data = fields.rest(0, chunkBytes);
      if (totalBytes > AGENT_LIMITS.snapshotBytes || offset + data.length > totalBytes) throw wrong('A snapshot');
      // Only an empty one has an empty part, so that each brings it nearer to its end.
      if (data.length === 0 && totalBytes > 0) throw wrong('An empty part of a snapshot');
      return { type: 'snapshot', attachment: channel, seq, ...size, totalBytes, offset, data };
    }
    case AGENT_TYPES.end:
      return { type: 'end', attachment: channel, ...unpackExit(fields) };
    case AGENT_TYPES.gone:
      fields.end();
      return { type: 'gone', attachment: channel };
    case AGENT_TYPES.killed:
      return last(fields, { type: 'killed', request: channel, processes: fields.u32() });
    case AGENT_TYPES.counted:
      return last(fields, { type: 'counted', request: channel, bytes: fields.u64() });
    case AGENT_TYPES.started:
      fields.end();
      return { type: 'started', stream: channel };
    case AGENT_TYPES.unable:
      return last(fields, { type: 'unable', stream: channel, code: nameOf<UnableCode>(UNABLE, fields.u8()) });
    case AGENT_TYPES.ended:
      return last(fields, { type: 'ended', stream: channel, exit: unpackHow(fields) });
    case AGENT_TYPES.incoming: {
      const listener = new TextDecoder().decode(payload);
      if (!LISTENER.test(listener)) throw wrong('The name of a listener');
      return { type: 'incoming', stream: channel, listener };
    }
    case AGENT_TYPES.data:
    case AGENT_TYPES.finish:
    case AGENT_TYPES.reset:
    case AGENT_TYPES.more:
      return decodeStreamMessage(type - AGENT_TYPES.data, channel, fields);
    default:
      throw new ProtocolError('frame', `No agent sends frames of type ${type}`);
  }
}

const SERVER_FIELDS: Fields<ServerMessage> = {
  welcome: ({ fence }) => [0, packJson({ version: VERSION, fence })],
  refused: ({ code, message }) => [0, packJson({ code, message })],
  open: ({ terminal, request }) => [terminal, packJson(request)],
  input: ({ terminal, offset, data }) => [terminal, pack([[offset, 8]], data)],
  resize: ({ terminal, columns, rows }) => [
    terminal,
    pack([
      [columns, 2],
      [rows, 2],
    ]),
  ],
  signal: ({ terminal, signal }) => [terminal, pack([[SIGNALS[signal], 1]])],
  close: ({ terminal }) => [terminal, NOTHING],
  attach: ({ attachment, terminal, after, creditBytes }) => {
    return [
      attachment,
      pack([
        [terminal, 4],
        [after, 8],
        [creditBytes, 4],
      ]),
    ];
  },
  credit: ({ attachment, bytes }) => [attachment, pack([[bytes, 4]])],
  detach: ({ attachment }) => [attachment, NOTHING],
  'kill-all': ({ request }) => [request, NOTHING],
  count: ({ request }) => [request, NOTHING],
  spawn: ({ stream, request }) => [stream, packJson(request)],
  connect: ({ stream, port }) => [stream, pack([[port, 2]])],
  kill: ({ stream, signal }) => [stream, pack([[SIGNALS[signal], 1]])],
  ...STREAM_FIELDS,
};

/** The frame of a message from a server. */
export function encodeServerMessage(message: ServerMessage): Uint8Array {
  const fieldsOf = SERVER_FIELDS[message.type] as (message: ServerMessage) => [number, Uint8Array];
  const [channel, payload] = fieldsOf(message);
  return encodeFrame({ type: SERVER_TYPES[message.type], channel, payload });
}

/** What a server said; throws as `decodeAgentMessage`, and `version` when it welcomes in another version. */
export function decodeServerMessage({ type, channel, payload }: Frame): ServerMessage {
  const fields = new PayloadReader(payload);
  switch (type) {
    case SERVER_TYPES.welcome: {
      isZero(channel);
      const { version, fence } = parseJson(payload, welcomeShape);
      if (version !== VERSION) throw new ProtocolError('version', `The server speaks version ${version}`);
      return { type: 'welcome', fence };
    }
    case SERVER_TYPES.refused:
      isZero(channel);
      return { type: 'refused', ...parseJson(payload, refusedShape) };
    case SERVER_TYPES.open:
      if (channel === 0) throw wrong('No terminal has the number 0');
      return { type: 'open', terminal: channel, request: parseJson(payload, openShape) };
    case SERVER_TYPES.input:
      return { type: 'input', terminal: channel, offset: fields.u64(), data: fields.rest(1, chunkBytes) };
    case SERVER_TYPES.resize:
      return last(fields, { type: 'resize', terminal: channel, ...unpackSize(fields) });
    case SERVER_TYPES.signal:
      return last(fields, { type: 'signal', terminal: channel, signal: nameOf<SignalName>(SIGNALS, fields.u8()) });
    case SERVER_TYPES.close:
      fields.end();
      return { type: 'close', terminal: channel };
    case SERVER_TYPES.attach:
      return last(fields, {
        type: 'attach',
        attachment: channel,
        terminal: fields.u32(),
        after: fields.u64(),
        creditBytes: fields.u32(),
      });
    case SERVER_TYPES.credit:
      return last(fields, { type: 'credit', attachment: channel, bytes: fields.u32() });
    case SERVER_TYPES.detach:
      fields.end();
      return { type: 'detach', attachment: channel };
    case SERVER_TYPES['kill-all']:
      fields.end();
      return { type: 'kill-all', request: channel };
    case SERVER_TYPES.count:
      fields.end();
      return { type: 'count', request: channel };
    case SERVER_TYPES.spawn:
      return { type: 'spawn', stream: channel, request: parseJson(payload, spawnShape) };
    case SERVER_TYPES.connect:
      return last(fields, { type: 'connect', stream: channel, port: fields.u16() });
    case SERVER_TYPES.kill:
      return last(fields, { type: 'kill', stream: channel, signal: nameOf<SignalName>(SIGNALS, fields.u8()) });
    case SERVER_TYPES.data:
    case SERVER_TYPES.finish:
    case SERVER_TYPES.reset:
    case SERVER_TYPES.more:
      return decodeStreamMessage(type - SERVER_TYPES.data, channel, fields);
    default:
      throw new ProtocolError('frame', `No server sends frames of type ${type}`);
  }
}

/** Both directions have these four in the same order. */
function decodeStreamMessage(kind: number, stream: number, fields: PayloadReader): StreamMessage {
  switch (kind) {
    case 0:
      return { type: 'data', stream, data: fields.rest(1, chunkBytes) };
    case 1:
      return last(fields, { type: 'finish', stream });
    case 2:
      return last(fields, { type: 'reset', stream });
    default:
      return last(fields, { type: 'more', stream, bytes: fields.u32() });
  }
}

type WithExit = { seq: number; exit: Exit };

const packExit = ({ seq, exit }: WithExit): Uint8Array =>
  pack([
    [seq, 8],
    [exit.code, 1],
    [exit.signal, 1],
  ]);

const unpackExit = (fields: PayloadReader): WithExit => last(fields, { seq: fields.u64(), exit: unpackHow(fields) });

const unpackHow = (fields: PayloadReader): Exit => ({ code: fields.u8(), signal: fields.u8() });

function unpackSize(fields: PayloadReader): Size {
  const size = { columns: fields.u16(), rows: fields.u16() };
  return sizeShape(size, 'the size');
}

function nameOf<T extends string>(numbers: Record<T, number>, number: number): T {
  const found = Object.entries(numbers).find(([, value]) => value === number);
  if (!found) throw wrong(`Nothing has the number ${number}`);
  return found[0] as T;
}

/** The message, whose last field has been read. */
function last<T>(fields: PayloadReader, message: T): T {
  fields.end();
  return message;
}

function isZero(channel: number): void {
  if (channel !== 0) throw wrong('A channel where there is none');
}
