/** Chats: one durable order for each, told live to every member on every node, resumable from any position. */
import { Types, type Connection } from 'mongoose';
import type { Router } from 'express';
import type { Bus } from '../../cluster/bus.ts';
import type { Jobs } from '../../cluster/job.ts';
import { Sequencer } from '../../cluster/sequencer.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { chatRoom, LIMITS, userRoom, type Handlers, type Packet, type Rooms } from '../../protocol/index.ts';
import { Activity } from './activity.ts';
import { ChatEvents, type Told } from './chat-events.ts';
import { ChatLifecycle } from './chat-lifecycle.ts';
import { ChatLog } from './chat-log.ts';
import { createChatService, type AttachmentPort, type ChatService } from './chat-service.ts';
import type { chatContract, chatEvents } from './contract.ts';
import { isMessage, toMessage } from './entry.ts';
import type { Place } from './cursor.ts';
import { createHandlers, type RunningStream } from './handlers.ts';
import { createExportRoutes, type RouteTools } from './export-routes.ts';
import { LiveRooms } from './live-rooms.ts';
import { MemberChanges } from './member-changes.ts';
import { Memberships } from './memberships.ts';
import { MessageChanges } from './message-changes.ts';
import { createChatModels, type ChatRecord, type MembershipRecord, type MessageEntry } from './model.ts';
import { PrivateChats, type BlockedBetween } from './private-chats.ts';
import { ProjectChats, type ProjectsOfChats } from './project-chats.ts';
import { Receipts } from './receipts.ts';
import type { Message } from './shapes.ts';
import { Typing } from './typing.ts';
import { ChatUpkeep } from './upkeep.ts';
import { Views } from './views.ts';

export { CHAT_BACKUP, unsettleChats } from './backup.ts';
export type { AttachmentPort, ChatService, NewMessage } from './chat-service.ts';
export type { ChatUpkeep } from './upkeep.ts';
export { abovePlace, belowPlace, parseCursor, toCursor, type Place } from './cursor.ts';
export { derivedId } from './derived-id.ts';
export type { AttachmentInfo, ChatRecord, EntryRecord, MembershipRecord, MessageEntry } from './model.ts';
export { asMembersChanged, type MembersChanged } from './notices.ts';
export type { ProjectsOfChats, ProjectStanding } from './project-chats.ts';

export interface ChatDeps {
  connection: Connection;
  rooms: Rooms<typeof chatEvents>;
  bus: Bus;
  audit: Audit;
  log: Log;
  now: () => number;
  existingUsers: (userIds: readonly string[]) => Promise<readonly string[]>;
  /** Names of users, by id; who does not exist is left out. */
  nameOf: (userIds: readonly string[]) => Promise<Map<string, string>>;
  /** `blocks`: who has blocked whom. */
  blocks: {
    between: BlockedBetween;
    of: (userId: string) => Promise<ReadonlySet<string>>;
  };
  attachments: AttachmentPort;
  projects: ProjectsOfChats;
  jobs: Pick<Jobs, 'enqueue' | 'handle'>;
  /** A message became durable on this node. */
  onPosted?: (posted: { chatId: string; message: Message }) => void;
}

