/** Operations on who is in a project: members, roles, invites. */
import { z } from 'zod';
import { ClientId, Empty, Id, LIMITS, listInput, operation, pageOf, Time, wireInt } from '../../protocol/index.ts';
import { GivenRole, Invite, Project, ProjectMember, ProjectRole } from './shapes.ts';

const projectId = { projectId: Id };
const projectKey = (input: { projectId: string }): string => input.projectId;
const theProject = z.object({ project: Project });
const DAY_SECONDS = 86_400;

export const memberOperations = {
  'project:members': operation({
    input: z.strictObject({ ...projectId, ...listInput }),
    output: pageOf(ProjectMember.extend({ joinedAt: Time })),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects/:projectId/members' },
    doc: 'The members, longest-standing first. For members only.',
  }),
  'project:add-member': operation({
    input: z.strictObject({ ...projectId, userId: Id, role: GivenRole.default('editor') }),
    output: theProject,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'POST /api/projects/:projectId/members' },
    doc: `Adds a member (owner); who is one already is left as they are. At most ${LIMITS.membersPerProject}. An unknown user is not_found.`,
  }),
  'project:remove-member': operation({
    input: z.strictObject({ ...projectId, userId: Id }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'DELETE /api/projects/:projectId/members/:userId' },
    doc: 'Removes a member (owner), or oneself as `project:leave` does. Links that were there before do not let them back in.',
  }),
  'project:set-role': operation({
    input: z.strictObject({ ...projectId, userId: Id, role: ProjectRole }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'PUT /api/projects/:projectId/members/:userId' },
    doc: "Sets another member's role (owner). Making somebody the owner makes the caller an editor: a project has one owner.",
  }),
  'project:leave': operation({
    input: z.strictObject(projectId),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'POST /api/projects/:projectId/leave' },
    doc: 'The caller is no member any more. The owner hands the project over first, else it is a conflict.',
  }),
  'project:invite': operation({
    input: z.strictObject({
      ...projectId,
      role: GivenRole.default('editor'),
      maxUses: wireInt(1, LIMITS.inviteUsesMax).default(1),
      expiresInSeconds: wireInt(60, LIMITS.inviteDaysMax * DAY_SECONDS).default(7 * DAY_SECONDS),
      clientId: ClientId.optional(),
    }),
    output: z.object({
      invite: Invite,
      token: z.string().meta({ description: 'Shown here only: put it into the link' }),
    }),
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'POST /api/projects/:projectId/invites' },
    doc: `Makes a token that lets whoever has it join (owner). At most ${LIMITS.invitesPerProject} open invites of a project.`,
  }),
  'project:invites': operation({
    input: z.strictObject({ ...projectId, ...listInput }),
    output: pageOf(Invite),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects/:projectId/invites' },
    doc: 'The invites that have not expired or been revoked, the newest first (owner). Tokens are not among it.',
  }),
  'project:revoke-invite': operation({
    input: z.strictObject({ ...projectId, inviteId: Id }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'DELETE /api/projects/:projectId/invites/:inviteId' },
    doc: 'Ends an invite (owner). Who came by it stays.',
  }),
  'project:accept-invite': operation({
    input: z.strictObject({ token: z.string().min(1).max(100) }),
    output: theProject,
    auth: 'user',
    rate: 'writes',
    http: { route: 'POST /api/projects/accept-invite' },
    doc: 'Joins a project by a token. Who is a member already stays as they are and uses nothing up. A token that is unknown, expired, revoked or used up is not_found.',
  }),
};
