/** What files look like on the wire. */
import { z } from 'zod';
import { Id, LIMITS, Time } from '../../protocol/index.ts';
import { complaintOf, normalizePath } from './paths.ts';

/** A path in its normal form; what cannot be one is refused. */
export const FilePath = z
  .string()
  // Another form of the same path may be longer.
  .max(4 * LIMITS.pathBytes)
  .overwrite(normalizePath)
  .check((payload) => {
    const message = complaintOf(payload.value);
    if (message !== undefined) payload.issues.push({ code: 'custom', message, input: payload.value });
  })
  .meta({
    description: `Where it lies in its project: parts between slashes, at most ${LIMITS.pathBytes} bytes of UTF-8, as src/main.ts`,
  });

export const File = z
  .object({
    id: Id,
    projectId: Id,
    path: z.string(),
    kind: z.enum(['text', 'blob']).meta({ description: 'A text is a document that people edit together' }),
    language: z.string().meta({ description: 'As editors name it; plaintext if nothing is known' }),
    sizeBytes: z.int(),
    updatedAt: Time,
  })
  .meta({ id: 'File' });
export type File = z.output<typeof File>;

export const DeletedFile = File.extend({
  deletedAt: Time,
  deletedBy: Id.optional(),
  deletionId: Id.meta({ description: 'The same for all that was deleted together' }),
  removedAt: Time.meta({ description: 'From then on it cannot be restored' }),
}).meta({ id: 'DeletedFile' });
export type DeletedFile = z.output<typeof DeletedFile>;

export const Language = z
  .string()
  .regex(/^[a-z0-9][a-z0-9+#._-]*$/, 'must be a name in small letters')
  .max(LIMITS.languageLength);

/** A file by its id, or by its place. */
export const fileOrPath = { fileId: Id.optional(), projectId: Id.optional(), path: FilePath.optional() };

export interface FileOrPath {
  fileId?: string | undefined;
  projectId?: string | undefined;
  path?: string | undefined;
}

export const isOneFile = ({ fileId, projectId, path }: FileOrPath): boolean =>
  fileId === undefined ? projectId !== undefined && path !== undefined : projectId === undefined && path === undefined;

export const oneFile = { error: 'Give fileId, or projectId and path' };

/** Operations on one file keep their order, and those on its document with them. */
export const fileKey = ({ fileId, projectId }: FileOrPath): string =>
  fileId === undefined ? `project:${projectId}` : `doc:${fileId}`;