export interface ChatFeature {
  service: ChatService;
  upkeep: ChatUpkeep;
  /** How the chats of a project follow it. */
  ofProject: Pick<ProjectChats, 'expect' | 'follow'>;
  /** The export of a chat, which no operation can be. */
  routes: (tools: RouteTools) => Router;
  handlers(deps: { runningStreams: (chatId: string) => Promise<RunningStream[]> }): Handlers<typeof chatContract>;
  /** Lets a new socket into its user's rooms; resolves when nothing in them can be missed. */
  connected(connection: { id: string; userId: string }): Promise<void>;
  disconnected(connection: { id: string }): void;
  /** Which of the users share a chat with `userId`. */
  sharing(userId: string, otherIds: readonly string[]): Promise<Set<string>>;
  /** Called on every node with users who are no longer in some chat, possibly more than once. Returns how to stop. */
  onLeft(listener: (userIds: readonly string[]) => void): () => void;
  /** What a chat is, whoever asks; undefined when there is none. */
  about(chatId: string): Promise<ChatRecord | undefined>;
  /** A page of a chat's members, longest-standing first. */
  membersPage(chatId: string, limit: number, after?: Place): Promise<MembershipRecord[]>;
  /** Those of the users who are, or once were, in the chat. */
  membersAmong(chatId: string, userIds: readonly string[]): Promise<MembershipRecord[]>;
  /** Makes a tombstone of any message, on behalf of the whole server. False when there is no such message. */
  moderate(target: { chatId: string; messageId: string; userId: string }): Promise<boolean>;
  /** Appends that wait for their durable write. */
  queuedAppends(): number;
  /** Positions are compared with the log now: something may not have been heard of. */
  compare(): Promise<void>;
  /** Ends what a node that died has left half done. */
  recover(): Promise<void>;
  close(): Promise<void>;
}

