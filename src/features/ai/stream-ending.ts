/**
 * The end of a stream, whoever brings it about: its message into the chat, its row closed, its event emitted.
 * Two nodes may try (one that was thought dead comes back): the message's id and the row's status let one of them win.
 */
import type { Log } from '../../observability/log.ts';
import { chatRoom, Fault, type Rooms } from '../../protocol/index.ts';
import type { StreamLog } from '../../cluster/stream-log.ts';
import type { Message } from '../chat/contract.ts';
import type { ChatService } from '../chat/index.ts';
import type { Clock } from './clock.ts';
import { StopReason, type aiEvents, type Usage } from './contract.ts';
import type { Outcome, StreamRow, StreamStore } from './model.ts';

export interface EndingDeps {
  chat: Pick<ChatService, 'messageById' | 'post'>;
  streams: StreamStore;
  streamLog: StreamLog;
  rooms: Pick<Rooms<typeof aiEvents>, 'emit' | 'size'>;
  log: Log;
  clock: Clock;
}

export type EndStream = (row: EndingRow, text: string, usage: Usage, outcome: Outcome) => Promise<void>;
type EndingRow = Pick<StreamRow, 'streamId' | 'chatId' | 'messageId' | 'model'>;

/** Pauses between attempts to store an end, in milliseconds: a database that is replaced is back within them. */
const STORE_PAUSES = [250, 1_000, 2_500, 5_000];

/** Never rejects: an end that cannot be stored leaves its row running, and the next sweep ends it. */
export function createEnding({ chat, streams, streamLog, rooms, log, clock }: EndingDeps): EndStream {
  async function store(row: EndingRow, text: string, usage: Usage, wanted: Outcome): Promise<void> {
    const existing = await chat.messageById(row.chatId, row.messageId);
    const message = existing ?? (await post(row, text, wanted));
    const outcome = message ? outcomeIn(message, wanted) : wanted;
    const won = await streams.end(row.streamId, outcome, message?.content.length ?? 0, usage);
    if (won) announce(row, outcome, usage, message);
    // Only now: until its row is closed, readers look for the text in the log.
    streamLog.remove(row.streamId).catch((error: unknown) => {
      log.warn('A stream log was not removed; it will expire', { streamId: row.streamId, error });
    });
  }

  async function post(row: EndingRow, text: string, outcome: Outcome): Promise<Message | undefined> {
    const finished = outcome.status === 'finished';
    // A finished answer is a message even when it is empty; a broken one without text is nothing.
    if (text === '' && !finished) return undefined;
    const metadata = {
      streamId: row.streamId,
      model: row.model,
      ...(finished ? { stopReason: outcome.stopReason } : { incomplete: true }),
    };
    const { chatId, messageId: id } = row;
    try {
      return await chat.post({ id, chatId, sender: { type: 'assistant' }, content: text, metadata });
    } catch (error) {
      const first = await chat.messageById(chatId, id);
      if (first) return first;
      throw error;
    }
  }

  function announce(row: EndingRow, outcome: Outcome, usage: Usage, message: Message | undefined): void {
    const { streamId } = row;
    const room = chatRoom(row.chatId);
    if (outcome.status !== 'finished') rooms.emit(room, 'ai:failed', { streamId, ...outcome.failure });
    else if (message) rooms.emit(room, 'ai:finished', { streamId, message, usage, stopReason: outcome.stopReason });
  }

  return async (row, text, usage, outcome) => {
    for (const pause of [...STORE_PAUSES, undefined]) {
      try {
        await store(row, text, usage, outcome);
        return;
      } catch (error) {
        log.error('The end of a stream could not be stored', { streamId: row.streamId, chatId: row.chatId, error });
        if (pause === undefined) return;
        await new Promise<void>((resolve) => clock.after(pause, resolve));
      }
    }
  };
}

/** The stored message is what everyone will see: how it ended is how the stream ended. */
function outcomeIn(message: Message, wanted: Outcome): Outcome {
  const { incomplete, stopReason } = message.metadata;
  const complete = incomplete !== true && message.deletedAt === undefined;
  if (wanted.status === 'finished') return complete ? wanted : INTERRUPTED;
  return complete ? { status: 'finished', stopReason: StopReason.catch('end').parse(stopReason) } : wanted;
}

export const INTERRUPTED: Outcome = {
  status: 'interrupted',
  failure: { code: 'unavailable', message: 'The server that wrote this answer was stopped' },
};

/** What a failed stream answers to those who wait for it. */
export const faultOf = (row: StreamRow): Fault =>
  new Fault(row.failure?.code ?? 'unavailable', row.failure?.message ?? 'The answer was interrupted');
