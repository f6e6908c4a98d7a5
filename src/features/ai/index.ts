/** Assistants in chats: prompts, streams that everyone in the chat sees, and the way back to them after a disconnect. */
import type { Connection } from 'mongoose';
import type { Leases, Nodes } from '../../cluster/lease.ts';
import type { StreamLog } from '../../cluster/stream-log.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import type { Handlers, Rooms } from '../../protocol/index.ts';
import type { ChatService } from '../chat/index.ts';
import { systemClock, type Clock } from './clock.ts';
import type { aiContract, aiEvents } from './contract.ts';
import { createAiHandlers } from './handlers.ts';
import { StreamStore, type ModelUsage } from './model.ts';
import type { AiProvider } from './provider.ts';
import { Recovery } from './recovery.ts';
import { RunningStreams } from './running-streams.ts';
import { createEnding } from './stream-ending.ts';
import { StreamReader, type StreamEvent } from './stream-reader.ts';

export { createProvider, type ProviderSettings } from './create-provider.ts';
export type { ModelUsage } from './model.ts';
export type { AiProvider } from './provider.ts';
export type { StreamEvent } from './stream-reader.ts';

export interface AiDeps {
  connection: Connection;
  chat: Pick<ChatService, 'createAssistantChat' | 'history' | 'messageById' | 'post' | 'requireMember'>;
  rooms: Pick<Rooms<typeof aiEvents>, 'emit' | 'size'>;
  streamLog: StreamLog;
  nodes: Nodes;
  leases: Leases;
  provider: AiProvider;
  audit: Audit;
  log: Log;
  /** Names of users by their ids; unknown ones are left out. */
  nameOf: (userIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  clock?: Clock;
  /** The longest answer in UTF-16 units; `LIMITS.streamChars` if not given. */
  maxChars?: number;
}

export interface Ai {
  handlers: Handlers<typeof aiContract>;
  /** What the answers that ended within the time have used, by model. */
  usage(from: Date, to: Date): Promise<ModelUsage[]>;
  /** The streams under way in a chat, for whoever opens it. */
  running(chatId: string): Promise<{ streamId: string; messageId: string; offset: number }[]>;
  /**
   * A stream as server-sent events: `started` (from offset 0 only), the rest of its text from `offset` on as `delta`s,
   * then `finished` or `failed`, and the end. The first step throws `Fault('not_found')` to whoever is not in its chat;
   * an abort of the signal ends it silently.
   */
  watch(streamId: string, userId: string, offset: number, signal: AbortSignal): AsyncIterable<StreamEvent>;
  /** Removes what is kept of the streams of a chat that is gone. */
  forgetChat(chatId: string): Promise<void>;
  /** Ends the streams of dead nodes, and goes on doing so until `close`. Rejects only if the first look fails. */
  recover(): Promise<void>;
  /** Ends all streams of this node as interrupted, with their text stored. Call it before the chats are closed. */
  close(): Promise<void>;
}

export function createAi(deps: AiDeps): Ai {
  const { chat, rooms, streamLog, nodes, leases, provider, audit, log, nameOf, clock = systemClock } = deps;
  const streams = new StreamStore(deps.connection, clock.now);
  const end = createEnding({ chat, streams, streamLog, rooms, log, clock });
  const { maxChars } = deps;
  const running = new RunningStreams(streams, {
    provider,
    rooms,
    streamLog,
    end,
    log,
    clock,
    ...(maxChars === undefined ? {} : { maxChars }),
  });
  const reader = new StreamReader({ streams, running, streamLog, chat, clock });
  const recovery = new Recovery({ streams, running, streamLog, nodes, leases, end, log, clock });
  const { model } = provider;

  return {
    handlers: createAiHandlers({ chat, streams, running, reader, audit, nameOf, nodeId: nodes.id, model }),
    usage: (from, to) => streams.usage(from, to),
    async running(chatId) {
      const rows = await streams.running(chatId);
      return Promise.all(
        rows.map(async ({ streamId, messageId }) => ({ streamId, messageId, offset: await reader.lengthOf(streamId) })),
      );
    },
    watch: (streamId, userId, offset, signal) => reader.watch(streamId, userId, offset, signal),
    forgetChat: (chatId) => streams.removeOf(chatId),
    recover: () => recovery.start(),
    async close() {
      await recovery.close();
      await running.close();
    },
  };
}
