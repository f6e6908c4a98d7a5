/**
 * Invites by link. A token follows from its invite's id and a key of the server, so that a repeated request shows the
 * same one; stored is its hash. Who uses an invite is written into it by the same write that takes a use, so that who
 * was cut off in between comes in at the next try.
 */
import { createHash, type KeyObject } from 'node:crypto';
import { Types, type Model } from 'mongoose';
import type { Audit } from '../../observability/audit.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import { deriveKey, keyedHash } from '../auth/index.ts';
import { belowPlace, derivedId, type Place } from '../chat/index.ts';
import type { MemberChanges } from './member-changes.ts';
import type { Members } from './members.ts';
import { LIVE, type InviteRecord, type ProjectModels, type ProjectRecord } from './model.ts';
import type { Actor } from './project-changes.ts';
import type { GivenRole, Invite } from './shapes.ts';

export interface InvitesDeps {
  models: ProjectModels;
  members: Members;
  memberChanges: MemberChanges;
  /** What tokens are made with; a key of its own is derived from it. */
  secret: string;
  audit: Audit;
  now: () => number;
}

export interface NewInvite {
  role: GivenRole;
  maxUses: number;
  expiresInSeconds: number;
  clientId?: string | undefined;
}

export class Invites {
  readonly #deps: InvitesDeps;
  readonly #model: Model<InviteRecord>;
  readonly #key: KeyObject;

  constructor(deps: InvitesDeps) {
    this.#deps = deps;
    this.#model = deps.models.invites;
    this.#key = deriveKey(deps.secret, 'project-invites');
  }

  async create(
    projectId: string,
    { userId, origin }: Actor,
    input: NewInvite,
  ): Promise<{ invite: Invite; token: string }> {
    const { audit, now } = this.#deps;
    const { role, maxUses, expiresInSeconds, clientId } = input;
    const _id =
      clientId === undefined ? new Types.ObjectId() : derivedId(userId, 'project:invite', projectId, clientId);
    const token = keyedHash(this.#key, _id.toHexString());
    const first = await this.#find({ _id });
    if (first) return { invite: toInvite(first), token };
    const project = new Types.ObjectId(projectId);
    if ((await this.#model.collection.countDocuments(this.#open(project))) >= LIMITS.invitesPerProject) {
      throw new Fault('quota_exceeded', `A project has at most ${LIMITS.invitesPerProject} open invites`);
    }
    const row: InviteRecord = {
      _id,
      projectId: project,
      tokenHash: hashOf(token),
      role,
      createdBy: new Types.ObjectId(userId),
      createdAt: new Date(now()),
      expiresAt: new Date(now() + expiresInSeconds * 1_000),
      maxUses,
      usesLeft: maxUses,
      usedBy: [],
    };
    try {
      await this.#model.collection.insertOne(row);
    } catch (error) {
      if (duplicateIndexOf(error) === undefined) throw error;
      // A twin of this request was faster: its invite is the outcome.
      return { invite: toInvite((await this.#find({ _id })) ?? row), token };
    }
    const detail = { role, maxUses };
    audit.record({
      action: 'project.invite',
      userId,
      projectId,
      target: _id.toHexString(),
      ok: true,
      origin,
      detail,
    });
    return { invite: toInvite(row), token };
  }

  /** A page of those that can still be used or have been, newest first. */
  page(projectId: string, limit: number, after?: Place): Promise<InviteRecord[]> {
    return this.#model.collection
      .find<InviteRecord>({
        ...this.#open(new Types.ObjectId(projectId)),
        ...(after ? belowPlace('createdAt', after) : {}),
      })
      .sort({ createdAt: -1, _id: -1 })
      .limit(limit)
      .toArray();
  }

  /** Revoking again changes nothing. */
  async revoke(projectId: string, { userId, origin }: Actor, inviteId: string): Promise<void> {
    const { deletedCount } = await this.#model.collection.deleteOne({
      _id: new Types.ObjectId(inviteId),
      projectId: new Types.ObjectId(projectId),
    });
    if (deletedCount === 0) return;
    this.#deps.audit.record({
      action: 'project.revoke-invite',
      userId,
      projectId,
      target: inviteId,
      ok: true,
      origin,
    });
  }

  /** Resolves with the project that the user is a member of then. */
  async accept({ userId, origin }: Actor, token: string): Promise<string> {
    const { models, members, memberChanges, audit } = this.#deps;
    const invite = await this.#find({ tokenHash: hashOf(token), expiresAt: { $gt: new Date(this.#deps.now()) } });
    if (!invite) throw notGood();
    const { _id, projectId: id, role } = invite;
    const project = await models.projects.collection.findOne<ProjectRecord>({ _id: id, ...LIVE });
    if (!project) throw notGood();
    const projectId = id.toHexString();
    const row = await members.find(id, userId);
    if (row?.state === 'active') return projectId;
    // Whom the owner has removed is not let in by a link from before.
    if (row?.removedAt && row.removedAt >= invite.createdAt) throw notGood();
    await memberChanges.assertRoom(projectId);
    await this.#use(invite, userId);
    await memberChanges.join(projectId, userId, role, (joined) => {
      if (!joined) return;
      const detail = { invite: _id.toHexString(), role };
      audit.record({ action: 'project.accept-invite', userId, projectId, target: userId, ok: true, origin, detail });
    });
    return projectId;
  }

  /** Takes one use, unless the user has taken one before. */
  async #use({ _id, usedBy }: InviteRecord, userId: string): Promise<void> {
    const user = new Types.ObjectId(userId);
    if (usedBy.some((id) => id.equals(user))) return;
    const use: object = { $inc: { usesLeft: -1 }, $push: { usedBy: user } };
    const { modifiedCount } = await this.#model.collection.updateOne(
      { _id, expiresAt: { $gt: new Date(this.#deps.now()) }, usesLeft: { $gt: 0 }, usedBy: { $ne: user } },
      use,
    );
    if (modifiedCount > 0) return;
    // A twin of this request may have taken it.
    if (!(await this.#find({ _id, usedBy: user }))) throw notGood();
  }

  #open(projectId: Types.ObjectId): object {
    return { projectId, expiresAt: { $gt: new Date(this.#deps.now()) } };
  }

  async #find(filter: object): Promise<InviteRecord | undefined> {
    return (await this.#model.collection.findOne<InviteRecord>(filter)) ?? undefined;
  }
}

export function toInvite(row: InviteRecord): Invite {
  const { _id, projectId, role, maxUses, usesLeft, createdBy, createdAt, expiresAt } = row;
  return {
    id: _id.toHexString(),
    projectId: projectId.toHexString(),
    role,
    uses: maxUses - usesLeft,
    maxUses,
    createdBy: createdBy.toHexString(),
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  };
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64url');
const notGood = (): Fault => new Fault('not_found', 'This invite is not good, or not any more');
