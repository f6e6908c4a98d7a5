/** Backup and restore as the operator runs them, on what real servers have written. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Types } from 'mongoose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectDatabase } from '../../src/storage/database.ts';
import { begin, dump } from '../../src/storage/backup/index.ts';
import { createDiskBlobs } from '../../src/storage/blobs/index.ts';
import { startEmbeddedMongo } from '../../src/storage/embedded-mongo/index.ts';
import { historyOf } from '../support/history.ts';
import { silentLog as log } from '../support/log.ts';
import { runToEnd, startProcess, testEnvironment } from '../support/process.ts';
import { openWorld, type Person, type World } from '../support/server.ts';

let directory: string;
let archive: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atelier-backup-'));
  archive = join(directory, 'archive.tar.gz');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

type Environment = Record<string, string>;
const installation = (name: string): Environment => testEnvironment(join(directory, name));
const backup = (env: Environment) => runToEnd(env, 'dist/backup.js', ['--to', archive]);
const restore = (env: Environment, ...args: string[]) => runToEnd(env, 'dist/restore.js', ['--from', archive, ...args]);
/** Lets passwords of one installation be valid in another. */
const shareSecrets = (from: string, to: string) =>
  cp(join(directory, from, 'secrets.json'), join(directory, to, 'secrets.json'));

async function signIn(world: World, { email, password }: Person) {
  const { status, body } = await world.request('POST', '/api/auth/login', { body: { email, password } });
  return { status, accessToken: (body as { accessToken?: string }).accessToken ?? '' };
}

test('[BK-10] a restored server has everything, and sessions begin anew', { timeout: 120_000 }, async () => {
  const [old, fresh] = [installation('old'), installation('fresh')];
  let ada: Person;
  let grace: Person;
  let chatId: string;
  let before: unknown;
  {
    await using server = await startProcess(old);
    await using world = openWorld(() => server.url);
    [ada, grace] = [await world.person('Ada'), await world.person('Grace')];
    chatId = await world.chat([ada, grace]);
    const client = await world.client(ada);
    for (let n = 1; n <= 20; n++) await client.send(chatId, `message ${n}`);
    before = await historyOf(client, chatId);
    client.close();
    await server.end('SIGTERM');
  }
  const blobs = await createDiskBlobs({ directory: join(directory, 'old', 'blobs') });
  await blobs.put('pictures/one', Buffer.from('a picture'), { contentType: 'image/png' });
  expect(await backup(old)).toMatchObject({ code: 0, output: expect.stringMatching(/documents of .* 1 blobs/) });

  await shareSecrets('old', 'fresh');
  const restored = await restore(fresh);
  expect(restored).toMatchObject({ code: 0, output: expect.stringMatching(/^Restored \d+ documents and 1 blobs/) });
  expect(restored.output).not.toContain('AUTH_PEPPER');
  expect(restored.output).not.toContain('left out');

  await using server = await startProcess(fresh);
  await using world = openWorld(() => server.url);
  // Its session was left out of the backup.
  expect((await world.request('GET', '/api/users/me', { as: ada })).status).toBe(401);
  const { status, accessToken } = await signIn(world, ada);
  expect(status).toBe(200);
  const client = await world.client({ ...ada, accessToken });
  expect(await historyOf(client, chatId)).toEqual(before);
  const next = await client.send(chatId, 'and on');
  expect(next.seq).toBe(21);
  const kept = await createDiskBlobs({ directory: join(directory, 'fresh', 'blobs') });
  expect(await kept.stat('pictures/one')).toMatchObject({ contentType: 'image/png', sizeBytes: 9 });
});

