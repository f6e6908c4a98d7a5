/** What projects, their members and invites look like on the wire. */
import { z } from 'zod';
import { Id, LIMITS, Time, utf8Length } from '../../protocol/index.ts';

export const ProjectRole = z.enum(['owner', 'editor', 'viewer']);
export type ProjectRole = z.output<typeof ProjectRole>;

/** The roles that can be given away; ownership is handed over. */
export const GivenRole = ProjectRole.exclude(['owner']);
export type GivenRole = z.output<typeof GivenRole>;

export const Template = z.enum(['react', 'nextjs', 'vue', 'html', 'node', 'empty']);
export type TemplateName = z.output<typeof Template>;

export const Visibility = z.enum(['private', 'public']);
export type VisibilityName = z.output<typeof Visibility>;

export const ProjectStatus = z.enum(['active', 'archived', 'deploying', 'deployed']);
export type ProjectStatusName = z.output<typeof ProjectStatus>;

/** Opaque to the server: kept and given back as it is. */
export const Settings = z
  .record(z.string().min(1).max(64), z.json())
  .refine((value) => utf8Length(JSON.stringify(value), LIMITS.projectSettingsBytes) <= LIMITS.projectSettingsBytes, {
    error: `must be at most ${LIMITS.projectSettingsBytes} bytes of JSON`,
  })
  .meta({ description: `Any JSON object of at most ${LIMITS.projectSettingsBytes} bytes` });
export type Settings = z.output<typeof Settings>;

export const ProjectMember = z.object({ userId: Id, role: ProjectRole });
export type ProjectMember = z.output<typeof ProjectMember>;

export const Project = z
  .object({
    id: Id,
    name: z.string(),
    description: z.string(),
    template: Template,
    status: ProjectStatus,
    visibility: Visibility,
    owner: Id,
    members: z
      .array(ProjectMember)
      .optional()
      .meta({ description: 'The longest-standing members, at most 50; of one project only, and for members only' }),
    settings: z.record(z.string(), z.json()).optional().meta({ description: 'For members only' }),
    role: ProjectRole.optional().meta({
      description: "The caller's; missing for who is no member, and in room events",
    }),
    starred: z.boolean().optional().meta({ description: "The caller's own mark; missing as `role` is" }),
    createdAt: Time,
    updatedAt: Time,
    deletedAt: Time.optional(),
  })
  .meta({ id: 'Project' });
export type Project = z.output<typeof Project>;

export const Invite = z
  .object({
    id: Id,
    projectId: Id,
    role: GivenRole,
    uses: z.int(),
    maxUses: z.int(),
    createdBy: Id,
    createdAt: Time,
    expiresAt: Time,
  })
  .meta({ id: 'Invite' });
export type Invite = z.output<typeof Invite>;
