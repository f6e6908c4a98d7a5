/** Administrators on two servers with one database and one Redis. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startEmbeddedMongo } from '../../src/storage/embedded-mongo/index.ts';
import { call, heard } from '../support/calls.ts';
import { hasRedis, startRedis } from '../support/redis.ts';
import { startServer, type TestServer } from '../support/server.ts';

describe.runIf(hasRedis())('two servers', () => {
  const ends: (() => PromiseLike<unknown>)[] = [];
  let here: TestServer;
  let there: TestServer;

  beforeAll(async () => {
    const path = await mkdtemp(join(tmpdir(), 'atelier-nodes-'));
    ends.push(() => rm(path, { recursive: true }));
    const errors: unknown[] = [];
    const engine = await startEmbeddedMongo({ path, port: 0, onError: (error) => errors.push(error) });
    ends.push(() => engine.close());
    const redis = await startRedis();
    ends.push(() => redis.kill());
    const dataDir = await mkdtemp(join(tmpdir(), 'atelier-nodes-'));
    ends.push(() => rm(dataDir, { recursive: true }));
    const env = {
      MONGODB_URI: engine.uri,
      REDIS_URL: redis.url,
      DATA_DIR: dataDir,
      ADMIN_EMAIL: 'root@example.com',
    };
    here = await startServer(env);
    ends.push(() => here[Symbol.asyncDispose]());
    there = await startServer(env);
    ends.push(() => there[Symbol.asyncDispose]());
  });

  afterAll(async () => {
    for (const end of ends.reverse()) await end();
  });

  test('[AD-1] [AD-2] [AD-7] [AD-9] bans, roles, announcements and counts hold on both', async () => {
    const root = await here.person('Root', 'root@example.com');
    const admin = await here.socket(root);
    const eve = await there.person('Eve');
    const [near, far] = [await here.socket(eve), await there.socket(eve)];

    const announcements = [near, far].map((socket) => heard(socket, 'announcement:created'));
    await call(admin, 'admin:announce', { text: 'Hello' });
    for (const list of announcements) await expect.poll(() => list).toMatchObject([{ text: 'Hello', level: 'info' }]);

    await expect
      .poll(async () => (await call(admin, 'admin:stats', {})).now.connections, { timeout: 25_000, interval: 500 })
      .toBe(3);

    await call(admin, 'admin:set-role', { userId: eve.id, role: 'admin' });
    await call(far, 'admin:users', {});
    await call(admin, 'admin:set-role', { userId: eve.id, role: 'user' });
    await expect(call(far, 'admin:users', {})).rejects.toMatchObject({ code: 'forbidden' });

    const closed = [near, far].map((socket) => once(socket as never, 'session:closed'));
    await call(admin, 'admin:ban', { userId: eve.id, reason: 'x' });
    expect(await Promise.all(closed)).toEqual([[{ reason: 'banned' }], [{ reason: 'banned' }]]);
    const { email, password } = eve;
    const again = await there.request('POST', '/api/auth/login', { body: { email, password } });
    expect(again).toMatchObject({ status: 403 });
  });
});