test(
  '[BK-11] restore refuses a database that holds something, and replaces it when told',
  { timeout: 120_000 },
  async () => {
    const [old, used] = [installation('old'), installation('used')];
    const names: string[] = [];
    for (const env of [old, used]) {
      await using server = await startProcess(env);
      await using world = openWorld(() => server.url);
      names.push((await world.person()).email);
      await server.end('SIGTERM');
    }
    expect((await backup(old)).code).toBe(0);
    expect(await restore(used)).toMatchObject({ code: 1, output: expect.stringContaining('--replace') });
    const replaced = await restore(used, '--replace');
    expect(replaced.code).toBe(0);
    // Another installation's passwords.
    expect(replaced.output).toContain('AUTH_PEPPER');
    const database = await connectDatabase({ dataDir: join(directory, 'used'), mongodbUri: used['MONGODB_URI'], log });
    const users = await database.connection.collection('users').find({}).toArray();
    await database.close();
    expect(users.map(({ email }) => email)).toEqual([names[0]]);
  },
);

test('[BK-12] neither works on a data directory that a server uses', { timeout: 60_000 }, async () => {
  // The embedded database, also where the tests run on another one.
  const { MONGODB_URI: _, ...env } = installation('here');
  await using server = await startProcess(env);
  for (const { code, output } of [await backup(env), await writeFile(archive, '').then(() => backup(env))]) {
    expect([code, output]).toEqual([78, expect.stringContaining(String(server.pid))]);
  }
});

test(
  '[BK-13] a damaged archive, a newer one, and one that is not there change nothing',
  { timeout: 60_000 },
  async () => {
    const [old, fresh] = [installation('old'), installation('fresh')];
    const database = await connectDatabase({ dataDir: join(directory, 'old'), mongodbUri: old['MONGODB_URI'], log });
    const blobs = await createDiskBlobs({ directory: join(directory, 'old', 'blobs') });
    await database.connection.collection('users').insertOne({ name: 'Ada' });
    const plan = { leftOut: new Set<string>(), first: [], orders: {} };
    await dump({ connection: database.connection, blobs, plan, schemaVersion: 99, pepperSum: '', file: archive });
    await database.close();
    expect(await restore(fresh)).toMatchObject({ code: 1, output: expect.stringContaining('schema version 99') });
    const whole = await readFile(archive);
    await writeFile(archive, whole.subarray(0, whole.length / 2));
    expect(await restore(fresh, '--replace')).toMatchObject({ code: 1, output: expect.stringContaining('damaged') });
    await rm(archive);
    expect((await restore(fresh)).code).toBe(1);
    expect(await runToEnd(fresh, 'dist/restore.js')).toMatchObject({
      code: 1,
      output: expect.stringContaining('--from'),
    });
    expect(await runToEnd(fresh, 'dist/backup.js')).toMatchObject({ code: 1, output: expect.stringContaining('--to') });
    expect(await backup(fresh)).toMatchObject({ code: 1, output: expect.stringContaining('nothing to back up') });
  },
);

test('[BK-14] no server starts on a restore that was cut off', { timeout: 60_000 }, async () => {
  const env = installation('here');
  {
    await using server = await startProcess(env);
    await server.end('SIGTERM');
  }
  expect((await backup(env)).code).toBe(0);
  const database = await connectDatabase({ dataDir: join(directory, 'here'), mongodbUri: env['MONGODB_URI'], log });
  await begin(database.connection);
  await database.close();
  expect(await runToEnd(env)).toMatchObject({ code: 78, output: expect.stringContaining('did not finish') });
  expect((await restore(env, '--replace')).code).toBe(0);
  await using server = await startProcess(env);
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
});

