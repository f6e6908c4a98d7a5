/**
 * From log entries to the events that tell of them: one for each entry, at its `rev`. A message is told in its present
 * state, so changes that nobody has folded into it yet (their node died in between) are folded here.
 */
import type { Types } from 'mongoose';
import type { Packet, Rooms } from '../../protocol/index.ts';
import type { ChatLog } from './chat-log.ts';
import type { chatEvents } from './contract.ts';
import { isMessage, membersOf, toMessage, type ViewAttachment } from './entry.ts';
import { fold } from './fold.ts';
import type { ChangeEntry, EntryRecord, MembersEntry, MessageEntry } from './model.ts';
import type { Message } from './shapes.ts';

/** What stands at one place of a chat's log, ready to be sent; without a packet there is nothing to say of it. */
export interface Told {
  rev: number;
  packet: Packet | undefined;
}

export interface ChatEventsDeps {
  log: Pick<ChatLog, 'messagesById' | 'changes' | 'replaceState' | 'purgeEdits'>;
  rooms: Pick<Rooms<typeof chatEvents>, 'encode'>;
  viewAttachment: ViewAttachment;
  /** Called for each membership entry that is met, in case its node died before the memberships followed it. */
  onMembers: (entry: MembersEntry) => Promise<void>;
}

export class ChatEvents {
  readonly #deps: ChatEventsDeps;

  constructor(deps: ChatEventsDeps) {
    this.#deps = deps;
  }

  /** The event of a new message; `message` is what the entry looks like on the wire, if that is known. */
  created(entry: MessageEntry, message: Message = this.#view(entry)): Told {
    return this.#tell('message:created', entry.rev, message);
  }

  /** The event of a change, with the message as it is now. */
  changed(change: ChangeEntry, message: MessageEntry): Told {
    const event = change.kind === 'delete' ? 'message:deleted' : 'message:updated';
    return this.#tell(event, change.rev, this.#view(message));
  }

  members(entry: MembersEntry): Told {
    const { chatId, rev } = entry;
    const packet = this.#deps.rooms.encode('chat:members-changed', {
      chatId: chatId.toHexString(),
      rev,
      ...membersOf(entry),
    });
    return { rev, packet };
  }

  /** The events of rows as they were read from the log, in their order. */
  async of(entries: readonly EntryRecord[]): Promise<Told[]> {
    const settled = new Map((await this.messages(entries)).map((message) => [message._id.toHexString(), message]));
    const told: Told[] = [];
    for (const entry of entries) {
      if (entry.kind === 'members') {
        await this.#deps.onMembers(entry);
        told.push(this.members(entry));
        continue;
      }
      const message = settled.get(messageIdOf(entry).toHexString());
      // A change of a message that retention has taken.
      if (!message) told.push({ rev: entry.rev, packet: undefined });
      else told.push(isMessage(entry) ? this.created(message) : this.changed(entry, message));
    }
    return told;
  }

  /** The messages that the rows are about, each once, as they are now, ascending by seq. */
  async messages(entries: readonly EntryRecord[]): Promise<MessageEntry[]> {
    const byId = new Map<string, MessageEntry>();
    const newest = new Map<string, number>();
    const missing = new Map<string, Types.ObjectId>();
    for (const entry of entries) {
      if (entry.kind === 'members') continue;
      const id = messageIdOf(entry);
      const key = id.toHexString();
      newest.set(key, Math.max(newest.get(key) ?? 0, entry.rev));
      if (isMessage(entry)) byId.set(key, entry);
      else if (!byId.has(key)) missing.set(key, id);
    }
    const [first] = entries;
    const wanted = [...missing].filter(([key]) => !byId.has(key)).map(([, id]) => id);
    if (first && wanted.length > 0) {
      for (const message of await this.#deps.log.messagesById(first.chatId, wanted)) {
        byId.set(message._id.toHexString(), message);
      }
    }
    const messages = await Promise.all(
      [...byId].map(async ([key, message]) =>
        message.appliedRev < (newest.get(key) ?? 0) ? this.settle(message) : message,
      ),
    );
    return messages.sort((a, b) => a.seq - b.seq);
  }

  /** Folds into a message what the log has of it, durably, and gives its present state. */
  async settle(message: MessageEntry): Promise<MessageEntry> {
    const { log } = this.#deps;
    for (let known = message; ;) {
      const changes = await log.changes(known._id, known.appliedRev);
      if (changes.length === 0) return known;
      const folded = fold(known, changes);
      // Before the tombstone stands, so that whoever is interrupted here is followed by another who does it again.
      if (folded.deletedAt && changes.some(({ kind }) => kind !== 'react')) await log.purgeEdits(known._id);
      if (await log.replaceState(folded, known.appliedRev)) return folded;
      const [now] = await log.messagesById(known.chatId, [known._id]);
      if (!now) return folded;
      known = now;
    }
  }

  #view(entry: MessageEntry): Message {
    return toMessage(entry, this.#deps.viewAttachment);
  }

  #tell(event: 'message:created' | 'message:updated' | 'message:deleted', rev: number, message: Message): Told {
    return { rev, packet: this.#deps.rooms.encode(event, { chatId: message.chatId, rev, message }) };
  }
}

const messageIdOf = (entry: MessageEntry | ChangeEntry): Types.ObjectId =>
  isMessage(entry) ? entry._id : entry.messageId;
