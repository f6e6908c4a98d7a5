/**
 * The durable log of every chat: one order per chat (`rev`, dense), kept by a unique index instead of a counter, so
 * that a crash leaves no hole and any number of nodes may append. Reads of the log's end never use a cache.
 */
import { LRUCache } from 'lru-cache';
import type { Model, Types } from 'mongoose';
import { GroupCommit, type Collision, type CommitPlan, type Row } from '../../storage/group-commit.ts';
import { CLIENT_INDEX, REV_INDEX, type ChangeEntry, type EntryRecord, type MessageEntry } from './model.ts';

type ObjectId = Types.ObjectId;

/** A position: `rev` counts all changes, `seq` messages. */
export interface Head {
  rev: number;
  seq: number;
}

/** What an appender knows of its entry; the log gives the place and the time. */
type Unplaced<E> = E extends EntryRecord ? Omit<E, 'rev' | 'seq' | 'appliedRev' | 'createdAt'> : never;
export type NewEntry = Unplaced<EntryRecord>;
type Placed<N extends NewEntry> = Extract<EntryRecord, { kind: N['kind'] }>;

interface EntryRow extends Row {
  entry: NewEntry;
  placed: EntryRecord | undefined;
  /** Asked when another node may have changed who may write. */
  recheck: (() => Promise<void>) | undefined;
}

interface End extends Head {
  createdAtMs: number;
  /** Another node has written since. */
  stale?: true;
}

const EMPTY: End = { rev: 0, seq: 0, createdAtMs: 0 };
/** Of a row besides its content and metadata: ids, numbers, names. */
const ROW_BYTES = 300;
/** Chats whose end is remembered between appends. */
const REMEMBERED_ENDS = 50_000;
/** Entries of other nodes that are looked through for what changes who may write. */
const LOOKED_THROUGH = 200;
/** A chat that nobody writes to may be removed and begin anew, after `LIMITS.restoreDays` at the earliest. */
const REMEMBERED_MS = 86_400_000;
/** Entries that one read gives at most. */
const READ_MAX = 500;

export interface ChatLogDeps {
  entries: Model<EntryRecord>;
  now: () => number;
  /** Entries that became durable here, in rev order per chat. */
  onCommitted: (entries: readonly EntryRecord[]) => void;
}

export class ChatLog implements CommitPlan<EntryRow, EntryRecord> {
  readonly #deps: ChatLogDeps;
  readonly #commit: GroupCommit<EntryRow, EntryRecord>;
  /** Optimistic: an append that is refused by the rev index reads the end again. */
  readonly #ends = new LRUCache<string, End>({ max: REMEMBERED_ENDS, ttl: REMEMBERED_MS });
  /**
   * Appends under way that may be repeated. A repetition joins the first: were it queued as well, a node that answers
   * late would be sent more and more of what it has already, and would never catch up.
   */
  readonly #waiting = new Map<string, Promise<EntryRecord>>();

  constructor(deps: ChatLogDeps) {
    this.#deps = deps;
    this.#commit = new GroupCommit(deps.entries.collection, this);
  }

  /** Entries that wait for their write. */
  get queued(): number {
    return this.#commit.length;
  }

  /**
   * Takes an entry over and queues it at once (its order among this node's appends is fixed when this returns), and
   * resolves when it is durable. The same chat, user and clientId resolve to the first entry. `recheck` rejects if the
   * entry may no longer be written; it runs when another node may have changed the members in between.
   */
  async append<N extends NewEntry>(entry: N, recheck?: () => Promise<void>): Promise<Placed<N>> {
    const { chatId, userId, clientId } = entry;
    const key = userId && clientId !== undefined && `${chatId.toHexString()}:${userId.toHexString()}:${clientId}`;
    const first = key ? this.#waiting.get(key) : undefined;
    if (first) return (await first) as Placed<N>;
    const row = { _id: entry._id, sizeBytes: sizeOf(entry), entry, placed: undefined, recheck };
    const appended = this.#commit.append(row);
    if (!key) return (await appended) as Placed<N>;
    this.#waiting.set(key, appended);
    try {
      return (await appended) as Placed<N>;
    } finally {
      this.#waiting.delete(key);
    }
  }

  /** Another node has written up to `rev`. */
  noteElsewhere(chatId: string, rev: number): void {
    const end = this.#ends.get(chatId);
    if (end && end.rev < rev) end.stale = true;
  }

  /** The end of one chat's log, from the index. */
  async head(chatId: ObjectId): Promise<Head> {
    const { rev, seq } = await this.#readEnd(chatId);
    return { rev, seq };
  }

  /** Entries after a rev, ascending; at most `limit`. */
  async after(chatId: ObjectId, rev: number, limit: number): Promise<EntryRecord[]> {
    return this.#deps.entries.collection
      .find<EntryRecord>({ chatId, rev: { $gt: rev } })
      .sort({ rev: 1 })
      .limit(Math.min(limit, READ_MAX))
      .toArray();
  }

