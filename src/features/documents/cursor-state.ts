/** Cursors as editors with Yjs put them into awareness. What is read here may come from anybody. */
import * as Y from 'yjs';
import { z } from 'zod';
import { CONTENT } from './check-update.ts';

const PlaceId = z.object({ client: z.int().min(0), clock: z.int().min(0) });
/** A place beside a character, or at the end of the text. Types of other names would come to be by being asked for. */
const RelativePlace = z.object({
  type: z.null().optional(),
  tname: z.literal(CONTENT).nullable().optional(),
  item: PlaceId.nullable().optional(),
  assoc: z.int().optional(),
});
const Cursor = z.object({ anchor: RelativePlace, head: RelativePlace });
export type RelativeCursor = z.output<typeof Cursor>;

/** What y-codemirror calls `cursor` and y-monaco `selection`; undefined for who shows none. */
export function cursorOf(state: string): RelativeCursor | undefined {
  const { cursor, selection } = JSON.parse(state) as { cursor?: unknown; selection?: unknown };
  return Cursor.safeParse(cursor ?? selection).data;
}

/** Undefined while the text does not have what the places are beside. */
export function placeOf({ anchor, head }: RelativeCursor, doc: Y.Doc): { index: number; head: number } | undefined {
  const [index, end] = [indexOf(anchor, doc), indexOf(head, doc)];
  return index === undefined || end === undefined ? undefined : { index, head: end };
}

function indexOf(place: RelativeCursor['anchor'], doc: Y.Doc): number | undefined {
  if (!place.item && place.tname !== CONTENT) return undefined;
  const absolute = Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(place), doc);
  return absolute && absolute.type === doc.getText(CONTENT) ? absolute.index : undefined;
}
