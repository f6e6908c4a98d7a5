/** Operations and events of clients without Yjs: a text, edits of it, and cursors, all as plain JSON. */
import { z } from 'zod';
import { Empty, event, Id, LIMITS, operation } from '../../protocol/index.ts';
import { isWellFormed } from './text-splice.ts';

const Index = z.int().min(0).max(LIMITS.documentTextBytes);
const Text = z.string().max(LIMITS.documentTextBytes).refine(isWellFormed, { error: 'must be well-formed' });

const IndexEdit = z.strictObject({
  index: Index.meta({ description: 'In UTF-16 units' }),
  deleteCount: Index.default(0),
  insert: Text.default(''),
});
const FindEdit = z.strictObject({
  find: Text.min(1).meta({ description: 'What stands in the text exactly once' }),
  replace: Text,
});

/** Tells a text at a moment: what `doc:watch`, `file:edit` and `file:updated` give. */
const State = z
  .string()
  .max(LIMITS.operationBytes)
  .meta({ description: 'Of the text that was seen; opaque, as `doc:watch`, `file:updated` and `file:edit` give it' });

const docKey = ({ fileId }: { fileId: string }): string => `doc:${fileId}`;

export const plainOperations = {
  'file:edit': operation({
    input: z.strictObject({
      fileId: Id,
      edits: z
        .array(z.union([IndexEdit, FindEdit]))
        .min(1)
        .max(LIMITS.editsPerOperation),
      stateVector: State.optional(),
    }),
    output: z.object({ stateVector: z.string() }),
    auth: 'user',
    rate: 'live',
    orderKey: docKey,
    maxBytes: LIMITS.documentUpdateBytes,
    http: { route: 'POST /api/files/:fileId/edit' },
    doc: 'Edits a text file, all or nothing; answered when it is durable. Each edit is of the text that the ones before it left: at a place, or in place of what stands there exactly once. With `stateVector` they are edits of the text as it was then and are done to what has become of it; without, of the text as it is. A conflict: a place behind the end, a `find` that is absent, not unique or changed since, a text that is too old. Who may only read is forbidden; a text that would outgrow its limit is too_large.',
  }),
  'cursor:move': operation({
    input: z.strictObject({
      fileId: Id,
      index: Index.meta({ description: 'Where the selection begins, in UTF-16 units' }),
      head: Index.optional().meta({ description: 'Where it ends; without it nothing is selected' }),
    }),
    output: Empty,
    auth: 'user',
    rate: 'live',
    orderKey: docKey,
    doc: 'Says where the caller is in a document that this socket watches; editors with Yjs see it, too. Places behind the end are the end.',
  }),
  'doc:watch': operation({
    input: z.strictObject({ fileId: Id }),
    output: z.object({ text: z.string(), stateVector: z.string() }),
    auth: 'user',
    rate: 'reads',
    orderKey: docKey,
    doc: `Gives the text of a text file; its changes follow on this socket as \`file:updated\`, people and cursors as \`user:joined\`, \`user:left\` and \`cursor:moved\`. Events may come before the answer: they follow the text in it. Again on the same socket it gives the present text. At most ${LIMITS.documentsPerSocket} at once.`,
  }),
  'doc:unwatch': operation({
    input: z.strictObject({ fileId: Id }),
    output: Empty,
    auth: 'user',
    rate: 'reads',
    orderKey: docKey,
    doc: 'Ends `doc:watch` on this socket.',
  }),
};

const person = z.object({ fileId: Id, userId: Id, name: z.string() });

export const plainEvents = {
  'file:updated': event({
    data: z.object({
      fileId: Id,
      edits: z.array(z.object({ index: z.int(), deleteCount: z.int(), insert: z.string() })),
      userId: Id.optional().meta({ description: 'Where one person made all of it' }),
      stateVector: z.string().meta({ description: 'Of the text after it' }),
    }),
    doc: 'To those who watch a text, its editor too: durable changes of it, in order. Each edit is of the text that the ones before it left.',
  }),
  'file:reset': event({
    data: z.object({ fileId: Id, text: z.string(), stateVector: z.string() }),
    doc: 'To those who watch a text: the whole of it, in place of what they have. Rare: a change could not be stored, or the text has embedded things.',
  }),
  'cursor:moved': event({
    data: z.object({ fileId: Id, userId: Id, index: z.int(), head: z.int().optional() }),
    doc: 'To those who watch a text: where somebody is in it.',
  }),
  'user:joined': event({
    data: person,
    doc: 'To those who watch a text: somebody watches it or shows a cursor in an editor with Yjs. After `doc:watch` also everybody who is there.',
  }),
  'user:left': event({ data: person, doc: 'To those who watch a text: somebody is not there any more.' }),
};
