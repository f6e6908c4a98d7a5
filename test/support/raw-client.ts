/** A Socket.IO client on a bare TCP connection, so that it can stop reading: what it does not read fills the server. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawClient extends Disposable {
  /** Text packets of Socket.IO without engine.io's mark, in order; binary ones as their length. */
  readonly packets: (string | number)[];
  /** Every event with its object. */
  events(): [name: string, data: unknown][];
  emit(name: string, data: unknown, ackId?: number): void;
  /** The answer to an operation sent with `ackId`. */
  answer(ackId: number): { ok: boolean; data?: unknown; error?: { code: string } } | undefined;
  stopReading(): void;
  readOn(): void;
  readonly closed: boolean;
}

/** Resolves once it is connected, with a token once `hello` has come. */
export async function connectRaw(url: string, token?: string): Promise<RawClient> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let closed = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    closed = true;
  });
  await once(socket, 'connect');
  socket.write(
    [
      'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
      `Host: ${hostname}:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      '\r\n',
    ].join('\r\n'),
  );
  const packets: (string | number)[] = [];
  const send = (text: string): void => void socket.write(maskedTextFrame(text));
  let ready = (): void => {};
  const opened = new Promise<void>((resolve, reject) => {
    ready = resolve;
    socket.once('close', () => reject(new Error('It was closed')));
  });
  readFrames(socket, (text, sizeBytes) => {
    if (text === undefined) packets.push(sizeBytes);
    else if (text === '2') send('3');
    else if (text.startsWith('0')) send(token === undefined ? '40' : `40${JSON.stringify({ token })}`);
    else if (text.startsWith('4')) {
      packets.push(text.slice(1));
      if (text.startsWith(token === undefined ? '40' : '42["hello"')) ready();
    }
  });
  await opened;
  return {
    packets,
    events: () =>
      packets.flatMap((packet) => {
        const [, json] = typeof packet === 'string' ? (/^(?:2|5\d+-)(\[.*)$/s.exec(packet) ?? []) : [];
        return json === undefined ? [] : [JSON.parse(json) as [string, unknown]];
      }),
    emit: (name, data, ackId) => send(`42${ackId ?? ''}${JSON.stringify([name, data])}`),
    answer(ackId) {
      const found = packets.find((packet) => typeof packet === 'string' && packet.startsWith(`3${ackId}[`));
      return found === undefined ? undefined : JSON.parse(String(found).slice(1 + String(ackId).length))[0];
    },
    stopReading: () => void socket.pause(),
    readOn: () => void socket.resume(),
    get closed() {
      return closed;
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** Gives every frame: its text, or undefined for a binary one, and its size. */
function readFrames(socket: Socket, onFrame: (text: string | undefined, sizeBytes: number) => void): void {
  let chunks: Buffer[] = [];
  let length = 0;
  let needed = 0;
  let upgraded = false;
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length < needed) return;
    let rest = Buffer.concat(chunks);
    if (!upgraded) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      upgraded = true;
      rest = rest.subarray(end + 4);
    }
    for (;;) {
      const frame = frameAt(rest);
      needed = frame?.end ?? 2;
      if (!frame || rest.length < frame.end) break;
      const payload = rest.subarray(frame.start, frame.end);
      onFrame(frame.text ? payload.toString() : undefined, payload.length);
      rest = rest.subarray(frame.end);
    }
    chunks = [rest];
    length = rest.length;
  });
}

function frameAt(bytes: Buffer): { text: boolean; start: number; end: number } | undefined {
  const [first, second] = bytes;
  if (first === undefined || second === undefined) return undefined;
  const text = (first & 0x0f) === 1;
  if (second < 126) return { text, start: 2, end: 2 + second };
  if (bytes.length < 10) return undefined;
  if (second === 126) return { text, start: 4, end: 4 + bytes.readUInt16BE(2) };
  return { text, start: 10, end: 10 + Number(bytes.readBigUInt64BE(2)) };
}

function maskedTextFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(payload.length < 126 ? 6 : 8);
  header[0] = 0x81;
  if (payload.length < 126) header[1] = 0x80 | payload.length;
  else {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(payload.length, 2);
  }
  // The mask is all zeros, which leaves the payload as it is.
  return Buffer.concat([header, payload]);
}