  /** A page of messages ascending by seq: the newest, or those before or after a seq (exclusive). */
  async messages(
    chatId: ObjectId,
    page: { before?: number | undefined; after?: number | undefined; limit: number; threadRoot?: ObjectId },
  ): Promise<MessageEntry[]> {
    const forward = page.after !== undefined;
    const bounds = {
      ...(page.after === undefined ? {} : { $gt: page.after }),
      ...(page.before === undefined ? {} : { $lt: page.before }),
    };
    const rows = await this.#deps.entries.collection
      .find<MessageEntry>({
        chatId,
        kind: 'message',
        ...(page.threadRoot ? { threadRoot: page.threadRoot } : {}),
        ...(Object.keys(bounds).length > 0 ? { seq: bounds } : {}),
      })
      .sort({ seq: forward ? 1 : -1 })
      .limit(page.limit)
      .toArray();
    return forward ? rows : rows.reverse();
  }

  async message(chatId: ObjectId, messageId: ObjectId): Promise<MessageEntry | undefined> {
    const [row] = await this.messagesById(chatId, [messageId]);
    return row;
  }

  /** Those that exist in the chat, in no order. */
  messagesById(chatId: ObjectId, messageIds: readonly ObjectId[]): Promise<MessageEntry[]> {
    return this.#deps.entries.collection
      .find<MessageEntry>({ _id: { $in: [...messageIds] }, chatId, kind: 'message' })
      .toArray();
  }

  /** The entries that change a message, above a rev, ascending. */
  changes(messageId: ObjectId, aboveRev: number): Promise<ChangeEntry[]> {
    return this.#deps.entries.collection
      .find<ChangeEntry>({ messageId, rev: { $gt: aboveRev } })
      .sort({ rev: 1 })
      .toArray();
  }

  /** Writes a message's folded state, unless another node was faster. */
  async replaceState(folded: MessageEntry, appliedRev: number): Promise<boolean> {
    const { _id } = folded;
    const { matchedCount } = await this.#deps.entries.collection.replaceOne({ _id, appliedRev }, folded);
    return matchedCount === 1;
  }

