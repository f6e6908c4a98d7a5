/** Operations on the versions of a document. */
import { z } from 'zod';
import { ClientId, givenName, Id, LIMITS, listInput, operation, pageOf, Time } from '../../protocol/index.ts';

export const DocumentVersion = z
  .object({
    id: Id,
    fileId: Id,
    kind: z.enum(['named', 'automatic', 'before-restore']),
    name: z.string().optional(),
    createdBy: Id.optional().meta({ description: 'Missing in automatic ones' }),
    createdAt: Time,
    sizeBytes: z.int().meta({ description: 'Of the text' }),
  })
  .meta({ id: 'DocumentVersion' });
export type DocumentVersion = z.output<typeof DocumentVersion>;

const theVersion = z.object({ version: DocumentVersion });
const named = { fileId: Id, versionId: Id };
const docKey = ({ fileId }: { fileId: string }): string => `doc:${fileId}`;

export const versionOperations = {
  'doc:versions': operation({
    input: z.strictObject({ fileId: Id, ...listInput }),
    output: pageOf(DocumentVersion),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/files/:fileId/versions' },
    doc: `The kept versions of a text file, the newest first. While it is written there is an automatic one every ${LIMITS.documentVersionEveryMs / 60_000} minutes; the last ${LIMITS.documentVersionsAutomatic} of them are kept.`,
  }),
  'doc:version': operation({
    input: z.strictObject(named),
    output: z.object({ version: DocumentVersion, text: z.string() }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/files/:fileId/versions/:versionId' },
    doc: 'One version of a text file, with its text.',
  }),
  'doc:save-version': operation({
    input: z.strictObject({ fileId: Id, name: givenName(1, 100), clientId: ClientId.optional() }),
    output: theVersion,
    auth: 'user',
    rate: 'writes',
    orderKey: docKey,
    http: { route: 'POST /api/files/:fileId/versions' },
    doc: `Keeps the text as it is, under a name (owner and editors). At most ${LIMITS.documentVersionsNamed} of a file.`,
  }),
  'doc:restore': operation({
    input: z.strictObject(named),
    output: z.object({
      version: DocumentVersion.meta({ description: 'What was there before: restoring it takes this back' }),
      sizeBytes: z.int(),
    }),
    auth: 'user',
    rate: 'writes',
    orderKey: docKey,
    http: { route: 'POST /api/files/:fileId/versions/:versionId/restore' },
    doc: 'Gives a text file the text of a version, as an ordinary edit that everybody sees (owner and editors). What was there before is kept as a version.',
  }),
};
