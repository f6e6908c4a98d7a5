/** Operations on files and their places. */
import { z } from 'zod';
import { ClientId, Id, LIMITS, listInput, operation, pageOf, Time, wireInt } from '../../protocol/index.ts';
import { DeletedFile, File, fileKey, fileOrPath, FilePath, isOneFile, Language, oneFile } from './shapes.ts';

const theProject = { projectId: Id };
const theFile = z.object({ file: File });
const Content = z.string();
const flag = z.stringbool().or(z.boolean());

const moved = z.object({
  file: File.optional().meta({ description: 'If it was one file' }),
  files: z.array(File).meta({ description: 'All of them' }),
});

const Match = z.object({
  fileId: Id,
  path: z.string(),
  line: z.int().meta({ description: 'From 1' }),
  column: z.int().meta({ description: 'From 1, in UTF-16 units' }),
  preview: z.string().meta({ description: 'The line around it' }),
});

export const HistoryEntry = z.object({
  versionId: z.string(),
  createdAt: Time,
  sizeBytes: z.int().optional(),
  userId: Id.optional(),
  name: z.string().optional().meta({ description: 'What somebody called it' }),
  url: z.string().optional().meta({ description: "Of a blob's version: signed, serves without a token for a while" }),
});
export type HistoryEntry = z.output<typeof HistoryEntry>;

const days = `${LIMITS.restoreDays} days`;

