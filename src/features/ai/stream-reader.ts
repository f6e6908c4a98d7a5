/**
 * What a stream has said so far, for whoever comes late: from the runner when it is here, from the stream log while it
 * runs elsewhere, from the stored message when it has ended.
 *
 * A running stream is read up to the end of a delta, never into one. So a client that takes the rest from here, drops
 * deltas below its new offset and appends the one at it misses nothing and doubles nothing; only if one lies above
 * (it was emitted by another node before the log was read) does it resume once more.
 */
import type { StreamLog } from '../../cluster/stream-log.ts';
import { Fault } from '../../protocol/index.ts';
import type { Message } from '../chat/contract.ts';
import type { ChatService } from '../chat/index.ts';
import { abortable, sleep, type Clock } from './clock.ts';
import type { EventData } from '../../protocol/index.ts';
import type { aiEvents } from './contract.ts';
import { pairSafe } from './delta-writer.ts';
import type { StreamRow, StreamStore } from './model.ts';
import type { RunningStreams } from './running-streams.ts';
import { faultOf } from './stream-ending.ts';

export interface ReaderDeps {
  streams: StreamStore;
  running: RunningStreams;
  streamLog: StreamLog;
  chat: Pick<ChatService, 'messageById' | 'requireMember'>;
  clock: Clock;
}

/** The text from `offset` on; `offset` may lie before the one asked for (the text is shorter, or it would split a pair). */
export interface Snapshot {
  text: string;
  offset: number;
  status: StreamRow['status'];
  /** Of a stream that has ended; not every failed one has a message. */
  message?: Message;
  /** Of a stream that has ended. */
  row?: StreamRow;
}

type Told<Name extends string, Event extends keyof typeof aiEvents> = {
  /**
   * `<streamId>:<offset>`: the position after this event, from which a reader goes on. The end of a stream is a position
   * of its own behind the text, so that whoever comes back with it has nothing left to hear.
   */
  id: string;
  event: Name;
  data: EventData<(typeof aiEvents)[Event]>;
};

/** One event of a stream as server-sent events carry it. */
export type StreamEvent =
  | Told<'started', 'ai:started'>
  | Told<'delta', 'ai:delta'>
  | Told<'finished', 'ai:finished'>
  | Told<'failed', 'ai:failed'>;

/** How often a stream of another node is looked at, in milliseconds. */
const POLL_MS = 250;
/** How often a watcher's membership is looked at again, in milliseconds. */
const MEMBERSHIP_MS = 5_000;

export class StreamReader {
  readonly #deps: ReaderDeps;

  constructor(deps: ReaderDeps) {
    this.#deps = deps;
  }

  /** The row of a stream that the user may read, else `not_found`. */
  async require(streamId: string, userId: string): Promise<StreamRow> {
    const row = await this.#find(streamId);
    await this.#requireMember(row, userId);
    return row;
  }

  /** What there is from `offset` on. The caller has asked `require` before. */
  async read(streamId: string, offset: number): Promise<Snapshot> {
    const { running, streamLog, chat } = this.#deps;
    const runner = running.get(streamId);
    if (runner) return { ...sliceFrom(runner.text, offset), status: 'running' };

    const row = await this.#find(streamId);
    if (row.status !== 'running') {
      const message = await chat.messageById(row.chatId, row.messageId);
      const rest = sliceFrom(message?.content ?? '', offset);
      return { ...rest, status: row.status, row, ...(message ? { message } : {}) };
    }
    // Out of reach is as if nothing were kept: who reads on has the rest when it is back.
    const kept = await streamLog.read(streamId, 0).catch((error: unknown) => {
      if (!(error instanceof Fault)) throw error;
      return undefined;
    });
    return {
      ...(kept ? sliceFrom(kept.text, offset - kept.offset, kept.offset) : { text: '', offset }),
      status: 'running',
    };
  }

  /** The length of a running stream's text. */
  async lengthOf(streamId: string): Promise<number> {
    const { text, offset } = await this.read(streamId, 0);
    return offset + text.length;
  }

  /** The stream as events from `offset` on, until it has ended or the signal aborts. Throws `not_found` at once. */
  async *watch(streamId: string, userId: string, offset: number, signal: AbortSignal): AsyncGenerator<StreamEvent> {
    const { clock, running } = this.#deps;
    const { chatId, messageId } = await this.require(streamId, userId);
    let checkedAt = clock.now();
    let position = offset;
    if (offset === 0) yield { id: `${streamId}:0`, event: 'started', data: { streamId, messageId, chatId } };
    while (!signal.aborted) {
      // Asked before reading, so that nothing can happen unseen in between.
      const changed = running.get(streamId)?.changed();
      const { text, offset: start, row, message } = await this.read(streamId, position);
      if (text !== '') {
        position = start + text.length;
        yield { id: `${streamId}:${position}`, event: 'delta', data: { streamId, offset: start, text } };
      }
      if (row) {
        const end = (message?.content.length ?? 0) + 1;
        if (position !== end) yield endOf(row, message, `${streamId}:${end}`);
        return;
      }
      if (clock.now() - checkedAt >= MEMBERSHIP_MS) {
        await this.require(streamId, userId);
        checkedAt = clock.now();
      }
      await this.#next(changed, signal).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
  }

  /** Resolves with how a stream ended; rejects with the fault of one that failed, or with the signal's reason. */
  async ended(streamId: string, signal: AbortSignal): Promise<{ row: StreamRow; message: Message }> {
    for (;;) {
      const runner = this.#deps.running.get(streamId);
      if (runner) await abortable(runner.done, signal);
      const { row, message } = await this.read(streamId, 0);
      if (row?.status === 'finished' && message) return { row, message };
      if (row) throw faultOf(row);
      await sleep(this.#deps.clock, POLL_MS, signal);
    }
  }

  #next(changed: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
    return changed ? abortable(changed, signal) : sleep(this.#deps.clock, POLL_MS, signal);
  }

  async #find(streamId: string): Promise<StreamRow> {
    const row = await this.#deps.streams.find(streamId);
    if (!row) throw unknownStream();
    return row;
  }

  async #requireMember(row: StreamRow, userId: string): Promise<void> {
    await this.#deps.chat.requireMember(row.chatId, userId).catch((error: unknown) => {
      // Nobody learns from the answer that the stream exists.
      throw error instanceof Fault && error.code === 'not_found' ? unknownStream() : error;
    });
  }
}

const unknownStream = (): Fault => new Fault('not_found', 'There is no such stream');

/** `text` begins at `base`; the slice begins at `base + from` or as near to it as can be. */
function sliceFrom(text: string, from: number, base = 0): { text: string; offset: number } {
  const start = pairSafe(text, Math.max(0, Math.min(from, text.length)));
  return { text: text.slice(start), offset: base + start };
}

function endOf(row: StreamRow, message: Message | undefined, id: string): StreamEvent {
  const { streamId, usage, stopReason } = row;
  if (row.status === 'finished' && message) {
    return { id, event: 'finished', data: { streamId, message, usage, stopReason: stopReason ?? 'end' } };
  }
  const failure = row.failure ?? { code: 'unavailable', message: 'The answer is not kept any more' };
  return { id, event: 'failed', data: { streamId, ...failure } };
}
