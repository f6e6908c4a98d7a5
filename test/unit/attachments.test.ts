/** The life of attachments: what is counted, claimed, collected, and what a crash leaves. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Types } from 'mongoose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AttachmentStore } from '../../src/features/attachments/attachment-store.ts';
import { createAttachments, type Attachments } from '../../src/features/attachments/index.ts';
import { blobKeyOf, type AttachmentFacts } from '../../src/features/attachments/model.ts';
import { MediaInspector } from '../../src/features/uploads/index.ts';
import type { Log } from '../../src/observability/log.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { createDiskBlobs, type Blobs } from '../../src/storage/blobs/index.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const id = (): string => new Types.ObjectId().toHexString();
const nothing = (): void => {};
const warnings: string[] = [];
const log: Log = {
  debug: nothing,
  info: nothing,
  warn: (message) => warnings.push(message),
  error: nothing,
  child: () => log,
};

let database: TestDatabase;
let directory: string;
let blobs: Blobs;
let inspector: MediaInspector;
beforeAll(async () => {
  database = await openTestDatabase();
  inspector = new MediaInspector({ log });
});
afterAll(async () => {
  await inspector.close();
  await database.close();
});

let nowMs: number;
/** The messages that are in the log, with what they carry. */
let messages: Map<string, string[]>;
let attachments: Attachments;
let store: AttachmentStore;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atelier-attachments-'));
  blobs = await createDiskBlobs({ directory });
  nowMs = 1_000_000_000_000;
  messages = new Map();
  warnings.length = 0;
  attachments = createAttachments({
    connection: database.connection,
    blobs: { ...bound(blobs), remove: (key) => removeBlob(key) },
    inspector,
    limits: { take: nothing },
    secret: 'x'.repeat(32),
    requireMember: async () => {},
    isCarried: async ({ messageId, attachmentId }) => messages.get(messageId)?.includes(attachmentId) ?? false,
    log,
    now: () => nowMs,
  });
  store = new AttachmentStore({ connection: database.connection, now: () => nowMs, onReleased: nothing });
});
afterEach(async () => {
  await attachments.close();
  await database.connection.collection('attachments').deleteMany({});
  await rm(directory, { recursive: true });
});

let removeBlob = (key: string): Promise<void> => blobs.remove(key);
const bound = (from: Blobs): Blobs => ({
  put: (...args) => from.put(...args),
  get: (...args) => from.get(...args),
  stat: (...args) => from.stat(...args),
  remove: (...args) => from.remove(...args),
  list: (...args) => from.list(...args),
});

const facts = (sizeBytes: number, kind: AttachmentFacts['kind'] = 'file'): AttachmentFacts => ({
  kind,
  mime: 'application/octet-stream',
  sizeBytes,
  digest: 'digest',
});
/** An upload that has arrived. */
async function uploaded(userId: string, sizeBytes = 100, kind?: AttachmentFacts['kind']): Promise<string> {
  const _id = await store.reserve(userId, 'name', sizeBytes);
  await blobs.put(blobKeyOf(_id), Buffer.alloc(10), { contentType: 'application/octet-stream' });
  await store.finish(_id, facts(sizeBytes, kind));
  return _id.toHexString();
}
const rows = (): Promise<number> => database.connection.collection('attachments').countDocuments({});
const kept = async (): Promise<number> => (await blobs.list('attachments/')).items.length;

describe('the quota', () => {
  test('[AT-4] counts what is stored and what is on its way, never less than the least', async () => {
    const user = id();
    const half = LIMITS.attachmentQuotaBytes / 2;
    const first = await store.reserve(user, 'a', half);
    await store.reserve(user, 'b', half);
    await expect(store.reserve(user, 'c', 1)).rejects.toMatchObject({
      code: 'quota_exceeded',
      detail: { quotaBytes: LIMITS.attachmentQuotaBytes },
    });
    // Another user has a quota of their own.
    await store.reserve(id(), 'd', half);
    // Less came than was expected: the rest is free again.
    await store.finish(first, facts(1));
    await store.reserve(user, 'e', half - LIMITS.attachmentLeastBytes);
    await expect(store.reserve(user, 'f', 1)).rejects.toMatchObject({ code: 'quota_exceeded' });
  });

  test('[AT-4] uploads at once never get more than the quota together', async () => {
    const user = id();
    const tenth = LIMITS.attachmentQuotaBytes / 10;
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => store.reserve(user, 'a', tenth)));
    const granted = outcomes.filter(({ status }) => status === 'fulfilled').length;
    expect(granted).toBeLessThanOrEqual(10);
    expect(await rows()).toBe(granted);
  });

  test('[AT-4] what has been collected is free again', async () => {
    const user = id();
    const all = await store.reserve(user, 'a', LIMITS.attachmentQuotaBytes);
    await store.drop(all);
    await attachments.collect();
    await expect(store.reserve(user, 'b', LIMITS.attachmentQuotaBytes)).resolves.toBeDefined();
  });
});

