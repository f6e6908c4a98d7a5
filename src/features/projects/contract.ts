/** Projects: every operation and event. */
import { z } from 'zod';
import { ClientId, Empty, event, givenName, Id, LIMITS, listInput, operation, pageOf } from '../../protocol/index.ts';
import { memberOperations } from './member-operations.ts';
import { Project, ProjectMember, ProjectStatus, Settings, Template, Visibility } from './shapes.ts';

export * from './shapes.ts';

const projectId = { projectId: Id };
const projectKey = (input: { projectId: string }): string => input.projectId;
const Name = givenName(3, 100);
const Description = z.string().trim().max(500);
const flag = z.stringbool().or(z.boolean());
const theProject = z.object({ project: Project });

export const projectsContract = {
  'project:create': operation({
    input: z.strictObject({
      name: Name,
      description: Description.optional(),
      template: Template.default('empty'),
      visibility: Visibility.default('private'),
      settings: Settings.optional(),
      clientId: ClientId.optional(),
    }),
    output: theProject,
    auth: 'user',
    rate: 'writes',
    timeoutMs: LIMITS.projectFillMs,
    http: { route: 'POST /api/projects' },
    doc: `Makes a project with the caller as its owner and the template's files in it. At most ${LIMITS.projectsPerUser} projects of one owner.`,
  }),
  'project:list': operation({
    input: z.strictObject({
      ...listInput,
      status: z
        .enum([...ProjectStatus.options, 'deleted'])
        .optional()
        .meta({ description: '`deleted`: those that the caller may restore; else all others' }),
      search: z.string().trim().min(1).max(100).optional().meta({ description: 'Part of the name' }),
      starred: flag.optional(),
    }),
    output: pageOf(Project),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects' },
    doc: "The caller's projects, the last changed first.",
  }),
  'project:get': operation({
    input: z.strictObject(projectId),
    output: theProject,
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects/:projectId' },
    doc: "A project of the caller, or a public one. On a socket a member hears the project's events from then on, if they did not before.",
  }),
  'project:update': operation({
    input: z.strictObject({
      ...projectId,
      name: Name.optional(),
      description: Description.optional(),
      settings: Settings.optional().meta({ description: 'Replaces all settings' }),
      visibility: Visibility.optional(),
      status: ProjectStatus.extract(['active', 'archived']).optional(),
    }),
    output: theProject,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'PUT /api/projects/:projectId' },
    doc: 'Changes name, description or settings (owner and editors), visibility or status (owner). Who loses what they could see loses it at once.',
  }),
  'project:delete': operation({
    input: z.strictObject(projectId),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'DELETE /api/projects/:projectId' },
    doc: `Deletes the project for everyone (owner). It can be restored for ${LIMITS.restoreDays} days, then it goes for ever with everything in it.`,
  }),
  'project:restore': operation({
    input: z.strictObject(projectId),
    output: theProject,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'POST /api/projects/:projectId/restore' },
    doc: 'Brings a deleted project back, for all who were members (owner).',
  }),
  'project:duplicate': operation({
    input: z.strictObject({ ...projectId, name: Name.optional(), clientId: ClientId.optional() }),
    output: theProject,
    auth: 'user',
    rate: 'writes',
    timeoutMs: LIMITS.projectFillMs,
    http: { route: 'POST /api/projects/:projectId/duplicate' },
    doc: 'Makes a private project of the caller with the same files, of one that they may read. Members, invites and chats are not copied; settings are where the caller is a member.',
  }),
  'project:star': operation({
    input: z.strictObject({ ...projectId, on: flag }),
    output: theProject,
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    http: { route: 'PUT /api/projects/:projectId/star' },
    doc: "The caller's own mark. For members only.",
  }),
  ...memberOperations,
};

const membership = ProjectMember.extend({ projectId: Id });

export const projectsEvents = {
  'project:created': event({
    data: theProject,
    doc: 'The user is now a member of the project, which is new, or back.',
  }),
  'project:updated': event({
    data: theProject,
    doc: "Something of the project changed; to all members, without what is each one's own. To the user's own sockets also when they star it, with it.",
  }),
  'project:deleted': event({
    data: z.object({ projectId: Id }),
    doc: 'The project is gone for the user: deleted, or no longer theirs.',
  }),
  'project:member-joined': event({ data: membership, doc: 'Somebody is a member now.' }),
  'project:role-changed': event({ data: membership, doc: 'A member has another role.' }),
  'project:member-left': event({
    data: z.object({ projectId: Id, userId: Id }),
    doc: 'Somebody is no member any more; they hear it too.',
  }),
};
