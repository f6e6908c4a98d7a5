/** Push in a group of many: the rows of its members are made directly, since signing up that many takes minutes. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Mongoose, Types } from 'mongoose';
import { expect, test } from 'vitest';
import { derivedId } from '../../src/features/chat/index.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { startEmbeddedMongo } from '../../src/storage/embedded-mongo/index.ts';
import { startPushService, type PushDevice } from '../support/push-service.ts';
import { startServer } from '../support/server.ts';

const MEMBERS = 2 * LIMITS.pushPageMembers + 50;

test('[PU-9] everybody in a large group is notified, also when the server stops in the middle', async () => {
  const path = await mkdtemp(join(tmpdir(), 'atelier-group-'));
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-group-'));
  const failures: unknown[] = [];
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const engine = await startEmbeddedMongo({ path, port: 0, onError: (error) => failures.push(error) });
  const mongoose = new Mongoose();
  await mongoose.connect(engine.uri, { dbName: 'atelier' });
  await using service = await startPushService();
  const env = { MONGODB_URI: engine.uri, DATA_DIR: dataDir };
  try {
    const first = await startServer(env);
    const ada = await first.person('Ada');
    const chatId = await first.chat([ada, await first.person('Bob')]);
    const key = await first.request('GET', '/api/push/key', { as: ada });
    const { publicKey } = (key.body as unknown as { data: { publicKey: string } }).data;
    const devices = await addMembers(mongoose, chatId, () => service.device(publicKey), publicKey);
    // Tells the server that there is somebody to notify at all.
    const own = service.device(publicKey);
    await first.request('POST', '/api/push/subscriptions', { as: ada, body: { subscription: own.subscription } });

    const attempts = (): number => devices.reduce((sum, device) => sum + service.attempts(device), 0);
    const shown = (): number => devices.filter((device) => device.shown.length > 0).length;
    // The first page goes through, the second one finds the push service silent.
    service.answer(
      ...Array.from({ length: LIMITS.pushPageMembers + 20 }, () => ({ status: 201 })),
      ...Array.from({ length: LIMITS.pushSendsAtOnce }, () => 'hang' as const),
    );
    const body = { content: 'To all of you', clientId: 'one' };
    const sent = await first.request('POST', `/api/chats/${chatId}/messages`, { as: ada, body });
    expect(sent.status).toBe(200);
    const silentFrom = LIMITS.pushPageMembers + 20 + LIMITS.pushSendsAtOnce;
    await expect.poll(attempts, { timeout: 20_000 }).toBe(silentFrom);
    await first[Symbol.asyncDispose]();
    expect(shown()).toBeLessThan(MEMBERS);

    await using second = await startServer(env);
    await expect.poll(shown, { timeout: 30_000 }).toBe(MEMBERS);
    // What the first page had was not sent again: the second server went on after it.
    expect(devices.filter(({ shown: all }) => all.length > 1).length).toBeLessThanOrEqual(20 + LIMITS.pushSendsAtOnce);
    expect(own.shown).toEqual([]);
    expect([service.complaints, failures, second.errors]).toEqual([[], [], []]);
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
  } finally {
    process.off('warning', onWarning);
    await mongoose.disconnect();
    await engine.close();
    await rm(path, { recursive: true });
    await rm(dataDir, { recursive: true });
  }
});

async function addMembers(
  mongoose: Mongoose,
  chatId: string,
  makeDevice: () => PushDevice,
  publicKey: string,
): Promise<PushDevice[]> {
  const now = new Date();
  const later = new Date(now.getTime() + 3_600_000);
  const people = Array.from({ length: MEMBERS }, (_, n) => ({
    userId: new Types.ObjectId(),
    sessionId: new Types.ObjectId(),
    joinedAt: new Date(now.getTime() + n),
    device: makeDevice(),
  }));
  const { connection } = mongoose;
  await connection.collection('memberships').insertMany(
    people.map(({ userId, joinedAt }) => ({
      chatId: new Types.ObjectId(chatId),
      userId,
      state: 'active',
      role: 'member',
      joinedAt,
      rev: 0,
      changedAt: now,
      lastReadSeq: 0,
      starred: false,
    })),
  );
  await connection.collection('sessions').insertMany(
    people.map(({ userId, sessionId }) => ({
      _id: sessionId,
      userId,
      tokenHash: sessionId.toHexString(),
      expiresAt: later,
      absoluteExpiresAt: later,
      purgeAt: later,
    })),
  );
  await connection.collection('pushSubscriptions').insertMany(
    people.map(({ userId, sessionId, device: { subscription } }) => ({
      _id: derivedId('push', subscription.endpoint),
      userId,
      sessionId,
      endpoint: subscription.endpoint,
      ...subscription.keys,
      publicKey,
      createdAt: now,
    })),
  );
  return people.map(({ device }) => device);
}
