/** All chat operations, from the parts that know them. */
import type { Types } from 'mongoose';
import type { Sequencer } from '../../cluster/sequencer.ts';
import type { Handlers, Rooms } from '../../protocol/index.ts';
import type { ChatEvents } from './chat-events.ts';
import { createChatHandlers } from './chat-handlers.ts';
import type { ChatLifecycle } from './chat-lifecycle.ts';
import type { ChatLog } from './chat-log.ts';
import type { ChatService } from './chat-service.ts';
import type { chatContract, chatEvents } from './contract.ts';
import type { ViewAttachment } from './entry.ts';
import type { MemberChanges } from './member-changes.ts';
import type { Memberships } from './memberships.ts';
import type { MessageChanges } from './message-changes.ts';
import { createMessageHandlers } from './message-handlers.ts';
import type { ChatModels } from './model.ts';
import type { ProjectChats } from './project-chats.ts';
import type { Receipts } from './receipts.ts';
import type { Typing } from './typing.ts';
import type { Views } from './views.ts';

export interface RunningStream {
  streamId: string;
  messageId: string;
  offset: number;
}

export interface ChatHandlerDeps {
  service: ChatService;
  models: ChatModels;
  log: ChatLog;
  memberships: Memberships;
  members: MemberChanges;
  lifecycle: ChatLifecycle;
  changes: MessageChanges;
  projectChats: ProjectChats;
  events: ChatEvents;
  receipts: Receipts;
  views: Views;
  sequencer: Pick<Sequencer<unknown>, 'entering' | 'open' | 'openAt' | 'compare'>;
  typing: Typing;
  rooms: Rooms<typeof chatEvents>;
  viewAttachment: ViewAttachment;
  /** The user's newest chats, at most `limit` (as many as a socket joins by itself). */
  newestChats: (userId: string, limit?: number) => Promise<Types.ObjectId[]>;
  /** Everybody who has blocked the user or is blocked by them. */
  blockedWith: (userId: string) => Promise<ReadonlySet<string>>;
  /** The assistant streams under way in a chat. */
  runningStreams: (chatId: string) => Promise<RunningStream[]>;
}

export const createHandlers = (deps: ChatHandlerDeps): Handlers<typeof chatContract> => ({
  ...createChatHandlers(deps),
  ...createMessageHandlers(deps),
});
