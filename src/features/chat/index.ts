/** Chats: one durable order for each, told live to every member, resumable from any position. */
import type { Connection } from 'mongoose';
import { ALL_NODES, type Bus } from '../../cluster/bus.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { chatRoom, userRoom, type Handlers, type Rooms } from '../../protocol/index.ts';
import { Activity } from './activity.ts';
import { ChatLog } from './chat-log.ts';
import { createChatService, type ChatOpened, type ChatService } from './chat-service.ts';
import type { chatContract, chatEvents } from './contract.ts';
import { createChatHandlers, newestChats, type RunningStream } from './handlers.ts';
import { Memberships } from './memberships.ts';
import { createChatModels } from './model.ts';
import { Sequencer } from './sequencer.ts';
import { Typing } from './typing.ts';

export type { ChatService, NewMessage } from './chat-service.ts';
export { derivedId } from './chat-service.ts';

export interface ChatDeps {
  connection: Connection;
  rooms: Rooms<typeof chatEvents>;
  bus: Bus;
  audit: Audit;
  log: Log;
  now: () => number;
  existingUsers: (userIds: readonly string[]) => Promise<readonly string[]>;
}

export interface ChatFeature {
  service: ChatService;
  handlers(deps: { runningStreams: (chatId: string) => Promise<RunningStream[]> }): Handlers<typeof chatContract>;
  /** Lets a new socket into its user's rooms; resolves when nothing in them can be missed. */
  connected(connection: { id: string; userId: string }): Promise<void>;
  disconnected(connection: { id: string }): void;
  /** Which of the users share a chat with `userId`. */
  sharing(userId: string, otherIds: readonly string[]): Promise<Set<string>>;
  /** Appends that wait for their durable write. */
  queuedAppends(): number;
  close(): Promise<void>;
}

export function createChat(deps: ChatDeps): ChatFeature {
  const { connection, rooms, bus, audit, log, now } = deps;
  const models = createChatModels(connection);
  const memberships = new Memberships(models.memberships);
  const activity = new Activity(models, log);
  const typing = new Typing(rooms, now);
  const sequencer: Sequencer = new Sequencer(() => chatLog, { rooms, log });
  const chatLog = new ChatLog({
    entries: models.entries,
    now,
    onCommitted(entries) {
      sequencer.accept(entries);
      for (const entry of entries) activity.note(entry);
    },
  });
  const service = createChatService({
    models,
    log: chatLog,
    memberships,
    activity,
    typing,
    rooms,
    bus,
    audit,
    existingUsers: deps.existingUsers,
    now,
  });

  const unsubscribe = bus.subscribe(ALL_NODES, (data) => {
    const notice = data as Partial<ChatOpened>;
    if (notice.type !== 'chat:opened' || !notice.chatId || !notice.userIds) return;
    const { chatId } = notice;
    // Sockets are in their user's room from their first moment, so none is missed while it still loads its memberships.
    for (const userId of notice.userIds) rooms.join({ room: userRoom(userId) }, chatRoom(chatId));
    // The chat is new: everything in it belongs to the live events, also what was written before this notice came.
    if (rooms.has(chatRoom(chatId))) sequencer.openAt(chatId, 0);
  });

  // Notices may have been lost while the bus was away; the log has what they told of.
  const forgetReady = bus.onReady(() => {
    sequencer.compare().catch((error: unknown) => log.warn('positions could not be compared', { error }));
  });

  return {
    service,
    handlers: ({ runningStreams }) =>
      createChatHandlers({
        service,
        models,
        log: chatLog,
        memberships,
        sequencer,
        typing,
        rooms,
        runningStreams,
      }),
    async connected({ id, userId }) {
      const chats = (await newestChats({ memberships, models }, userId)).map((chatId) => chatId.toHexString());
      for (const chatId of chats) rooms.join({ connectionId: id }, chatRoom(chatId));
      await Promise.all(chats.map((chatId) => sequencer.open(chatId)));
    },
    disconnected: ({ id }) => typing.disconnected(id),
    sharing: (userId, otherIds) => memberships.sharing(userId, otherIds),
    queuedAppends: () => chatLog.queued,
    async close() {
      unsubscribe();
      forgetReady();
      typing.close();
      await chatLog.drain();
      sequencer.close();
      await activity.flush();
    },
  };
}
