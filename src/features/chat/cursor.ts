/** Cursors of lists that are ordered by a time and then an id. */
import { Types } from 'mongoose';
import { Fault } from '../../protocol/index.ts';

export interface Place {
  at: Date;
  id: Types.ObjectId;
}

export const toCursor = ({ at, id }: Place): string =>
  Buffer.from(`${at.getTime()}.${id.toHexString()}`).toString('base64url');

/** Rejects with `invalid` what is not one of ours. */
export function parseCursor(cursor: string): Place {
  const match = /^(\d{1,16})\.([0-9a-f]{24})$/.exec(Buffer.from(cursor, 'base64url').toString());
  if (!match?.[1] || !match[2]) throw new Fault('invalid', 'The cursor is not one of ours');
  return { at: new Date(Number(match[1])), id: new Types.ObjectId(match[2]) };
}

/** The filter of what comes after a place, in a list that descends by `field` and then `_id`. */
export const belowPlace = (field: string, { at, id }: Place): object => ({
  $or: [{ [field]: { $lt: at } }, { [field]: at, _id: { $lt: id } }],
});

/** The same for a list that ascends. */
export const abovePlace = (field: string, { at, id }: Place): object => ({
  $or: [{ [field]: { $gt: at } }, { [field]: at, _id: { $gt: id } }],
});
