/** What a room's sockets get at once: events that were encoded once, and their frames joined into one buffer. */
import { LIMITS, type Packet } from '../protocol/index.ts';
import type { EngineSocket, Part } from './engine.ts';
import { binaryFrame, textFrame } from './websocket-frame.ts';

/** One event for a room. */
export interface RoomEvent {
  room: string;
  packet: Packet;
  frames: readonly Buffer[];
  sizeBytes: number;
  except: readonly string[] | undefined;
  latest: string | undefined;
}

export function roomEvent(
  room: string,
  packet: Packet,
  { except, latest }: { except?: readonly string[]; latest?: string } = {},
): RoomEvent {
  const frames = packet.map(frameOf);
  return { room, packet, frames, sizeBytes: sizeOf(frames), except, latest };
}

export class Batch implements Part {
  readonly events: readonly RoomEvent[];
  /** The frames of all events. */
  readonly bytes: Buffer;
  /** Whether one of the events is so large that it has to wait for an empty queue. */
  readonly large: boolean;
  /** Whether some of the events replace others. */
  readonly replaceable: boolean;
  #lasting: Batch | undefined;
  #parts: readonly Batch[] | undefined;

  constructor(events: readonly RoomEvent[]) {
    const [only] = events;
    const frames = events.length === 1 && only ? only.frames : events.flatMap((event) => event.frames);
    this.events = events;
    this.bytes = frames.length === 1 && frames[0] ? frames[0] : Buffer.concat(frames);
    this.large = this.bytes.length > LIMITS.outboundLargeBytes && events.some(isLarge);
    this.replaceable = events.some(({ latest }) => latest !== undefined);
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  /** The events that nothing replaces, joined once for all sockets that are behind. */
  get lasting(): Batch {
    this.#lasting ??= this.replaceable ? new Batch(this.events.filter(({ latest }) => latest === undefined)) : this;
    return this.#lasting;
  }

  /** In order: each large event alone, the others as they stand together. */
  get parts(): readonly Batch[] {
    this.#parts ??= this.large && this.events.length > 1 ? split(this.events) : [this];
    return this.#parts;
  }

  send(conn: EngineSocket, done?: () => void): void {
    if (conn.transport.socket) {
      conn.send('', { wsPreEncodedFrame: [this.bytes] }, done);
      return;
    }
    const parts = this.events.flatMap(({ packet }) => packet);
    for (const [at, part] of parts.entries()) {
      const data = typeof part === 'string' ? part : Buffer.from(part.buffer, part.byteOffset, part.byteLength);
      conn.send(data, {}, at === parts.length - 1 ? done : undefined);
    }
  }
}

const isLarge = ({ sizeBytes }: RoomEvent): boolean => sizeBytes > LIMITS.outboundLargeBytes;

function split(events: readonly RoomEvent[]): Batch[] {
  const parts: RoomEvent[][] = [];
  for (const event of events) {
    const last = parts.at(-1);
    if (last?.[0] && !isLarge(event) && !isLarge(last[0])) last.push(event);
    else parts.push([event]);
  }
  return parts.map((part) => new Batch(part));
}

/** engine.io marks a text packet as a message by the leading 4; binary ones are messages by their opcode. */
const frameOf = (part: string | Uint8Array): Buffer =>
  typeof part === 'string' ? textFrame(`4${part}`) : binaryFrame(part);

const sizeOf = (frames: readonly Buffer[]): number => {
  let bytes = 0;
  for (const frame of frames) bytes += frame.length;
  return bytes;
};
