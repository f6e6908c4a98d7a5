/** Who is in a document: cursors, selections, names. */
import { z } from 'zod';
import { Bytes, Empty, event, Id, LIMITS, operation } from '../../protocol/index.ts';

const kib = (bytes: number): string => `${bytes / 1024} KiB`;

export const awarenessOperations = {
  'doc:awareness': operation({
    input: z.strictObject({ docId: Id, update: Bytes }),
    output: Empty,
    auth: 'user',
    rate: 'live',
    orderKey: ({ docId }) => `doc:${docId}`,
    doc: `Says where this client is in a document that it has open: an awareness update of y-protocols. Those who may only read may say it, too. Entries that are not newer, or about others' clients, are ignored. Refuses \`not_found\` where the document is not open on this socket, \`invalid\` what is no such update, \`too_large\` what would take all states of the document over ${kib(LIMITS.awarenessBytes)}.`,
  }),
};

export const awarenessEvents = {
  'doc:awareness-changed': event({
    data: z.object({ docId: Id, update: Bytes }),
    doc: 'Who came, moved or went in a document, as an awareness update of y-protocols; to everybody in it, the sender too. After `doc:open` it tells who is there.',
  }),
};