export function createChat(deps: ChatDeps): ChatFeature {
  const { connection, rooms, bus, audit, log, now, attachments, blocks } = deps;
  const models = createChatModels(connection);
  const memberships = new Memberships(models.memberships, now);
  const activity = new Activity(models, log);
  const typing = new Typing(rooms, now);
  const chatLog = new ChatLog({ entries: models.entries, now, onCommitted });
  const viewAttachment = attachments.view;
  const events: ChatEvents = new ChatEvents({
    log: chatLog,
    rooms,
    viewAttachment,
    onMembers: (entry) => members.settle(entry),
  });
  const sequencer = new Sequencer<Packet | undefined>({
    head: async (chatId) => (await chatLog.head(new Types.ObjectId(chatId))).rev,
    async after(chatId, rev) {
      const missed = await chatLog.after(new Types.ObjectId(chatId), rev, LIMITS.syncMax);
      return (await events.of(missed)).map(({ rev: at, packet }) => ({ rev: at, entry: packet }));
    },
    deliver(chatId, _rev, packet) {
      if (packet) rooms.deliver(chatRoom(chatId), packet);
    },
    isWanted: (chatId) => rooms.has(chatRoom(chatId)),
    listening: (chatId) => rooms.listening(chatRoom(chatId)),
    log,
  });
  const members: MemberChanges = new MemberChanges({
    models,
    log: chatLog,
    memberships,
    bus,
    existingUsers: deps.existingUsers,
    onApplied: (entry) => tell(entry.chatId, events.members(entry)),
  });
  const changes = new MessageChanges({
    log: chatLog,
    events,
    memberships,
    recheck: (chatId, userId) => members.assertMember(chatId, userId),
    onChanged(change, message) {
      tell(change.chatId, events.changed(change, message));
      if (change.kind === 'delete') release(message);
    },
  });
  const views = new Views({ models, log: chatLog, memberships, activity, viewAttachment });
  const lifecycle: ChatLifecycle = new ChatLifecycle({
    models,
    memberships,
    bus,
    audit,
    now,
    alignClosed: (record) => projectChats.alignClosed(record),
  });
  const projectChats: ProjectChats = new ProjectChats({
    models,
    log: chatLog,
    memberships,
    members,
    lifecycle,
    projects: deps.projects,
    jobs: deps.jobs,
    now,
  });
  const receipts = new Receipts({ models, log: chatLog, memberships, rooms, now });
  const privateChats = new PrivateChats(models, blocks.between);
  const service = createChatService({
    models,
    log: chatLog,
    memberships,
    members,
    privateChats,
    projectChats,
    views,
    typing,
    rooms,
    bus,
    audit,
    now,
    attachments,
    blockedBetween: blocks.between,
    existingUsers: deps.existingUsers,
  });
  const live = new LiveRooms({ memberships, sequencer, typing, views, rooms, bus, log, now, newestChats });
  const forgetRelayed = rooms.onRelayed('chat', (room, rev, packet) => {
    const chatId = room.slice('chat:'.length);
    chatLog.noteElsewhere(chatId, rev);
    if (packet) sequencer.accept(chatId, rev, packet);
    else sequencer.note(chatId, rev);
  });

  /** What stands at a place of the log, to the sockets here and on other nodes. */
  function tell(chatId: Types.ObjectId, { rev, packet }: Told): void {
    const id = chatId.toHexString();
    sequencer.accept(id, rev, packet);
    if (packet) rooms.relay(chatRoom(id), rev, packet);
  }

  function onCommitted(entries: Parameters<ConstructorParameters<typeof ChatLog>[0]['onCommitted']>[0]): void {
    for (const entry of entries) {
      // A change is told when what it changes has followed it.
      if (!isMessage(entry)) {
        sequencer.note(entry.chatId.toHexString(), entry.rev);
        continue;
      }
      const message = toMessage(entry, viewAttachment);
      tell(entry.chatId, events.created(entry, message));
      activity.note(entry);
      posted(message);
    }
  }

  function posted(message: Message): void {
    const { chatId } = message;
    for (const userId of message.mentions) {
      if (userId !== message.sender.userId) rooms.emit(userRoom(userId), 'mention:created', { chatId, message });
    }
    deps.onPosted?.({ chatId, message });
  }

  function release({ _id }: MessageEntry): void {
    attachments
      .release([_id.toHexString()])
      .catch((error: unknown) => log.warn('the attachments of a deleted message are still kept', { error }));
  }

  /** The ids of a user's newest chats. */
  async function newestChats(userId: string, limit: number = LIMITS.chatsAtConnect): Promise<Types.ObjectId[]> {
    const all = await memberships.chatIdsOf(userId);
    if (all.length <= limit) return all;
    const newest = await models.chats.collection
      .find<Pick<ChatRecord, '_id'>>({ _id: { $in: all } }, { projection: { _id: 1 } })
      .sort({ lastActivityAt: -1, _id: -1 })
      .limit(limit)
      .toArray();
    return newest.map(({ _id }) => _id);
  }

  const upkeep = new ChatUpkeep({
    models,
    log: chatLog,
    memberships,
    members,
    lifecycle,
    releaseAttachments: (messageIds) => attachments.release(messageIds),
    now,
  });

  return {
    service,
    upkeep,
    ofProject: projectChats,
    routes: createExportRoutes({ log: chatLog, memberships, views, viewAttachment, nameOf: deps.nameOf, audit, now }),
    handlers: ({ runningStreams }) =>
      createHandlers({
        service,
        models,
        log: chatLog,
        memberships,
        members,
        lifecycle,
        changes,
        projectChats,
        events,
        receipts,
        views,
        sequencer,
        typing,
        rooms,
        viewAttachment,
        newestChats,
        blockedWith: blocks.of,
        runningStreams,
      }),
    connected: (socket) => live.connected(socket),
    disconnected: ({ id }) => typing.disconnected(id),
    sharing: (userId, otherIds) => memberships.sharing(userId, otherIds),
    onLeft: (listener) => live.onLeft(listener),
    async about(chatId) {
      const record = await models.chats.collection.findOne<ChatRecord>({ _id: new Types.ObjectId(chatId) });
      return record ?? undefined;
    },
    membersPage: (chatId, limit, after) => memberships.page(new Types.ObjectId(chatId), limit, after),
    membersAmong: (chatId, userIds) => memberships.ofUsersIn(new Types.ObjectId(chatId), userIds),
    moderate: (target) => changes.moderate(target),
    queuedAppends: () => chatLog.queued,
    compare: () => sequencer.compare(),
    async recover() {
      await members.settlePending();
      await lifecycle.settlePending();
    },
    async close() {
      await live.close();
      forgetRelayed();
      typing.close();
      await chatLog.drain();
      sequencer.close();
      await activity.flush();
    },
  };
}
