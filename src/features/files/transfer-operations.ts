/** Operations on content that is no text, and on whole projects. */
import { z } from 'zod';
import { ClientId, Id, LIMITS, operation, Time, wireInt } from '../../protocol/index.ts';
import { File, FilePath } from './shapes.ts';

const mib = (bytes: number): string => `${bytes / 1_048_576} MiB`;
const theProject = { projectId: Id };
const projectKey = (input: { projectId: string }): string => input.projectId;

export const transferOperations = {
  'file:upload-url': operation({
    input: z.strictObject({
      ...theProject,
      path: FilePath,
      sizeBytes: wireInt(0, LIMITS.projectFileBytes).meta({
        description: 'What it will have: at most, at an address of this server; exactly, at one of a store',
      }),
      clientId: ClientId.optional(),
    }),
    output: z.object({
      uploadId: Id,
      method: z.literal('PUT'),
      url: z.string().meta({ description: 'Of this server if it begins with a slash' }),
      headers: z.record(z.string(), z.string()).meta({ description: 'To be sent with it' }),
      urlExpiresAt: Time,
    }),
    auth: 'user',
    rate: 'uploads',
    http: { route: 'POST /api/projects/:projectId/files/upload-url' },
    doc: `An address to send a file's content to, by PUT and without a token. Of this server, it answers with the file; of a store, \`file:upload-done\` makes the file. At most ${mib(LIMITS.projectFileBytes)}.`,
  }),
  'file:upload-done': operation({
    input: z.strictObject({ uploadId: Id }),
    output: z.object({ file: File }),
    auth: 'user',
    rate: 'uploads',
    timeoutMs: LIMITS.snapshotMs,
    http: { route: 'POST /api/uploads/:uploadId/done' },
    doc: 'Makes a file of what was sent to an address: text becomes a document, everything else a blob, what is there gets a new text or version. Before anything was sent it is a conflict; again, it gives the same file.',
  }),
  'file:restore-version': operation({
    input: z.strictObject({ fileId: Id, versionId: Id }),
    output: z.object({ file: File }),
    auth: 'user',
    rate: 'writes',
    orderKey: ({ fileId }) => fileId,
    http: { route: 'POST /api/files/:fileId/history/:versionId/restore' },
    doc: 'Makes an earlier version of a blob the newest one. For texts there is doc:restore.',
  }),
  'project:snapshot': operation({
    input: z.strictObject(theProject),
    output: z.object({
      files: z.array(z.object({ path: z.string(), key: z.string(), url: z.string() })),
      createdAt: Time,
    }),
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    timeoutMs: LIMITS.snapshotMs,
    http: { route: 'POST /api/projects/:projectId/snapshot' },
    doc: "Copies all files into the blob store as `users/{userId}/projects/{projectId}/{path}` with their content types, in place of the caller's earlier snapshot of the project. The addresses serve without a token for an hour.",
  }),
  'project:restore-snapshot': operation({
    input: z.strictObject(theProject),
    output: z.object({ files: z.array(File) }),
    auth: 'user',
    rate: 'writes',
    orderKey: projectKey,
    timeoutMs: LIMITS.snapshotMs,
    http: { route: 'POST /api/projects/:projectId/snapshot/restore' },
    doc: "Writes the files of the caller's snapshot back into the project, all or none: as edits that everyone sees. Files that are not in it stay.",
  }),
};
