/**
 * Changes of a project's paths. Each is decided on the whole tree as it is, written into the tree's one document, and
 * then brought to the rows: so several files change at one moment, two changes never decide on the same state, and what
 * a crash leaves half done is finished by whoever meets it, or by a job.
 */
import { Types } from 'mongoose';
import type { DatabaseNodes } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, KeyedQueue, LIMITS } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { ChangeFollower } from './change-follower.ts';
import type { FileModels, FileRecord, PendingChange, RowChange, TreeRecord } from './model.ts';
import { Places } from './places.ts';

type ObjectId = Types.ObjectId;

/** What is known of a file where only places count. */
export type PlacedRow = Pick<FileRecord, '_id' | 'path' | 'kind' | 'sizeBytes' | 'chargedBytes'>;

export interface Plan {
  rows: RowChange[];
  /** For rows that create or write a text; a created one without is empty. */
  texts?: { id: ObjectId; text: string }[];
}

export interface ChangeOptions {
  /** A change with the same key is done once, as far as the project remembers. */
  key?: ObjectId | undefined;
}

export interface FileTreeDeps {
  models: FileModels;
  follower: ChangeFollower;
  nodes: Pick<DatabaseNodes, 'id' | 'isAlive'>;
  log: Log;
  now: () => number;
}

/** Changes that found another one faster begin again; each time somebody else has succeeded. */
const ATTEMPTS = 50;
/** Reads that found a change begin again; then what is there has to do. */
const READS = 5;
/** A change that is older is finished by others, even if its node seems alive. */
const PATIENCE_MS = 15_000;
const POLL_MS = 25;
/** How long somebody waits for another node's change. */
const WAIT_MS = 8_000;
const PLACED = { _id: 1, path: 1, kind: 1, sizeBytes: 1, chargedBytes: 1 };

export class FileTree {
  readonly #deps: FileTreeDeps;
  /** Of each project, one change of this node at a time. */
  readonly #queue = new KeyedQueue();

  constructor(deps: FileTreeDeps) {
    this.#deps = deps;
  }

