/** How base records are stored: one row for each file of a project that was synchronised. */
import { randomBytes } from 'node:crypto';
import { mongo, Schema, Types, type Connection, type Model } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { BaseHead, BaseRecord, BaseStore, Step } from './base-record.ts';

/** A state; absent `bytes` are in the blob of that key. */
interface StoredState {
  bytes?: mongo.Binary;
  blobKey?: string;
}

type Flushing = Extract<Step, { kind: 'flushing' }>;
type StoredStep = Exclude<Step, Flushing> | (Omit<Flushing, 'state'> & { state: StoredState });

export interface WorkspaceBaseRow {
  /** The file's. */
  _id: Types.ObjectId;
  projectId: Types.ObjectId;
  path: string;
  kind: BaseRecord['kind'];
  hash?: string;
  state: StoredState;
  eol: BaseRecord['eol'];
  client?: number;
  step: StoredStep;
  rev: number;
}

/** Which disk a project's rows are about. */
export interface WorkspaceRow {
  /** The project's. */
  _id: Types.ObjectId;
  mark: string;
}

export interface WorkspaceModels {
  bases: mongo.Collection<WorkspaceBaseRow>;
  workspaces: mongo.Collection<WorkspaceRow>;
}

export function createWorkspaceModels(connection: Connection): WorkspaceModels {
  const { Mixed, ObjectId } = Schema.Types;
  const schema = new Schema<WorkspaceBaseRow>(
    {
      projectId: { type: ObjectId, required: true },
      path: { type: String, required: true },
      kind: { type: String, required: true },
      hash: String,
      state: { type: Mixed, required: true },
      eol: { type: String, required: true },
      client: Number,
      step: { type: Mixed, required: true },
      rev: { type: Number, required: true },
    },
    { versionKey: false, collection: 'workspace_bases' },
  );
  schema.index({ projectId: 1 }, { name: 'project' });
  const workspace = new Schema<WorkspaceRow>({ mark: { type: String, required: true } }, { versionKey: false });
  return {
    bases: collectionOf(connection.model<WorkspaceBaseRow>('WorkspaceBase', schema)),
    workspaces: collectionOf(connection.model<WorkspaceRow>('Workspace', workspace, 'workspaces')),
  };
}

const collectionOf = <T extends object>(model: Model<T>): mongo.Collection<T> =>
  model.collection as unknown as mongo.Collection<T>;

export interface WorkspaceStoreDeps {
  models: WorkspaceModels;
  /** Where states are kept that are too large for a row. */
  blobs: Pick<Blobs, 'put' | 'get' | 'remove'>;
}

/** The project is gone: so is what was stored of its workspace. May be repeated. */
export async function removeBases({ models, blobs }: WorkspaceStoreDeps, projectId: string): Promise<void> {
  const project = new Types.ObjectId(projectId);
  await removeRows({ models, blobs }, project);
  await models.workspaces.deleteOne({ _id: project });
}

/** Blobs first: nobody would know of them afterwards. */
async function removeRows({ models, blobs }: WorkspaceStoreDeps, projectId: Types.ObjectId): Promise<void> {
  const large = { $or: [{ 'state.blobKey': { $exists: true } }, { 'step.state.blobKey': { $exists: true } }] };
  for await (const row of models.bases.find({ projectId, ...large })) {
    for (const key of blobKeysOf(row)) await blobs.remove(key);
  }
  await models.bases.deleteMany({ projectId });
}

function blobKeysOf({ state, step }: Pick<WorkspaceBaseRow, 'state' | 'step'>): string[] {
  const states = [state, ...(step.kind === 'flushing' ? [step.state] : [])];
  return states.flatMap(({ blobKey }) => blobKey ?? []);
}

