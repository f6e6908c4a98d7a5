/** How projects, their members and invites are stored. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';
import type { GivenRole, ProjectStatusName, TemplateName, VisibilityName } from './shapes.ts';

type ObjectId = Types.ObjectId;

export interface ProjectRecord {
  _id: ObjectId;
  name: string;
  description: string;
  template: TemplateName;
  status: ProjectStatusName;
  visibility: VisibilityName;
  /** The one truth about ownership: handing over is one write. */
  ownerId: ObjectId;
  /** JSON: its keys may be any text. */
  settings: string;
  createdAt: Date;
  updatedAt: Date;
  /** When who may do what changed for everybody, by the clock of the node that wrote it. */
  accessChangedAt: Date;
  deletedAt?: Date;
  /** Its first files are not all there yet; `from` is the project that they are copied from. */
  filling?: { since: Date; from?: ObjectId };
}

/**
 * Rows stay while their project exists: who left keeps one with `state: 'left'`, by which nodes that missed the notice
 * find out. The owner's row has the role that they would have without the ownership.
 */
export interface ProjectMemberRecord {
  _id: ObjectId;
  projectId: ObjectId;
  userId: ObjectId;
  state: 'active' | 'left';
  role: GivenRole;
  joinedAt: Date;
  /** When role or state changed last, by the clock of the node that wrote it. */
  changedAt: Date;
  /** When the owner removed them last. */
  removedAt?: Date;
  starred: boolean;
}

export interface InviteRecord {
  _id: ObjectId;
  projectId: ObjectId;
  /** SHA-256 of the token, base64url. */
  tokenHash: string;
  role: GivenRole;
  createdBy: ObjectId;
  createdAt: Date;
  expiresAt: Date;
  maxUses: number;
  usesLeft: number;
  /** Who has used it, each once; at most `maxUses`. */
  usedBy: ObjectId[];
}

export interface ProjectModels {
  projects: Model<ProjectRecord>;
  members: Model<ProjectMemberRecord>;
  invites: Model<InviteRecord>;
}

/** The filter of projects that are there. */
export const LIVE = { deletedAt: { $exists: false } } as const;
/** The filter of memberships that count. */
export const ACTIVE = { state: 'active' } as const;

export function createProjectModels(connection: Connection): ProjectModels {
  const { ObjectId, Mixed } = Schema.Types;
  const project = new Schema<ProjectRecord>(
    {
      name: { type: String, required: true },
      description: String,
      template: { type: String, required: true },
      status: { type: String, required: true },
      visibility: { type: String, required: true },
      ownerId: { type: ObjectId, required: true },
      settings: { type: String, required: true },
      createdAt: { type: Date, required: true },
      updatedAt: { type: Date, required: true },
      accessChangedAt: { type: Date, required: true },
      deletedAt: Date,
      filling: Mixed,
    },
    { versionKey: false },
  );
  project.index({ ownerId: 1, deletedAt: 1 }, { name: 'owner' });
  project.index({ accessChangedAt: 1 }, { name: 'access_changed' });
  project.index({ updatedAt: 1 }, { name: 'updated' });
  project.index({ deletedAt: 1 }, { name: 'deleted', partialFilterExpression: { deletedAt: { $exists: true } } });
  project.index(
    { 'filling.since': 1 },
    { name: 'filling', partialFilterExpression: { 'filling.since': { $exists: true } } },
  );

  const member = new Schema<ProjectMemberRecord>(
    {
      projectId: { type: ObjectId, required: true },
      userId: { type: ObjectId, required: true },
      state: { type: String, required: true },
      role: { type: String, required: true },
      joinedAt: { type: Date, required: true },
      changedAt: { type: Date, required: true },
      removedAt: Date,
      starred: { type: Boolean, required: true },
    },
    { versionKey: false },
  );
  member.index({ projectId: 1, userId: 1 }, { unique: true, name: 'project_user' });
  member.index({ projectId: 1, joinedAt: 1, _id: 1 }, { name: 'project_joined' });
  member.index({ userId: 1, state: 1, projectId: 1 }, { name: 'user_project' });
  member.index({ changedAt: 1 }, { name: 'changed' });

  const invite = new Schema<InviteRecord>(
    {
      projectId: { type: ObjectId, required: true },
      tokenHash: { type: String, required: true },
      role: { type: String, required: true },
      createdBy: { type: ObjectId, required: true },
      createdAt: { type: Date, required: true },
      expiresAt: { type: Date, required: true },
      maxUses: { type: Number, required: true },
      usesLeft: { type: Number, required: true },
      usedBy: [ObjectId],
    },
    { versionKey: false },
  );
  invite.index({ tokenHash: 1 }, { unique: true, name: 'token' });
  invite.index({ projectId: 1, createdAt: -1, _id: -1 }, { name: 'project_newest' });
  invite.index({ expiresAt: 1 }, { name: 'expired', expireAfterSeconds: 0 });

  return {
    projects: connection.model<ProjectRecord>('Project', project, 'projects'),
    members: connection.model<ProjectMemberRecord>('ProjectMember', member, 'projectMembers'),
    invites: connection.model<InviteRecord>('ProjectInvite', invite, 'projectInvites'),
  };
}