  /** Forgets what edits of a deleted message said. */
  async purgeEdits(messageId: ObjectId): Promise<void> {
    await this.#deps.entries.collection.updateMany(
      { messageId, kind: 'edit', content: { $ne: '' } },
      { $set: { content: '' } },
    );
  }

  async byClientId(chatId: ObjectId, userId: ObjectId, clientId: string): Promise<EntryRecord | undefined> {
    const row = await this.#deps.entries.collection.findOne<EntryRecord>({ chatId, userId, clientId });
    return row ?? undefined;
  }

  /** Resolves when everything queued so far has its outcome. */
  drain(): Promise<void> {
    return this.#commit.drain();
  }

  // ---- the plan of the group commit

  async place(rows: readonly EntryRow[]): Promise<Map<EntryRow, unknown>> {
    const refused = new Map<EntryRow, unknown>();
    const { ends, changed } = await this.#endsOf(rows);
    await Promise.all(
      rows
        .filter(({ entry }) => changed.has(entry.chatId.toHexString()))
        .map(async (row) => {
          await row.recheck?.().catch((error: unknown) => refused.set(row, error));
        }),
    );
    if (refused.size > 0) return refused;

    const nowMs = this.#deps.now();
    for (const row of rows) {
      const key = row.entry.chatId.toHexString();
      const end = ends.get(key) ?? EMPTY;
      const isMessage = row.entry.kind === 'message';
      const next: End = {
        rev: end.rev + 1,
        seq: end.seq + (isMessage ? 1 : 0),
        createdAtMs: Math.max(nowMs, end.createdAtMs),
      };
      ends.set(key, next);
      // Set on the entry itself: a merged copy costs more than all else of a message's place.
      const placed = row.entry as EntryRecord;
      placed.rev = next.rev;
      placed.seq = next.seq;
      placed.createdAt = new Date(next.createdAtMs);
      if (isMessage) (placed as MessageEntry).appliedRev = next.rev;
      row.placed = placed;
    }
    return refused;
  }

  toDocument(row: EntryRow): EntryRecord {
    return this.outcome(row);
  }

  outcome(row: EntryRow): EntryRecord {
    if (!row.placed) throw new Error('An entry was written before it had a place');
    return row.placed;
  }

  async collided(row: EntryRow, index: string, others: readonly EntryRow[]): Promise<Collision<EntryRow, EntryRecord>> {
    if (index === CLIENT_INDEX) {
      const outcomes = await this.#firstOutcomes([row, ...others]);
      if (outcomes.has(row)) return { kind: 'done', outcomes };
    }
    const { chatId } = row.entry;
    const own = await this.#deps.entries.collection.findOne<EntryRecord>({ _id: row._id, chatId });
    const end = this.#ends.get(chatId.toHexString());
    if (end) end.stale = true;
    // A write that was thought lost had arrived; nobody has told of it yet.
    if (own) return { kind: 'done', outcomes: new Map([[row, this.recovered(row, own)]]) };
    if (index !== REV_INDEX) throw new Error(`Unexpected unique index ${index}`);
    return { kind: 'again' };
  }

  recovered(_row: EntryRow, stored: unknown): EntryRecord {
    const entry = stored as EntryRecord;
    this.#deps.onCommitted([entry]);
    return entry;
  }

  committed(rows: readonly EntryRow[]): void {
    const entries = rows.map((row) => this.outcome(row));
    for (const { chatId, rev, seq, createdAt } of entries) {
      this.#ends.set(chatId.toHexString(), { rev, seq, createdAtMs: createdAt.getTime() });
    }
    this.#deps.onCommitted(entries);
  }

  forget(): void {
    this.#ends.clear();
  }

  /** Of rows that repeat what is stored already, that. When a server was slow, repetitions come many at a time. */
  async #firstOutcomes(rows: readonly EntryRow[]): Promise<Map<EntryRow, EntryRecord>> {
    const byAuthor = new Map<string, { chatId: ObjectId; userId: ObjectId; rows: Map<string, EntryRow[]> }>();
    for (const row of rows) {
      const { chatId, userId, clientId } = row.entry;
      if (!userId || clientId === undefined) continue;
      const key = `${chatId.toHexString()}:${userId.toHexString()}`;
      const author = byAuthor.get(key) ?? { chatId, userId, rows: new Map<string, EntryRow[]>() };
      byAuthor.set(key, author);
      author.rows.set(clientId, [...(author.rows.get(clientId) ?? []), row]);
    }
    const outcomes = new Map<EntryRow, EntryRecord>();
    await Promise.all(
      [...byAuthor.values()].map(async ({ chatId, userId, rows: own }) => {
        const clientId = { $in: [...own.keys()] };
        const firsts = await this.#deps.entries.collection.find<EntryRecord>({ chatId, userId, clientId }).toArray();
        for (const first of firsts) for (const row of own.get(first.clientId ?? '') ?? []) outcomes.set(row, first);
      }),
    );
    return outcomes;
  }

  /** Where the rows' chats end, and in which of them other nodes may have changed the members. */
  async #endsOf(rows: readonly EntryRow[]): Promise<{ ends: Map<string, End>; changed: Set<string> }> {
    const ends = new Map<string, End>();
    const changed = new Set<string>();
    const unsure = new Map<string, { chatId: ObjectId; known: End | undefined }>();
    for (const { chatId } of rows.map(({ entry }) => entry)) {
      const key = chatId.toHexString();
      const known = this.#ends.get(key);
      if (known && !known.stale) ends.set(key, known);
      else unsure.set(key, { chatId, known });
    }
    await Promise.all(
      [...unsure].map(async ([key, { chatId, known }]) => {
        const since = known && (await this.#since(chatId, known));
        if (!since) changed.add(key);
        const end = since ?? (await this.#readEnd(chatId));
        ends.set(key, end);
        this.#ends.set(key, end);
      }),
    );
    return { ends, changed };
  }

  /** The end as other nodes have moved it; undefined if they may have changed the members on the way. */
  async #since(chatId: ObjectId, known: End): Promise<End | undefined> {
    const entries = await this.#deps.entries.collection
      .find<Pick<EntryRecord, 'rev' | 'seq' | 'kind' | 'createdAt'>>(
        { chatId, rev: { $gt: known.rev } },
        { projection: { _id: 0, rev: 1, seq: 1, kind: 1, createdAt: 1 } },
      )
      .sort({ rev: 1 })
      .limit(LOOKED_THROUGH)
      .toArray();
    if (entries.length === LOOKED_THROUGH || entries.some(({ kind }) => kind === 'members')) return undefined;
    const last = entries.at(-1);
    if (!last) return { rev: known.rev, seq: known.seq, createdAtMs: known.createdAtMs };
    return { rev: last.rev, seq: last.seq, createdAtMs: last.createdAt.getTime() };
  }

  async #readEnd(chatId: ObjectId): Promise<End> {
    const [last] = await this.#deps.entries.collection
      .find<Pick<EntryRecord, 'rev' | 'seq' | 'createdAt'>>(
        { chatId },
        { projection: { _id: 0, rev: 1, seq: 1, createdAt: 1 } },
      )
      .sort({ rev: -1 })
      .limit(1)
      .toArray();
    return last ? { rev: last.rev, seq: last.seq, createdAtMs: last.createdAt.getTime() } : EMPTY;
  }
}

/** About the entry's size as BSON. */
function sizeOf(entry: NewEntry): number {
  if (entry.kind === 'members')
    return ROW_BYTES + (entry.added.length + entry.removed.length + entry.roles.length) * 60;
  if (entry.kind !== 'message' && entry.kind !== 'edit') return ROW_BYTES;
  const metadataBytes = 'metadata' in entry && entry.metadata ? JSON.stringify(entry.metadata).length : 0;
  // The words that a message is found by repeat about as much as it says.
  return ROW_BYTES + entry.content.length * 4 + metadataBytes;
}
