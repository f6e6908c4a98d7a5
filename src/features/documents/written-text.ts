/** A text that somebody has written as a whole becomes an edit of the live one: what it has in common with it stays. */
import { Fault } from '../../protocol/index.ts';
import { CONTENT } from './check-update.ts';
import { assertSize, type Documents } from './documents.ts';
import { seenText } from './seen-text.ts';
import type { TextDiffer } from './text-differ.ts';
import { isWellFormed, splice, trimmed } from './text-splice.ts';

/** While others type the comparison may be outdated when it is done; then the last one is only of the ends. */
const COMPARISONS = 3;

export interface WrittenTextDeps {
  documents: Pick<Documents, 'read' | 'change'>;
  differ: TextDiffer;
}

/** Makes the document's text this one. Resolves when that is durable. */
export async function writeText(
  { documents, differ }: WrittenTextDeps,
  fileId: string,
  text: string,
  userId: string,
): Promise<{ sizeBytes: number }> {
  if (!isWellFormed(text)) throw new Fault('invalid', 'The text has halves of surrogate pairs');
  assertSize(text);
  for (let n = 0, isDone = false; !isDone; n++) {
    const before = await documents.read(fileId, (doc) => doc.getText(CONTENT).toJSON());
    const splices = await differ.diff(before, text);
    isDone = await documents.change(fileId, userId, (live, doc) => {
      const now = seenText(doc, undefined);
      if (now.text !== before && n < COMPARISONS) return false;
      const own = now.text === before ? splices : trimmed(now.text, text);
      splice(
        live,
        own.flatMap((one) => now.toLive(one)),
      );
      return true;
    });
  }
  return { sizeBytes: Buffer.byteLength(text) };
}