  /**
   * Decides on the tree as it is and makes it so: `decide` gives what is to happen, or nothing; it may be asked again, on
   * a newer state. Resolves with the rows that have changed, in the plan's order, when all of it is stored.
   */
  change(
    projectId: string,
    userId: string,
    decide: (places: Places<PlacedRow>) => Plan | undefined | Promise<Plan | undefined>,
    { key }: ChangeOptions = {},
  ): Promise<FileRecord[]> {
    const _id = new Types.ObjectId(projectId);
    return this.#queue.run(projectId, async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const rev = await this.#settled(_id);
        if (key && (await this.#isDone(_id, key))) return [];
        const plan = await decide(await this.#places(_id));
        if (!plan || plan.rows.length === 0) return [];
        const pending: PendingChange = {
          id: new Types.ObjectId(),
          ...(key && { key }),
          rev: rev + 1,
          userId: new Types.ObjectId(userId),
          nodeId: this.#deps.nodes.id,
          at: new Date(this.#deps.now()),
          rows: plan.rows,
          hasTexts: (plan.texts?.length ?? 0) > 0,
          written: 0,
        };
        if (await this.#commit(_id, rev, pending, plan.texts ?? [])) return this.#deps.follower.follow(_id, pending);
      }
      throw new Fault('unavailable', 'The project changes too fast', { retryAfterMs: 1_000 });
    });
  }

  /** Reads rows between changes: of what changes together, all or nothing is seen. */
  async read<T>(projectId: string, query: () => Promise<T>): Promise<T> {
    const _id = new Types.ObjectId(projectId);
    for (let attempt = 1; ; attempt++) {
      const before = await this.#met(_id);
      const result = await query();
      const after = await this.#tree(_id);
      if ((after?.rev ?? 0) === before || attempt === READS) return result;
    }
  }

  /** Finishes changes whose node is gone. To be called from time to time. */
  async settleAbandoned(signal?: AbortSignal): Promise<void> {
    const trees = await this.#deps.models.trees
      .find({ 'pending.at': { $lte: new Date(this.#deps.now() - PATIENCE_MS) } }, { projection: { _id: 1 } })
      .toArray();
    for (const { _id } of trees) {
      if (signal?.aborted) return;
      await this.#queue.run(_id.toHexString(), () => this.#settled(_id));
    }
    await this.#deps.follower.removeForgotten();
  }

  /** Resolves with the revision once nothing is pending. Only in the queue: then what is pending here is nobody's. */
  async #settled(_id: ObjectId): Promise<number> {
    const { follower, nodes, now } = this.#deps;
    for (const startedAtMs = performance.now(); ; await pause(POLL_MS)) {
      const tree = await this.#tree(_id);
      if (!tree?.pending) return tree?.rev ?? 0;
      const { nodeId, at } = tree.pending;
      const isAbandoned = nodeId === nodes.id || !nodes.isAlive(nodeId) || now() - at.getTime() > PATIENCE_MS;
      if (isAbandoned) {
        const { pending } = (await this.#deps.models.trees.findOne({ _id })) ?? {};
        if (pending) await follower.follow(_id, pending);
      } else if (performance.now() - startedAtMs > WAIT_MS) {
        throw new Fault('unavailable', 'Another change of the project is under way', { retryAfterMs: 1_000 });
      }
    }
  }

  /** The revision, for readers: they wait for a change that is under way, and take part in the queue only then. */
  async #met(_id: ObjectId): Promise<number> {
    const tree = await this.#tree(_id);
    if (!tree?.pending) return tree?.rev ?? 0;
    try {
      return await this.#queue.run(_id.toHexString(), () => this.#settled(_id));
    } catch (error) {
      // What cannot be finished now must not hide the files.
      this.#deps.log.warn('A change of files could not be finished yet', { projectId: _id.toHexString(), error });
      return tree.rev;
    }
  }

  /** Without the change itself, which may be large. */
  #tree(_id: ObjectId): Promise<{ rev: number; pending?: Pick<PendingChange, 'nodeId' | 'at'> } | null> {
    return this.#deps.models.trees.findOne<TreeRecord>(
      { _id },
      { projection: { rev: 1, 'pending.nodeId': 1, 'pending.at': 1 } },
    );
  }

  async #isDone(_id: ObjectId, key: ObjectId): Promise<boolean> {
    return (await this.#deps.models.trees.countDocuments({ _id, done: key }, { limit: 1 })) > 0;
  }

  async #places(projectId: ObjectId): Promise<Places<PlacedRow>> {
    return new Places(
      await this.#deps.models.files
        .find<PlacedRow>({ projectId, key: { $exists: true } }, { projection: PLACED })
        .sort({ key: 1 })
        .limit(LIMITS.filesPerProject + 1)
        .toArray(),
    );
  }

  /** Whether it is decided: nobody else has been faster. */
  async #commit(
    _id: ObjectId,
    rev: number,
    pending: PendingChange,
    texts: { id: ObjectId; text: string }[],
  ): Promise<boolean> {
    const { models, follower } = this.#deps;
    if (pending.hasTexts) {
      await models.staged.insertOne({ _id: pending.id, projectId: _id, texts, createdAt: pending.at });
    }
    if (await this.#place(_id, rev, pending)) return true;
    if (pending.hasTexts) await follower.unstage(pending.id);
    return false;
  }

  async #place(_id: ObjectId, rev: number, pending: PendingChange): Promise<boolean> {
    const { trees } = this.#deps.models;
    if (rev > 0) {
      const { modifiedCount } = await trees.updateOne(
        { _id, rev, pending: { $exists: false } },
        { $set: { rev: pending.rev, pending } },
      );
      return modifiedCount > 0;
    }
    try {
      await trees.insertOne({ _id, rev: pending.rev, pending });
      return true;
    } catch (error) {
      if (duplicateIndexOf(error) === undefined) throw error;
      return false;
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
