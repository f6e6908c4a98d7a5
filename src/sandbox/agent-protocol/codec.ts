/** Messages to bytes and, strictly, back. */
import { pack, packJson, parseJson, PayloadReader, wrong } from './fields.ts';
import { encodeFrame, type Frame } from './frame.ts';
import { AGENT_LIMITS } from './limits.ts';
import { SIGNALS, VERSION, type AgentMessage, type ServerMessage, type SignalName, type Size } from './messages.ts';
import { ProtocolError } from './protocol-error.ts';
import { failedShape, helloShape, openShape, refusedShape, sizeShape, welcomeShape } from './shapes.ts';

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
} as const satisfies Record<ServerMessage['type'], number>;

const NOTHING = new Uint8Array(0);
const { chunkBytes } = AGENT_LIMITS;

/** For each message the frame's channel and payload. */
type Fields<M extends { type: string }> = {
  [T in M['type']]: (message: Extract<M, { type: T }>) => [channel: number, payload: Uint8Array];
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
      return last(fields, { type: 'signal', terminal: channel, signal: signalOf(fields.u8()) });
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
    default:
      throw new ProtocolError('frame', `No server sends frames of type ${type}`);
  }
}

type WithExit = { seq: number; exit: { code: number; signal: number } };

const packExit = ({ seq, exit }: WithExit): Uint8Array =>
  pack([
    [seq, 8],
    [exit.code, 1],
    [exit.signal, 1],
  ]);

const unpackExit = (fields: PayloadReader): WithExit =>
  last(fields, { seq: fields.u64(), exit: { code: fields.u8(), signal: fields.u8() } });

function unpackSize(fields: PayloadReader): Size {
  const size = { columns: fields.u16(), rows: fields.u16() };
  return sizeShape(size, 'the size');
}

function signalOf(number: number): SignalName {
  const found = Object.entries(SIGNALS).find(([, value]) => value === number);
  if (!found) throw wrong(`Signal ${number}`);
  return found[0] as SignalName;
}

/** The message, whose last field has been read. */
function last<T>(fields: PayloadReader, message: T): T {
  fields.end();
  return message;
}

function isZero(channel: number): void {
  if (channel !== 0) throw wrong('A channel where there is none');
}
