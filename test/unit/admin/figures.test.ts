/** Counting and adding up days, on a database and a clock of their own. */
import { Mongoose, Types } from 'mongoose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Figures } from '../../../src/features/admin/figures.ts';
import { createAdminModels, type AdminModels } from '../../../src/features/admin/model.ts';
import { Tally } from '../../../src/features/admin/tally.ts';
import type { ModelUsage } from '../../../src/features/ai/index.ts';
import { createUsers, type Users } from '../../../src/features/users/index.ts';
import { DAY_MS } from '../../../src/protocol/index.ts';
import { ensureIndexes } from '../../../src/storage/database.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { silentLog } from '../../support/log.ts';
/** Not in the past: the database removes what is over by its own clock. */
const NOON = Date.parse('2126-03-10T12:00:00.000Z');

let database: TestDatabase;
let models: AdminModels;
let users: Users;
let nowMs: number;
/** What the assistants have used, by day. */
let used: Map<string, ModelUsage[]>;

beforeEach(async () => {
  database = await openTestDatabase();
  nowMs = NOON;
  used = new Map();
  models = createAdminModels(database.connection);
  users = createUsers({ connection: database.connection, now: () => nowMs });
  await ensureIndexes(database.connection);
});

afterEach(() => database.close());

const now = (): number => nowMs;
const node = (): Tally => new Tally({ models, log: silentLog, now });
const figures = (): Figures =>
  new Figures({
    models,
    directory: users.directory,
    aiUsage: async (from) => used.get(from.toISOString().slice(0, 10)) ?? [],
    prices: new Map([['paid', { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 }]]),
    now,
  });
const person = (): string => new Types.ObjectId().toHexString();
const signal = new AbortController().signal;

test('[AD-9] on any number of nodes a person counts once a day, and every message counts', async () => {
  const [here, there] = [node(), node()];
  const people = Array.from({ length: 30 }, person);
  for (const tally of [here, there]) {
    for (const userId of [...people, ...people]) tally.active(userId);
    for (let i = 0; i < 100; i++) tally.message();
  }
  await Promise.all([here.flush(), there.flush(), here.flush()]);
  for (const userId of people) here.active(userId);
  here.message();
  nowMs += DAY_MS;
  here.active(people[0] ?? '');
  await here.close();
  await there.close();
  expect(await figures().of('2126-03-09', '2126-03-11')).toMatchObject([
    { date: '2126-03-09', activeUsers: 0, messages: 0 },
    { date: '2126-03-10', activeUsers: 30, messages: 201 },
    { date: '2126-03-11', activeUsers: 1, messages: 0 },
  ]);
});

test('[AD-9] what could not be written is kept and written later', async () => {
  const [host] = database.connection.getClient().options.hosts;
  const place = encodeURIComponent(host?.socketPath ?? `${host?.host}:${host?.port}`).replace('%3A', ':');
  const uri = `mongodb://${place}/${database.connection.name}`;
  const mongoose = new Mongoose();
  mongoose.set('bufferCommands', false);
  await mongoose.connect(uri);
  const tally = new Tally({ models: createAdminModels(mongoose.connection), log: silentLog, now });
  tally.active(person());
  tally.message();
  await mongoose.disconnect();
  await expect(tally.flush()).rejects.toThrow(/connect/i);
  await mongoose.connect(uri);
  tally.message();
  await tally.close();
  await mongoose.disconnect();
  expect(await figures().of('2126-03-10', '2126-03-10')).toMatchObject([{ activeUsers: 1, messages: 2 }]);
});

test('[AD-9] a day that is over is added up once and stays, whatever it was counted from', async () => {
  const tally = node();
  tally.active(person());
  tally.message();
  await tally.flush();
  await users.create({ name: 'Ada' });
  const tokens = { inputTokens: 1_000_000, outputTokens: 200_000, cacheReadTokens: 500_000, cacheWriteTokens: 0 };
  used.set('2126-03-10', [
    { model: 'free', ...tokens },
    { model: 'paid', ...tokens },
  ]);

  await figures().closeDays(signal);
  expect(await models.days.collection.countDocuments({ _id: '2126-03-10' as never, closed: { $exists: true } })).toBe(
    0,
  );
  nowMs += DAY_MS;
  await figures().closeDays(signal);
  await models.actives.collection.deleteMany({});
  used.clear();
  await figures().closeDays(signal);
  const [day] = await figures().of('2126-03-10', '2126-03-10');
  expect(day).toMatchObject({ activeUsers: 1, messages: 1, newUsers: expect.any(Number) });
  expect(day?.ai.map(({ model, costUsd }) => [model, costUsd])).toEqual([
    ['free', null],
    ['paid', 6.15],
  ]);
  await tally.close();
});

test('[AD-9] days before a long stop are added up when it is over', async () => {
  const tally = node();
  tally.active(person());
  await tally.close();
  nowMs += 20 * DAY_MS;
  await figures().closeDays(signal);
  await models.actives.collection.deleteMany({});
  expect(await figures().of('2126-03-10', '2126-03-10')).toMatchObject([{ activeUsers: 1 }]);
});
