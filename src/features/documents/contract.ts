/** Operations and events of documents that are edited by Yjs. */
import { z } from 'zod';
import { Bytes, Empty, event, Id, LIMITS, operation, Time } from '../../protocol/index.ts';
import { awarenessEvents, awarenessOperations } from './awareness-operations.ts';
import { ticketOperations } from './ticket-operations.ts';
import { plainEvents, plainOperations } from './plain-operations.ts';
import { versionOperations } from './version-operations.ts';

/** What somebody may do with a document. */
export const AccessLevel = z.enum(['write', 'read']);
export type Access = z.output<typeof AccessLevel>;

const docKey = (input: { docId: string }): string => `doc:${input.docId}`;

export const documentsContract = {
  'doc:open': operation({
    input: z.strictObject({
      fileId: Id,
      stateVector: Bytes.optional().meta({ description: 'What the client has: less may be sent then' }),
    }),
    output: z.object({
      docId: Id.meta({ description: "The file's id" }),
      updates: z.array(Bytes).min(1).max(8).meta({ description: 'To be applied in order' }),
      stateVector: Bytes.meta({ description: 'What the server has: the client sends the rest by `doc:update`' }),
      access: AccessLevel,
    }),
    auth: 'user',
    rate: 'reads',
    orderKey: ({ fileId }) => `doc:${fileId}`,
    maxBytes: LIMITS.documentUpdateBytes,
    doc: `Opens a text file for co-editing on this socket: what others write follows as \`doc:updated\`. Again on the same socket it gives the present state. At most ${LIMITS.documentsPerSocket} documents at once. A file that is no text is unsupported.`,
  }),
  'doc:update': operation({
    input: z.strictObject({ docId: Id, update: Bytes }),
    output: z.object({ savedAt: Time }),
    auth: 'user',
    rate: 'live',
    orderKey: docKey,
    maxBytes: LIMITS.documentFirstUpdateBytes + 1_024,
    doc: `Adds a Yjs update (version 1) to a document that is open on this socket; answered when it is durable. At most ${LIMITS.documentUpdateBytes} bytes, the first one after opening ${LIMITS.documentFirstUpdateBytes}. Refused: what is no text in the root \`content\` (invalid), what builds on changes that the server does not have (conflict: open again), a reader's changes and a client id that somebody else writes under (forbidden), a text over ${LIMITS.documentTextBytes} bytes (too_large).`,
  }),
  'doc:close': operation({
    input: z.strictObject({ docId: Id }),
    output: Empty,
    auth: 'user',
    rate: 'live',
    orderKey: docKey,
    doc: 'Closes a document on this socket.',
  }),
  ...plainOperations,
  ...versionOperations,
  ...awarenessOperations,
  ...ticketOperations,
};

export const documentsEvents = {
  'doc:updated': event({
    data: z.object({
      docId: Id,
      update: Bytes,
      userId: Id.optional().meta({ description: 'Where one person made all of it' }),
      authors: z
        .record(z.string(), Id)
        .optional()
        .meta({ description: 'Yjs client ids that are new with it, and who writes under them' }),
    }),
    doc: 'To everyone who has the document open, the writer too: changes that are durable. Several may be merged into one.',
  }),
  'doc:access-changed': event({
    data: z.object({ docId: Id, access: z.enum(['write', 'read', 'none']) }),
    doc: 'What this user may do with an open document has changed. `none`: it is closed.',
  }),
  ...plainEvents,
  ...awarenessEvents,
};
