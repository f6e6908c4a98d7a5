import { Mongoose, Types } from 'mongoose';
import { expect, test, vi } from 'vitest';
import { ChatLog, type NewEntry } from '../../src/features/chat/chat-log.ts';
import { createChatModels, type MessageEntry } from '../../src/features/chat/model.ts';
import { Fault } from '../../src/protocol/index.ts';
import { ensureIndexes } from '../../src/storage/database.ts';
import { openTestDatabase } from '../support/database.ts';
import { startTcpCutter } from '../support/tcp-cutter.ts';

const user = new Types.ObjectId();

const entry = (
  chatId: Types.ObjectId,
  clientId: string,
  content = clientId,
): Extract<NewEntry, { kind: 'message' }> => ({
  _id: new Types.ObjectId(),
  chatId,
  kind: 'message',
  sender: 'user',
  userId: user,
  clientId,
  type: 'text',
  content,
});

async function setUp() {
  const database = await openTestDatabase();
  const models = createChatModels(database.connection);
  await ensureIndexes(database.connection);
  const committed: MessageEntry[] = [];
  const openLog = (now: () => number = Date.now): ChatLog =>
    new ChatLog({
      entries: models.entries,
      now,
      onCommitted: (entries) => committed.push(...(entries as MessageEntry[])),
    });
  return {
    database,
    models,
    committed,
    openLog,
    stored: (chatId: Types.ObjectId): Promise<MessageEntry[]> =>
      models.entries.collection.find<MessageEntry>({ chatId }).sort({ rev: 1 }).toArray(),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

const revs = (entries: readonly MessageEntry[]): number[] => entries.map(({ rev }) => rev);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

test('[CH-1] concurrent appends get dense revs in the order they were queued', async () => {
  await using setup = await setUp();
  const log = setup.openLog();
  const chatId = new Types.ObjectId();
  const appended = await Promise.all(upTo(300).map((n) => log.append(entry(chatId, `c${n}`))));
  expect(revs(appended)).toEqual(upTo(300));
  expect((await setup.stored(chatId)).map(({ content }) => content)).toEqual(upTo(300).map((n) => `c${n}`));
  expect(revs(setup.committed)).toEqual(upTo(300));
  expect(await log.head(chatId)).toEqual({ rev: 300, seq: 300 });
});

test('[CH-2] nodes that append at once share one dense order, each keeping its own', async () => {
  await using setup = await setUp();
  const nodes = [setup.openLog(), setup.openLog(), setup.openLog()];
  const chats = [new Types.ObjectId(), new Types.ObjectId()];
  await Promise.all(
    nodes.flatMap((log, node) =>
      chats.flatMap((chatId) => upTo(60).map((n) => log.append(entry(chatId, `${node}:${n}`)))),
    ),
  );
  for (const chatId of chats) {
    const stored = await setup.stored(chatId);
    expect(revs(stored)).toEqual(upTo(180));
    expect(stored.map(({ seq }) => seq)).toEqual(upTo(180));
    for (const node of [0, 1, 2]) {
      const own = stored.filter(({ content }) => content.startsWith(`${node}:`)).map(({ content }) => content);
      expect(own).toEqual(upTo(60).map((n) => `${node}:${n}`));
    }
  }
});

test('[CH-3] a repeated clientId resolves to the first outcome, in one batch and across nodes', async () => {
  await using setup = await setUp();
  const [one, two] = [setup.openLog(), setup.openLog()];
  const chatId = new Types.ObjectId();
  const results = await Promise.all([
    one.append(entry(chatId, 'same', 'first')),
    one.append(entry(chatId, 'other')),
    one.append(entry(chatId, 'same', 'second')),
    two.append(entry(chatId, 'same', 'third')),
    two.append(entry(chatId, 'more')),
  ]);
  const again = await two.append(entry(chatId, 'same', 'fourth'));
  expect(new Set([results[0], results[2], results[3], again].map((row) => String(row?._id))).size).toBe(1);
  const stored = await setup.stored(chatId);
  expect(revs(stored)).toEqual(upTo(3));
  expect(stored.filter(({ clientId }) => clientId === 'same')).toHaveLength(1);
});

test('[CH-3] what is repeated while it waits is not written again, and many repetitions cost a few writes', async () => {
  await using setup = await setUp();
  const chatId = new Types.ObjectId();
  const [here, there] = [setup.openLog(), setup.openLog()];
  const first = upTo(400).map((n) => here.append(entry(chatId, `c${n}`)));
  const repeated = upTo(400).map((n) => here.append(entry(chatId, `c${n}`, 'again')));
  expect(here.queued).toBeLessThanOrEqual(400);
  const ids = (await Promise.all(first)).map(({ _id }) => _id.toHexString());
  expect((await Promise.all(repeated)).map(({ _id }) => _id.toHexString())).toEqual(ids);

  const writes = vi.spyOn(setup.models.entries.collection, 'insertMany');
  const elsewhere = await Promise.all(
    upTo(400).flatMap((n) => [
      there.append(entry(chatId, `c${n}`, 'again')),
      ...(n % 100 === 0 ? [there.append(entry(chatId, `new${n}`))] : []),
    ]),
  );
  expect(elsewhere.filter(({ content }) => content.startsWith('c')).map(({ _id }) => _id.toHexString())).toEqual(ids);
  expect(writes.mock.calls.length).toBeLessThan(10);
  expect(revs(await setup.stored(chatId))).toEqual(upTo(404));
});

test('[CH-4] after a change of members elsewhere the sender is checked again, before the entry goes in', async () => {
  await using setup = await setUp();
  const [one, two] = [setup.openLog(), setup.openLog()];
  const chatId = new Types.ObjectId();
  await one.append(entry(chatId, 'a'));
  await two.append(entry(chatId, 'b'));
  let checks = 0;
  await one.append(entry(chatId, 'no reason to check'), async () => void checks++);
  expect(checks).toBe(0);
  const members = { kind: 'members' as const, added: [], removed: [user], roles: [] };
  await two.append({ _id: new Types.ObjectId(), chatId, ...members });
  const refused = one.append(entry(chatId, 'c'), async () => {
    throw new Fault('not_found', 'no longer a member');
  });
  const allowed = one.append(entry(chatId, 'd'), async () => {});
  await expect(refused).rejects.toMatchObject({ code: 'not_found' });
  expect(await allowed).toMatchObject({ rev: 5, seq: 4 });
  const contents = (await setup.stored(chatId)).map(({ content }) => content);
  expect(contents).toEqual(['a', 'b', 'no reason to check', undefined, 'd']);
});

test('[CH-5] createdAt never goes back, whatever the clocks of the nodes say', async () => {
  await using setup = await setUp();
  const ahead = setup.openLog(() => 2_000_000);
  const behind = setup.openLog(() => 1_000_000);
  const chatId = new Types.ObjectId();
  await ahead.append(entry(chatId, 'a'));
  expect((await behind.append(entry(chatId, 'b'))).createdAt.getTime()).toBe(2_000_000);
});

test('[CH-6] a full queue refuses with unavailable and keeps what it has', async () => {
  await using setup = await setUp();
  const log = setup.openLog();
  const chatId = new Types.ObjectId();
  const appends = upTo(10_200).map((n) => log.append(entry(chatId, `c${n}`)));
  const results = await Promise.allSettled(appends);
  const refused = results.filter(({ status }) => status === 'rejected');
  expect(refused.length).toBeGreaterThanOrEqual(200);
  for (const result of refused) expect((result as PromiseRejectedResult).reason).toMatchObject({ code: 'unavailable' });
  expect(revs(await setup.stored(chatId))).toEqual(upTo(10_200 - refused.length));
});

test('[CH-7] when answers are lost with the connection, no entry is lost, doubled or misnumbered', async () => {
  await using setup = await setUp();
  const [host] = setup.database.connection.getClient().options.hosts;
  await using cutter = await startTcpCutter(
    host?.socketPath === undefined
      ? { host: host?.host ?? '127.0.0.1', port: host?.port ?? 27017 }
      : { path: host.socketPath },
  );
  const mongoose = new Mongoose();
  await mongoose.connect(`mongodb://127.0.0.1:${cutter.port}/${setup.database.connection.name}?directConnection=true`);
  try {
    const models = createChatModels(mongoose.connection);
    const committed: MessageEntry[] = [];
    const log = new ChatLog({
      entries: models.entries,
      now: Date.now,
      onCommitted: (rows) => committed.push(...(rows as MessageEntry[])),
    });
    const chatId = new Types.ObjectId();
    const acked: MessageEntry[] = [];
    for (let round = 0; round < 5; round++) {
      await log.append(entry(chatId, `warm-${round}`)).then((row) => acked.push(row));
      cutter.swallowAnswers();
      const appends = upTo(40).map((n) => log.append(entry(chatId, `${round}-${n}`)));
      // The write reaches the server; its answer does not come back.
      await expect.poll(async () => (await setup.stored(chatId)).length).toBeGreaterThan(acked.length);
      cutter.cut();
      acked.push(...(await Promise.all(appends)));
    }
    const stored = await setup.stored(chatId);
    expect(revs(stored)).toEqual(upTo(5 * 41));
    expect(new Set(stored.map(({ clientId }) => clientId)).size).toBe(5 * 41);
    const placeOf = new Map(stored.map((row) => [String(row._id), row.rev]));
    for (const row of acked) expect(placeOf.get(String(row._id))).toBe(row.rev);
    // Every entry is told, also those that were found only after the break.
    expect(new Set(revs(committed))).toEqual(new Set(upTo(5 * 41)));
  } finally {
    await mongoose.disconnect();
  }
});
