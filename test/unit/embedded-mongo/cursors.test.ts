import { describe, expect, it } from 'vitest';
import { openDatabase, rejection } from './support.ts';

describe('cursors', () => {
  it('give all rows in batches, in order', async () => {
    const rows = (await openDatabase()).collection<{ _id: number }>('rows');
    await rows.insertMany(Array.from({ length: 1000 }, (_, _id) => ({ _id })));
    const all = await rows.find().batchSize(7).toArray();
    expect(all.map(({ _id }) => _id)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(await rows.find().sort({ _id: -1 }).limit(300).toArray()).toHaveLength(300);
    expect(await rows.aggregate([{ $match: {} }], { batchSize: 10 }).toArray()).toHaveLength(1000);
  });

  it('go on past rows that are written and removed meanwhile', async () => {
    const rows = (await openDatabase()).collection<{ _id: number }>('rows');
    await rows.insertMany(Array.from({ length: 600 }, (_, _id) => ({ _id })));
    const cursor = rows.find().batchSize(2);
    const seen: number[] = [];
    for await (const { _id } of cursor) {
      if (_id === 1) await rows.deleteMany({ _id: { $gte: 300, $lt: 500 } });
      if (_id === 2) await rows.insertOne({ _id: 1000 });
      seen.push(_id);
    }
    expect(seen.filter((id) => id < 300)).toHaveLength(300);
    expect(seen.filter((id) => id >= 500 && id < 600)).toHaveLength(100);
    expect(seen.at(-1)).toBe(1000);
  });

  it('cut batches by bytes', async () => {
    const rows = (await openDatabase()).collection('rows');
    await rows.insertMany(Array.from({ length: 5 }, () => ({ text: 'x'.repeat(6_000_000) })));
    expect(await rows.find().toArray()).toHaveLength(5);
  });

  it('end when killed or unknown', async () => {
    const db = await openDatabase();
    await db.collection('rows').insertMany(Array.from({ length: 10 }, () => ({})));
    const { cursor } = await db.command({ find: 'rows', batchSize: 2 }, { promoteLongs: false });
    const killed = await db.command({ killCursors: 'rows', cursors: [cursor.id] });
    expect(killed['cursorsKilled']).toHaveLength(1);
    expect((await db.command({ killCursors: 'rows', cursors: [cursor.id] }))['cursorsNotFound']).toHaveLength(1);
    expect((await rejection(db.command({ getMore: cursor.id, collection: 'rows' }))).code).toBe(43);
  });

  it('are left by a client that has seen enough', async () => {
    const rows = (await openDatabase()).collection('rows');
    await rows.insertMany(Array.from({ length: 500 }, (_, n) => ({ n })));
    const cursor = rows.find().batchSize(2);
    expect(await cursor.next()).toMatchObject({ n: 0 });
    await cursor.close();
    expect(await rows.find().skip(498).limit(5).toArray()).toHaveLength(2);
  });
});
