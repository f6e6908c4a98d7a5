import mongoose, { Schema, type InferSchemaType } from 'mongoose';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openDatabase, rejection } from './support.ts';

const personSchema = new Schema(
  {
    email: { type: String, required: true, unique: true },
    name: { first: String, last: String },
    age: { type: Number, min: 0 },
    tags: { type: [String], default: [] },
    seenAt: { type: Date, expires: 3600 },
  },
  { timestamps: true },
);
const postSchema = new Schema({
  author: { type: Schema.Types.ObjectId, ref: 'Person', required: true, index: true },
  title: String,
  votes: { type: Map, of: Number, default: {} },
  comments: [{ text: String, by: { type: Schema.Types.ObjectId, ref: 'Person' } }],
});
type Person = InferSchemaType<typeof personSchema>;

async function connect() {
  const db = await openDatabase();
  const connection = await mongoose
    .createConnection(db.client.options.hosts.map((host) => `mongodb://${host.toString()}/app`)[0] ?? '')
    .asPromise();
  onTestFinished(() => connection.close());
  connection.set('sanitizeFilter', true);
  const Person = connection.model('Person', personSchema);
  const Post = connection.model('Post', postSchema);
  await Promise.all([Person.init(), Post.init()]);
  return { connection, Person, Post };
}

describe('mongoose', () => {
  it('builds the indexes that schemas declare', async () => {
    const { Person, Post } = await connect();
    expect((await Person.listIndexes()).map(({ name }) => name)).toEqual(['_id_', 'email_1', 'seenAt_1']);
    expect((await Post.listIndexes()).map(({ name }) => name)).toEqual(['_id_', 'author_1']);
    expect(await Person.syncIndexes()).toEqual([]);
    await Person.createIndexes();
  });

  it('saves, finds, updates and deletes documents with timestamps', async () => {
    const { Person } = await connect();
    const ada = await Person.create({ email: 'ada@x', name: { first: 'Ada' }, age: 36 });
    expect(ada.createdAt).toBeInstanceOf(Date);
    ada.set('name.last', 'Lovelace');
    ada.tags.push('math');
    await ada.save();
    const lean = await Person.findOne({ email: 'ada@x' }).lean<Person>();
    expect(lean).toMatchObject({ name: { first: 'Ada', last: 'Lovelace' }, tags: ['math'], age: 36 });
    expect(Number(lean?.updatedAt)).toBeGreaterThanOrEqual(Number(lean?.createdAt));
    await Person.updateOne({ _id: ada._id }, { $addToSet: { tags: 'math' }, $inc: { age: 1 } });
    const after = await Person.findByIdAndUpdate(ada._id, { age: 40 }, { returnDocument: 'after' });
    expect(after?.age).toBe(40);
    expect(await Person.exists({ age: mongoose.trusted({ $gt: 39 }) })).not.toBeNull();
    expect(await Person.countDocuments()).toBe(1);
    expect(await Person.estimatedDocumentCount()).toBe(1);
    await ada.deleteOne();
    expect(await Person.findById(ada._id)).toBeNull();
  });

  it('reports a unique violation as E11000 with the key', async () => {
    const { Person } = await connect();
    await Person.create({ email: 'a@x' });
    const error = await rejection(Person.create({ email: 'a@x' }));
    expect(error).toMatchObject({ code: 11000, keyPattern: { email: 1 }, keyValue: { email: 'a@x' } });
    const many = await rejection(Person.insertMany([{ email: 'b@x' }, { email: 'a@x' }], { ordered: false }));
    expect(many.code).toBe(11000);
    expect(await Person.distinct('email')).toEqual(['a@x', 'b@x']);
  });

  it('populates references', async () => {
    const { Person, Post } = await connect();
    const ada = await Person.create({ email: 'ada@x' });
    const bob = await Person.create({ email: 'bob@x' });
    const post = await Post.create({
      author: ada._id,
      title: 'On engines',
      comments: [{ text: 'Yes', by: bob._id }],
    });
    const found = await Post.findById(post._id).populate<{ author: Person }>('author').populate('comments.by');
    expect(found?.author.email).toBe('ada@x');
    expect(found?.comments[0]?.by).toMatchObject({ email: 'bob@x' });
    post.votes.set('ada', 3);
    await post.save();
    expect((await Post.findById(post._id).lean())?.votes).toEqual({ ada: 3 });
  });

  it('sanitizes filters, pages, sorts and selects', async () => {
    const { Person } = await connect();
    await Person.insertMany(Array.from({ length: 20 }, (_, i) => ({ email: `${i}@x`, age: i })));
    const injected = { email: { $ne: '' } } as unknown as { email: string };
    await expect(Person.find(injected)).rejects.toThrow(mongoose.Error.CastError);
    const page = await Person.find({}).sort({ age: -1 }).skip(5).limit(3).select('age -_id').lean();
    expect(page).toEqual([{ age: 14 }, { age: 13 }, { age: 12 }]);
    let count = 0;
    for await (const person of Person.find().cursor({ batchSize: 3 })) count += person.age === undefined ? 0 : 1;
    expect(count).toBe(20);
  });

  it('accepts majority writes with a journal, sessions without transactions, and bulk writes', async () => {
    const { connection, Person } = await connect();
    const session = await connection.startSession();
    await new Person({ email: 's@x' }).save({ session, w: 'majority', j: true });
    await Person.bulkWrite([
      { updateOne: { filter: { email: 's@x' }, update: { $set: { age: 3 } } } },
      { updateOne: { filter: { email: 't@x' }, update: { $set: { age: 4 } }, upsert: true } },
    ]);
    expect(
      await Person.findOne({ email: 's@x' }).session(session).read('primary').readConcern('majority').lean(),
    ).toMatchObject({ age: 3 });
    expect(await Person.countDocuments({ age: mongoose.trusted({ $in: [3, 4] }) })).toBe(2);
    await session.endSession();
    const info = await connection.db?.admin().buildInfo();
    expect(info?.['version']).toMatch(/^7\.0\./);
  });
});