export const fileOperations = {
  'file:create': operation({
    input: z.strictObject({
      ...theProject,
      path: FilePath,
      content: Content.optional(),
      language: Language.optional(),
      clientId: ClientId.optional(),
    }),
    output: theFile,
    auth: 'user',
    rate: 'writes',
    orderKey: fileKey,
    maxBytes: LIMITS.fileSocketBytes,
    http: { route: 'POST /api/projects/:projectId/files', maxBytes: LIMITS.fileHttpBytes },
    doc: `Makes a text file, empty without \`content\`. A place that is taken, in whatever case, is a conflict: by a file, by a folder, or by a file where the path needs a folder. A text over ${LIMITS.documentTextBytes} bytes is too_large: upload it, and it is a blob. More than ${LIMITS.filesPerProject} files in a project are quota_exceeded.`,
  }),
  'file:list': operation({
    input: z.strictObject({
      ...theProject,
      under: FilePath.optional().meta({ description: 'Only what lies in this folder, at whatever depth' }),
      ...listInput,
      cursor: z.string().max(4_096).optional().meta({ description: 'The `next` of the page before' }),
    }),
    output: pageOf(File),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects/:projectId/files' },
    doc: "The project's files in the order of their paths, in which case does not count.",
  }),
  'file:tree': operation({
    input: z.strictObject(theProject),
    output: z.object({
      files: z.array(File),
      folders: z.array(z.string()).meta({ description: 'All folders. A folder is there while something lies in it' }),
    }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects/:projectId/tree' },
    doc: 'All files at one moment: of what changes together, either nothing has changed or everything has.',
  }),
  'file:read': operation({
    input: z.strictObject(fileOrPath).refine(isOneFile, oneFile),
    output: z.object({
      file: File,
      content: z.string().optional(),
      url: z.string().optional().meta({ description: 'Of a blob: signed, serves without a token until urlExpiresAt' }),
      urlExpiresAt: Time.optional(),
    }),
    auth: 'user',
    rate: 'reads',
    orderKey: fileKey,
    http: { route: 'GET /api/files/:fileId' },
    doc: 'A file by its id, or by its project and path, with its text; of a blob an address instead. A deleted one is not_found.',
  }),
  'file:write': operation({
    input: z.strictObject({ ...fileOrPath, content: Content }).refine(isOneFile, oneFile),
    output: theFile,
    auth: 'user',
    rate: 'writes',
    orderKey: fileKey,
    maxBytes: LIMITS.fileSocketBytes,
    http: { route: 'PUT /api/files/:fileId', maxBytes: LIMITS.fileHttpBytes },
    doc: `Gives a text file a new text, by id or by project and path. What differs is changed in the live document: others go on typing. A text over ${LIMITS.documentTextBytes} bytes is too_large, since a text stays a text; a blob is unsupported: upload its new version.`,
  }),
  'file:write-many': operation({
    input: z.strictObject({
      ...theProject,
      files: z
        .array(z.strictObject({ path: FilePath, content: Content }))
        .min(1)
        .max(LIMITS.filesPerWrite),
      clientId: ClientId.optional(),
    }),
    output: z.object({ files: z.array(File) }),
    auth: 'user',
    rate: 'writes',
    orderKey: fileKey,
    maxBytes: LIMITS.fileWriteManyBytes,
    timeoutMs: 30_000,
    http: { route: 'POST /api/projects/:projectId/files/write-many' },
    doc: 'Writes all of these files or none: what is there gets the new text as by file:write, the rest is created. Refused as these are, naming the path; a path named twice is invalid.',
  }),
  'file:rename': operation({
    input: z.strictObject({ ...fileOrPath, newPath: FilePath }).refine(isOneFile, oneFile),
    output: moved,
    auth: 'user',
    rate: 'writes',
    orderKey: fileKey,
    http: {
      route: 'POST /api/files/:fileId/rename',
      alias: 'POST /api/projects/:projectId/rename',
    },
    doc: 'Moves a file, or a folder (by project and path) with everything in it, at once. A place that is taken is a conflict, and a folder cannot be moved into itself. Ids stay, and open documents stay open.',
  }),
  'file:delete': operation({
    input: z.strictObject(fileOrPath).refine(isOneFile, oneFile),
    output: moved,
    auth: 'user',
    rate: 'writes',
    orderKey: fileKey,
    http: { route: 'DELETE /api/files/:fileId', alias: 'DELETE /api/projects/:projectId/files' },
    doc: `Deletes a file, or a folder (by project and path) with everything in it. It can be restored for ${days}, then it goes for ever.`,
  }),
  'file:trash': operation({
    input: z.strictObject({ ...theProject, ...listInput }),
    output: pageOf(DeletedFile),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/projects/:projectId/trash' },
    doc: 'Deleted files that can be restored, the newest deletion first.',
  }),
  'file:restore': operation({
    input: z
      .strictObject({
        fileId: Id.optional(),
        newPath: FilePath.optional().meta({ description: 'Another place for it' }),
        projectId: Id.optional(),
        deletionId: Id.optional(),
      })
      .refine(
        ({ fileId, newPath, projectId, deletionId }) =>
          fileId === undefined
            ? projectId !== undefined && deletionId !== undefined && newPath === undefined
            : projectId === undefined && deletionId === undefined,
        { error: 'Give fileId, or projectId and deletionId' },
      ),
    output: moved,
    auth: 'user',
    rate: 'writes',
    orderKey: fileKey,
    http: {
      route: 'POST /api/files/:fileId/restore',
      alias: 'POST /api/projects/:projectId/trash/:deletionId/restore',
    },
    doc: 'Brings a deleted file back with its text and versions, or all that was deleted together. A place taken meanwhile is a conflict; a file that is there is left as it is.',
  }),
  'file:set-language': operation({
    input: z.strictObject({
      fileId: Id,
      language: Language.nullable().meta({ description: 'null: what the path suggests' }),
    }),
    output: theFile,
    auth: 'user',
    rate: 'writes',
    orderKey: fileKey,
    http: { route: 'PUT /api/files/:fileId/language' },
    doc: 'Says what language a file is in, whatever its path suggests. Told as file:changed.',
  }),
  'file:search': operation({
    input: z.strictObject({
      ...theProject,
      query: z.string().min(1).max(LIMITS.fileSearchLength),
      caseSensitive: flag.optional(),
      limit: wireInt(1, LIMITS.fileSearchResults).optional(),
    }),
    output: z.object({
      items: z.array(Match),
      names: z.array(File).meta({ description: 'Files whose path contains it' }),
      truncated: z.boolean().meta({ description: 'There may be more: of results, or of texts that were not read' }),
    }),
    auth: 'user',
    rate: 'search',
    http: { route: 'GET /api/projects/:projectId/search' },
    doc: `Where the project's texts and paths contain \`query\`, literally; case does not count unless \`caseSensitive\`. At most ${LIMITS.fileSearchResults} places (50 without \`limit\`), within ${LIMITS.fileSearchBytes} bytes of text, in the order of the paths.`,
  }),
  'file:history': operation({
    input: z.strictObject({ fileId: Id, ...listInput }),
    output: pageOf(HistoryEntry),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/files/:fileId/history' },
    doc: "A file's versions, the newest first: those of its document, or those that are kept of a blob.",
  }),
};