test(
  '[BK-15] a backup of a running server holds what was acknowledged before, without a hole',
  { timeout: 180_000 },
  async () => {
    // A database server of its own, so that there is something to share.
    const engine = await startEmbeddedMongo({ path: join(directory, 'engine'), port: 0 });
    try {
      const uri = (name: string) => engine.uri.replace(/\/?(\?.*)?$/, `/${name}$1`);
      const running: Environment = { ...installation('running'), MONGODB_URI: uri('running') };
      const fresh: Environment = { ...installation('fresh'), MONGODB_URI: uri('fresh') };
      const acked = new Map<string, string>();
      let ada: Person;
      let grace: Person;
      let eve: Person;
      let chats: string[];
      {
        await using server = await startProcess(running);
        await using world = openWorld(() => server.url);
        [ada, grace, eve] = [await world.person('Ada'), await world.person('Grace'), await world.person('Eve')];
        chats = [await world.chat([ada, grace]), await world.chat([grace, ada])];
        const clients = [await world.client(ada), await world.client(grace)];
        const stopping = new AbortController();
        let started = false;
        const writers = Array.from({ length: 8 }, async (_, writer) => {
          const client = clients[writer % 2];
          const chatId = chats[writer % 2] ?? '';
          for (let n = 0; !stopping.signal.aborted; n++) {
            const sent = await client?.send(chatId, `${writer}:${n}`);
            if (!started && sent) acked.set(sent.id, chatId);
          }
        });
        // Eve comes and goes; whether she is a member is what the log says last.
        const churn = (async () => {
          for (let n = 0; !stopping.signal.aborted; n++) {
            const body = n % 2 ? { userId: eve.id } : { userIds: [eve.id] };
            await clients[0]?.call(n % 2 ? 'chat:remove-member' : 'chat:add-members', {
              chatId: chats[0],
              ...body,
            } as never);
          }
        })();
        await expect.poll(() => acked.size, { timeout: 30_000 }).toBeGreaterThan(500);
        started = true;
        const first = await backup(running);
        expect([first.code, first.output]).toEqual([0, expect.stringContaining('documents')]);
        stopping.abort();
        await Promise.all([...writers, churn]);
        // Nor may anybody restore over it.
        const refused = await restore(running, '--replace');
        expect(refused.code).toBe(78);
        const elsewhere = await restore({ ...fresh, MONGODB_URI: uri('running') }, '--replace');
        expect(elsewhere).toMatchObject({ code: 1, output: expect.stringContaining('A server uses this database') });
        for (const client of clients) client.close();
        await server.end('SIGTERM');
      }
      await cp(join(directory, 'running', 'secrets.json'), join(directory, 'fresh', 'secrets.json'));
      expect(await restore(fresh)).toMatchObject({ code: 0 });

      await using server = await startProcess(fresh);
      await using world = openWorld(() => server.url);
      const { accessToken } = await signIn(world, ada);
      const client = await world.client({ ...ada, accessToken });
      const standing: [boolean, boolean][] = [];
      for (const chatId of chats) {
        const { items } = await client.call('chat:heads', { chatIds: [chatId] });
        await client.send(chatId, 'after');
        const database = await connectDatabase({ dataDir: directory, mongodbUri: fresh['MONGODB_URI'], log });
        const rows = await database.connection
          .collection('entries')
          .find({ chatId: new Types.ObjectId(chatId) })
          .sort({ rev: 1 })
          .toArray();
        const revs = rows.map(({ rev }) => rev as number);
        expect(revs).toEqual(revs.map((_, index) => index + 1));
        expect(revs.at(-1)).toBe((items[0]?.rev ?? 0) + 1);
        const ids = new Set(rows.map(({ _id }) => String(_id)));
        const lost = [...acked].filter(([id, chat]) => chat === chatId && !ids.has(id));
        expect(lost).toEqual([]);
        const last = rows.findLast(({ kind }) => kind === 'members');
        const membership = await database.connection
          .collection('memberships')
          .findOne({ chatId: new Types.ObjectId(chatId), userId: new Types.ObjectId(eve.id) });
        // What the membership says, and what the log says.
        standing.push([membership?.['state'] === 'active', ((last?.['added'] ?? []) as unknown[]).length > 0]);
        await database.close();
      }
      for (const [stored, logged] of standing) expect(stored).toBe(logged);
    } finally {
      await engine.close();
    }
  },
);
