/**
 * What is kept of sandboxes: a row for each there may be, before it is made and until it is gone, so that none is
 * forgotten by a crash; and one for each project's volume, which outlives them.
 */
import { Schema, type Connection, type mongo, type Types } from 'mongoose';
import type { SandboxKind } from '../../sandbox/driver.ts';

type ObjectId = Types.ObjectId;

export interface SandboxRecord {
  /** Its id, 16 hexadecimal digits. */
  _id: string;
  kind: SandboxKind;
  /** The node that has it … */
  nodeId: string;
  /** … and the machine it is on, which nodes may share. */
  hostId: string;
  /** A warm one has no project yet, a run may have none. */
  projectId?: ObjectId;
  /** Whose running sandboxes it counts to: the project's owner, or who runs something. */
  ownerId?: ObjectId;
  volume?: string;
  createdAt: Date;
}

export interface VolumeRecord {
  /** The project's id. */
  _id: ObjectId;
  /** None where it was given up: all that is kept is the archive then. */
  volume?: string;
  /** Of the machine that it is on, or was. */
  hostId: string;
  usedAt: Date;
  /** Its project is gone: a node of its machine removes it. */
  isGone?: boolean;
  archive?: ArchiveRecord;
  /** The archive has all that the volume had when it was used last. */
  isArchived?: boolean;
  /** Former volumes, each for a node of its machine to remove. */
  left?: LeftVolume[];
}

export interface LeftVolume {
  hostId: string;
  volume: string;
  removeAt: Date;
}

/** What was in a volume and is no file of the project. */
export interface ArchiveRecord {
  /** Of its blob. */
  key: string;
  sizeBytes: number;
  /** Of the lease under which it was made. */
  fence: number;
  /** Folders of /work whose packages it does not have, because lockfiles name them. */
  packages?: string[];
}

/** Which machine a node is on. */
export interface HostRecord {
  /** The node's id. */
  _id: string;
  hostId: string;
  /** When it has said so last. */
  seenAt: Date;
}

export interface SandboxModels {
  sandboxes: mongo.Collection<SandboxRecord>;
  volumes: mongo.Collection<VolumeRecord>;
  hosts: mongo.Collection<HostRecord>;
}

export function createSandboxModels(connection: Connection): SandboxModels {
  const sandboxes = new Schema<SandboxRecord>(
    {
      _id: String,
      kind: { type: String, required: true },
      nodeId: { type: String, required: true },
      hostId: { type: String, required: true },
      projectId: Schema.Types.ObjectId,
      ownerId: Schema.Types.ObjectId,
      volume: String,
      createdAt: { type: Date, required: true },
    },
    { versionKey: false },
  );
  sandboxes.index({ hostId: 1 });
  sandboxes.index({ ownerId: 1, kind: 1 });
  sandboxes.index({ projectId: 1 });
  const volumes = new Schema<VolumeRecord>(
    {
      _id: Schema.Types.ObjectId,
      volume: String,
      hostId: { type: String, required: true },
      usedAt: { type: Date, required: true },
      isGone: Boolean,
      archive: { type: { key: String, sizeBytes: Number, fence: Number, packages: [String] }, _id: false },
      isArchived: Boolean,
      left: { type: [{ hostId: String, volume: String, removeAt: Date, _id: false }], default: undefined },
    },
    { versionKey: false },
  );
  volumes.index({ hostId: 1, usedAt: 1 });
  volumes.index({ 'left.hostId': 1 });
  const hosts = new Schema<HostRecord>(
    { _id: String, hostId: { type: String, required: true }, seenAt: { type: Date, required: true } },
    { versionKey: false },
  );
  hosts.index({ hostId: 1 });
  connection.model<SandboxRecord>('Sandbox', sandboxes, 'sandboxes');
  connection.model<VolumeRecord>('SandboxVolume', volumes, 'sandbox_volumes');
  connection.model<HostRecord>('SandboxHost', hosts, 'sandbox_hosts');
  return {
    sandboxes: connection.collection<SandboxRecord>('sandboxes'),
    volumes: connection.collection<VolumeRecord>('sandbox_volumes'),
    hosts: connection.collection<HostRecord>('sandbox_hosts'),
  };
}
