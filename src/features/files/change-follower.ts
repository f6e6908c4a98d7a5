/**
 * Makes documents and rows follow a change that has been decided. Every step may be done again, by several nodes at
 * once, also by one that stood still in between: a row that a later change has placed is left alone.
 */
import { Types, type mongo } from 'mongoose';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { DocumentPort } from '../documents/index.ts';
import type { FileModels, FileRecord, PendingChange, RowChange, TreeRecord } from './model.ts';
import { keyOf } from './paths.ts';

type ObjectId = Types.ObjectId;
type Row<Op extends RowChange['op']> = Extract<RowChange, { op: Op }>;

export interface ChangeFollowerDeps {
  models: FileModels;
  documents: Pick<DocumentPort, 'create' | 'write'>;
  /** What has become of the files, to be told. `oldPaths` has those that were moved. */
  onChanged: (change: FollowedChange) => void;
  log: Log;
  now: () => number;
}

export interface FollowedChange {
  projectId: string;
  userId: string;
  created: FileRecord[];
  written: FileRecord[];
  replaced: FileRecord[];
  /** Blobs that were texts. */
  converted: FileRecord[];
  renamed: { file: FileRecord; oldPath: string }[];
  deleted: FileRecord[];
}

/** Documents that are made at once. */
const AT_ONCE = 16;
/** Changes of a project that are remembered by their keys. */
const REMEMBERED = 64;
/** No change takes so long to be decided: staged texts that are older and belong to none never will. */
const FORGOTTEN_MS = 3_600_000;

export class ChangeFollower {
  readonly #deps: ChangeFollowerDeps;

  constructor(deps: ChangeFollowerDeps) {
    this.#deps = deps;
  }

  /** Resolves with the changed rows as they are then. */
  async follow(projectId: ObjectId, change: PendingChange): Promise<FileRecord[]> {
    const { models } = this.#deps;
    const staged = change.hasTexts ? await models.staged.findOne({ _id: change.id }) : null;
    const texts = new Map(staged?.texts.map(({ id, text }) => [id.toHexString(), text]));
    const creates = change.rows.filter((row) => row.op === 'create');
    // A file that is there can be opened: its document comes first.
    await this.#createDocuments(creates, texts, change);
    // What goes makes room for what comes.
    await this.#update(change);
    await this.#insert(projectId, creates, change);
    if (!(await this.#write(projectId, texts, change))) return this.#rowsOf(change);
    const rows = await this.#rowsOf(change);
    // Before the change is over: what a crash cuts off is told by whoever finishes it, perhaps twice.
    this.#tell(projectId, change, rows);
    await models.trees.updateOne({ _id: projectId, 'pending.id': change.id }, endOf(change));
    if (change.hasTexts) await this.unstage(change.id);
    return rows;
  }

  async unstage(changeId: ObjectId): Promise<void> {
    await this.#deps.models.staged.deleteOne({ _id: changeId });
  }

  /** Staged texts of changes that were never decided, or were finished when their remover was cut off. */
  async removeForgotten(): Promise<void> {
    const { models, now } = this.#deps;
    const old = await models.staged
      .find({ createdAt: { $lte: new Date(now() - FORGOTTEN_MS) } }, { projection: { projectId: 1 } })
      .toArray();
    for (const { _id, projectId } of old) {
      if (!(await models.trees.findOne({ _id: projectId, 'pending.id': _id }))) await this.unstage(_id);
    }
  }

  async #createDocuments(rows: Row<'create'>[], texts: Map<string, string>, { userId }: PendingChange): Promise<void> {
    const { documents } = this.#deps;
    const waiting = rows.filter(({ kind }) => kind === 'text').map(({ id }) => id.toHexString());
    const work = async (): Promise<void> => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
        const text = texts.get(id) ?? '';
        await this.#unlessFinal(documents.create(id, text, userId.toHexString()));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  async #insert(projectId: ObjectId, rows: Row<'create'>[], { rev, userId, at }: PendingChange): Promise<void> {
    if (rows.length === 0) return;
    const records = rows.map(({ id, path, kind, language, sizeBytes, blob }): FileRecord => ({
      _id: id,
      projectId,
      path,
      key: keyOf(path),
      kind,
      ...(language === undefined ? {} : { language }),
      sizeBytes,
      chargedBytes: chargeOf(blob?.chargedBytes ?? sizeBytes),
      ...(blob && { mime: blob.mime, version: blob.version }),
      rev,
      createdAt: at,
      createdBy: userId,
      updatedAt: at,
    }));
    try {
      await this.#deps.models.files.insertMany(records, { ordered: false });
    } catch (error) {
      // Rows of an earlier run of this change.
      if (duplicateIndexOf(error) === undefined) throw error;
    }
  }

  /** One after another, each noted as done. False if somebody else has finished the change meanwhile. */
  async #write(projectId: ObjectId, texts: Map<string, string>, change: PendingChange): Promise<boolean> {
    const { documents, models } = this.#deps;
    const writes = change.rows.filter((row) => row.op === 'write');
    for (let done = change.written; done < writes.length; done++) {
      const fileId = writes[done]?.id.toHexString() ?? '';
      const text = texts.get(fileId);
      if (text !== undefined) await this.#unlessFinal(documents.write(fileId, text, change.userId.toHexString()));
      const { matchedCount } = await models.trees.updateOne(
        { _id: projectId, 'pending.id': change.id },
        { $set: { 'pending.written': done + 1 } },
      );
      if (matchedCount === 0) return false;
    }
    return true;
  }