describe('claiming', () => {
  test('[AT-10] gives uploads to a message in the order asked, and again to the same message', async () => {
    const user = id();
    const ids = [await uploaded(user), await uploaded(user), await uploaded(user)].reverse();
    const use = { chatId: id(), messageId: id() };
    const first = await attachments.claim(user, ids, use);
    expect(first.map((info) => info.id)).toEqual(ids);
    expect(first[0]).toEqual({
      id: ids[0],
      kind: 'file',
      mime: 'application/octet-stream',
      sizeBytes: 100,
      name: 'name',
    });
    expect(await attachments.claim(user, ids, use)).toEqual(first);
    await expect(attachments.claim(user, ids, { ...use, messageId: id() })).rejects.toMatchObject({ code: 'invalid' });
  });

  test('[AT-10] of messages that want the same upload at once, one gets it', async () => {
    const user = id();
    const wanted = await uploaded(user);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => attachments.claim(user, [wanted], { chatId: id(), messageId: id() })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('[AT-10] takes nothing when one is missing, not the own, unfinished or of another kind', async () => {
    const user = id();
    const mine = await uploaded(user);
    const image = await uploaded(user, 100, 'image');
    const hers = await uploaded(id());
    const unfinished = (await store.reserve(user, 'x', 1)).toHexString();
    const use = { chatId: id(), messageId: id() };
    for (const other of [hers, unfinished, id()]) {
      await expect(attachments.claim(user, [mine, other], use)).rejects.toMatchObject({ code: 'not_found' });
    }
    await expect(attachments.claim(user, [mine, image], { ...use, kind: 'image' })).rejects.toMatchObject({
      code: 'invalid',
    });
    await attachments.claim(user, [mine, image], { ...use, messageId: id() });
  });

  test('[AT-10] an upload that began too long ago is no attachment', async () => {
    const _id = await store.reserve(id(), 'x', 1);
    nowMs += HOUR;
    await attachments.collect();
    await expect(store.finish(_id, facts(1))).rejects.toMatchObject({ code: 'unavailable' });
    expect(await rows()).toBe(0);
  });
});

describe('collecting', () => {
  test('[AT-11] an upload that nobody sends goes after a day, not before', async () => {
    await uploaded(id());
    nowMs += DAY - 1;
    await attachments.collect();
    expect([await rows(), await kept()]).toEqual([1, 1]);
    nowMs += 1;
    await attachments.collect();
    expect([await rows(), await kept()]).toEqual([0, 0]);
  });

  test('[AT-11] what a message carries stays; a claim whose message never came goes after a day', async () => {
    const user = id();
    const [carried, orphan] = [await uploaded(user), await uploaded(user)];
    const [there, lost] = [id(), id()];
    await attachments.claim(user, [carried], { chatId: id(), messageId: there });
    nowMs += DAY - HOUR;
    await attachments.claim(user, [orphan], { chatId: id(), messageId: lost });
    messages.set(there, [carried]);
    nowMs += HOUR;
    await attachments.collect();
    // The claim renewed its time: the message may be under way still.
    expect(await kept()).toBe(2);
    nowMs += DAY;
    await attachments.collect();
    expect((await blobs.list('')).items.map(({ key }) => key)).toEqual([blobKeyOf(new Types.ObjectId(carried))]);
    expect(await store.find(orphan)).toBeUndefined();
  });

  test('[AT-11] a claim for a message that carries other uploads does not keep one', async () => {
    const user = id();
    const unused = await uploaded(user);
    const messageId = id();
    messages.set(messageId, [id()]);
    await attachments.claim(user, [unused], { chatId: id(), messageId });
    nowMs += DAY;
    await attachments.collect();
    expect(await kept()).toBe(0);
  });

  test('[AT-11] a message whose deletion was not heard of is found in the end', async () => {
    const user = id();
    const carried = await uploaded(user);
    const messageId = id();
    messages.set(messageId, [carried]);
    await attachments.claim(user, [carried], { chatId: id(), messageId });
    nowMs += DAY;
    await attachments.collect();
    expect(await kept()).toBe(1);
    messages.clear();
    nowMs += 31 * DAY;
    await attachments.collect();
    expect([await rows(), await kept()]).toEqual([0, 0]);
  });

  test('[AT-11] those of removed messages and chats go at once, and only those', async () => {
    const [ada, grace] = [id(), id()];
    const [first, second] = [
      { chatId: id(), messageId: id() },
      { chatId: id(), messageId: id() },
    ];
    const [a, b, c] = await Promise.all([uploaded(ada), uploaded(ada), uploaded(grace)]);
    await attachments.claim(ada, [a], first);
    await attachments.claim(ada, [b], { ...second, chatId: first.chatId });
    await attachments.claim(grace, [c], { chatId: id(), messageId: id() });
    await attachments.release([first.messageId, id()]);
    expect(await store.find(a)).toBeUndefined();
    await expect.poll(kept).toBe(2);
    await attachments.removeOfChat(first.chatId);
    await expect.poll(kept).toBe(1);
    await attachments.removeOfChat(first.chatId);
    expect(await store.find(c)).toBeDefined();
  });

  test('[AT-11] an ended account leaves what its messages carry, and nothing else', async () => {
    const [ada, grace] = [id(), id()];
    const [sent] = await Promise.all([uploaded(ada), uploaded(ada), uploaded(grace)]);
    await store.reserve(ada, 'unfinished', 1);
    await attachments.claim(ada, [sent], { chatId: id(), messageId: id() });
    await attachments.removeOfUser(ada);
    await attachments.removeOfUser(ada);
    await expect.poll(rows).toBe(2);
    expect(await kept()).toBe(2);
    expect(await store.find(sent)).toBeDefined();
  });

  test('[AT-11] one that cannot be removed holds up no other, and is tried again', async () => {
    await Promise.all(Array.from({ length: 120 }, () => uploaded(id())));
    nowMs += DAY;
    const [stuck] = (await blobs.list('attachments/', { limit: 1 })).items;
    removeBlob = async (key) => {
      if (key === stuck?.key) throw new Error('the disk says no');
      await blobs.remove(key);
    };
    try {
      await attachments.collect();
    } finally {
      removeBlob = (key) => blobs.remove(key);
    }
    expect([await rows(), await kept(), warnings.length]).toEqual([1, 1, 1]);
    nowMs += HOUR;
    await attachments.collect();
    expect([await rows(), await kept()]).toEqual([0, 0]);
  });

  test('[AT-11] several collectors at once remove everything once', async () => {
    await Promise.all(Array.from({ length: 50 }, () => uploaded(id())));
    nowMs += DAY;
    await Promise.all([attachments.collect(), attachments.collect(), attachments.collect()]);
    expect([await rows(), await kept(), warnings]).toEqual([0, 0, []]);
  });

  test('[AT-11] a claim and a collection at once agree', async () => {
    const user = id();
    for (let i = 0; i < 20; i++) {
      const wanted = await uploaded(user);
      nowMs += DAY;
      const messageId = id();
      const [claimed] = await Promise.allSettled([
        attachments.claim(user, [wanted], { chatId: id(), messageId }),
        attachments.collect(),
      ]);
      expect(await kept()).toBe(claimed.status === 'fulfilled' ? 1 : 0);
      messages.delete(messageId);
      await attachments.release([messageId]);
      await expect.poll(kept).toBe(0);
    }
  });

  test('[AT-11] a crash between any two steps leaves nothing for ever', async () => {
    const user = id();
    // Reserved, and no byte came.
    await store.reserve(user, 'a', 100);
    // The bytes came, and it was not finished.
    const half = await store.reserve(user, 'b', 100);
    await blobs.put(blobKeyOf(half), Buffer.alloc(10), { contentType: 'text/plain' });
    // Condemned, its blob not removed; its blob removed, the row not.
    for (const isRemoved of [false, true]) {
      const condemned = new Types.ObjectId(await uploaded(user));
      const row = await database.connection.collection('attachments').findOne({ _id: condemned });
      await store.condemn(row as never);
      if (isRemoved) await blobs.remove(blobKeyOf(condemned));
    }
    expect(await rows()).toBe(4);
    nowMs += DAY;
    await attachments.collect();
    expect([await rows(), await kept()]).toEqual([0, 0]);
  });
});
