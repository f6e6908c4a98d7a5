/** The first update of a document. Whoever makes it makes the same bytes, so that a repetition doubles nothing. */
import { createHash } from 'node:crypto';
import * as Y from 'yjs';
import { CONTENT } from './check-update.ts';

/** The initial text under a client id that follows from the document's. */
export function seedUpdate(docId: string, text: string): { client: number; bytes: Uint8Array } {
  const doc = new Y.Doc();
  const client = createHash('sha256').update(docId).digest().readUInt32BE(0);
  doc.clientID = client;
  if (text !== '') doc.getText(CONTENT).insert(0, text);
  const bytes = Y.encodeStateAsUpdate(doc);
  doc.destroy();
  return { client, bytes };
}