  /** What cannot be must not hold up the rest for ever: it was possible when the change was decided. */
  async #unlessFinal(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      if (!(error instanceof Fault) || ['unavailable', 'timeout', 'internal'].includes(error.code)) throw error;
      this.#deps.log.error('A text of a change could not be stored', { error });
    }
  }

  async #update(change: PendingChange): Promise<void> {
    const order = ['delete', 'move', 'restore', 'write', 'replace', 'convert'];
    const updates = change.rows
      .filter((row) => row.op !== 'create')
      .toSorted((a, b) => order.indexOf(a.op) - order.indexOf(b.op))
      .map((row) => ({
        updateOne: { filter: { _id: row.id, rev: { $lt: change.rev } }, update: updateOf(row, change) },
      }));
    if (updates.length > 0) await this.#deps.models.files.bulkWrite(updates);
  }

  /** In the order of the change. */
  async #rowsOf({ rows }: PendingChange): Promise<FileRecord[]> {
    const records = await this.#deps.models.files.find({ _id: { $in: rows.map(({ id }) => id) } }).toArray();
    const byId = new Map(records.map((record) => [record._id.toHexString(), record]));
    return rows.flatMap(({ id }) => byId.get(id.toHexString()) ?? []);
  }

  #tell(projectId: ObjectId, { rows, userId }: PendingChange, files: readonly FileRecord[]): void {
    const byId = new Map(files.map((file) => [file._id.toHexString(), file]));
    const change: FollowedChange = {
      projectId: projectId.toHexString(),
      userId: userId.toHexString(),
      created: [],
      written: [],
      replaced: [],
      converted: [],
      renamed: [],
      deleted: [],
    };
    for (const row of rows) {
      const file = byId.get(row.id.toHexString());
      if (!file) continue;
      switch (row.op) {
        case 'create':
        case 'restore':
          change.created.push(file);
          break;
        case 'write':
          change.written.push(file);
          break;
        case 'replace':
          change.replaced.push(file);
          break;
        case 'convert':
          change.converted.push(file);
          break;
        case 'move':
          change.renamed.push({ file, oldPath: row.oldPath });
          break;
        case 'delete':
          change.deleted.push(file);
          break;
      }
    }
    this.#deps.onChanged(change);
  }
}

/** A smaller file counts for more than it is. */
export const chargeOf = (bytes: number): number => Math.max(bytes, LIMITS.fileLeastBytes);

function updateOf(row: Exclude<RowChange, Row<'create'>>, change: PendingChange): mongo.UpdateFilter<FileRecord> {
  const { rev, at, userId, id } = change;
  switch (row.op) {
    case 'write':
      return { $set: { rev, sizeBytes: row.sizeBytes, chargedBytes: chargeOf(row.sizeBytes), updatedAt: at } };
    case 'replace':
    case 'convert': {
      const { mime, version, chargedBytes } = row.blob;
      const kind = row.op === 'convert' ? { kind: 'blob' as const } : {};
      const charged = chargeOf(chargedBytes);
      return { $set: { rev, ...kind, sizeBytes: row.sizeBytes, chargedBytes: charged, mime, version, updatedAt: at } };
    }
    case 'move':
      return { $set: { rev, path: row.path, key: keyOf(row.path) } };
    case 'delete':
      return { $set: { rev, deletedAt: at, deletedBy: userId, deletionId: id }, $unset: { key: '' } };
    case 'restore':
      break;
  }
  return {
    $set: { rev, path: row.path, key: keyOf(row.path), updatedAt: at },
    $unset: { deletedAt: '', deletedBy: '', deletionId: '' },
  };
}

/** The change is over; one with a key is remembered for a while, for those who have not heard of its outcome. */
function endOf({ key }: PendingChange): mongo.UpdateFilter<TreeRecord> {
  return {
    $unset: { pending: '' },
    ...(key && { $push: { done: { $each: [key], $slice: -REMEMBERED } } }),
  };
}