/** The rows of one project. */
export function createBaseStore({ models, blobs, projectId }: WorkspaceStoreDeps & { projectId: string }): BaseStore {
  const rows = models.bases;
  const project = new Types.ObjectId(projectId);

  const put = async (fileId: string, state: Uint8Array): Promise<StoredState> => {
    if (state.length <= LIMITS.documentSnapshotRowBytes) return { bytes: new mongo.Binary(state) };
    const blobKey = `workspaces/${projectId}/${fileId}-${randomBytes(6).toString('hex')}`;
    await blobs.put(blobKey, state, { contentType: 'application/octet-stream', sizeBytes: state.length });
    return { blobKey };
  };
  const get = async ({ bytes, blobKey }: StoredState): Promise<Uint8Array> => {
    if (blobKey === undefined) return bytes ? new Uint8Array(bytes.buffer) : new Uint8Array();
    const blob = await blobs.get(blobKey);
    if (!blob) throw new Error(`The blob ${blobKey} is missing`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of blob.body) chunks.push(chunk as Uint8Array);
    return new Uint8Array(Buffer.concat(chunks));
  };
  const removeBlobs = async (row: Pick<WorkspaceBaseRow, 'state' | 'step'> | null): Promise<void> => {
    for (const key of row ? blobKeysOf(row) : []) await blobs.remove(key);
  };

  const stepOf = async (fileId: string, step: Step): Promise<StoredStep> =>
    step.kind === 'flushing' ? { ...step, state: await put(fileId, step.state) } : step;

  /** The row before it, if there was the one that it follows. */
  const replace = (row: WorkspaceBaseRow): Promise<WorkspaceBaseRow | null> =>
    rows.findOneAndReplace({ _id: row._id, projectId: project, rev: row.rev - 1 }, row, { returnDocument: 'before' });
  const insert = async (row: WorkspaceBaseRow): Promise<{ state: StoredState; step: StoredStep } | null> => {
    try {
      await rows.insertOne(row);
      return { state: {}, step: { kind: 'agreed' } };
    } catch (error) {
      if (duplicateIndexOf(error) === undefined) throw error;
      return null;
    }
  };

  return {
    async mark() {
      return (await models.workspaces.findOne({ _id: project }))?.mark;
    },

    async begin(mark) {
      await removeRows({ models, blobs }, project);
      await models.workspaces.updateOne({ _id: project }, { $set: { mark } }, { upsert: true });
    },

    async heads(): Promise<BaseHead[]> {
      const found = await rows
        .find({ projectId: project }, { projection: { path: 1, kind: 1, hash: 1, 'step.kind': 1 } })
        .toArray();
      return found.map(({ _id, path, kind, hash, step }) => ({
        fileId: _id.toHexString(),
        path,
        kind,
        hash,
        step: step.kind,
      }));
    },

    async load(fileId) {
      const row = await rows.findOne({ _id: new Types.ObjectId(fileId), projectId: project });
      if (!row) return undefined;
      const { path, kind, hash, eol, client, rev, step } = row;
      return {
        fileId,
        path,
        kind,
        hash,
        eol,
        client,
        rev,
        state: await get(row.state),
        step: step.kind === 'flushing' ? { ...step, state: await get(step.state) } : step,
      };
    },

    async save(record) {
      const { fileId, path, kind, hash, eol, client, step } = record;
      const _id = new Types.ObjectId(fileId);
      const rev = record.rev + 1;
      const row: WorkspaceBaseRow = {
        _id,
        projectId: project,
        path,
        kind,
        ...(hash === undefined ? {} : { hash }),
        state: await put(fileId, record.state),
        eol,
        ...(client === undefined ? {} : { client }),
        step: await stepOf(fileId, step),
        rev,
      };
      const former = record.rev === 0 ? await insert(row) : await replace(row);
      await removeBlobs(former ?? row);
      if (!former) throw new Fault('conflict', 'Somebody else synchronises this file');
      return { ...record, rev };
    },

    async remove(fileId) {
      await removeBlobs(await rows.findOneAndDelete({ _id: new Types.ObjectId(fileId), projectId: project }));
    },
  };
}
