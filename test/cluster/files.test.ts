/** Files over two servers on one database and one Redis. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, heard } from '../support/calls.ts';
import { startNodes, type TestNodes } from '../support/nodes.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts';
import type { Person, TestServer } from '../support/server.ts';

describe.runIf(hasRedis())('files on two nodes', { timeout: 60_000 }, () => {
  let redis: TestRedis;
  let cluster: TestNodes;
  let ada: Person;
  let [here, there]: Socket[] = [];
  let projectId: string;
  beforeAll(async () => {
    redis = await startRedis();
    cluster = await startNodes(2, { REDIS_URL: redis.url });
    const [first, second] = cluster.nodes as [TestServer, TestServer];
    ada = await first.person('Ada');
    [here, there] = [await first.socket(ada), await second.socket(ada)];
    projectId = (await call(here, 'project:create', { name: 'A project', template: 'empty' })).project.id;
    await call(there, 'project:get', { projectId });
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });

  const both = (): [Socket, Socket] => [here as Socket, there as Socket];

  test('[FL-17] what happens on one is heard on the other, and what is deleted is closed there', async () => {
    const [a, b] = both();
    const [created, renamed, changed, deleted, closed] = [
      heard(b, 'file:created'),
      heard(b, 'file:renamed'),
      heard(b, 'file:changed'),
      heard(b, 'file:deleted'),
      heard(b, 'doc:access-changed'),
    ];
    const { file } = await call(a, 'file:create', { projectId, path: 'a', content: 'text' });
    await expect.poll(() => created).toEqual([{ projectId, file }]);
    expect(await call(b, 'file:read', { fileId: file.id })).toEqual({ file, content: 'text' });
    await call(b, 'doc:open', { fileId: file.id });
    await call(a, 'file:write', { fileId: file.id, content: 'longer text' });
    await expect
      .poll(() => changed, { timeout: 10_000 })
      .toMatchObject([{ projectId, file: { id: file.id, sizeBytes: 11 } }]);
    await call(a, 'file:rename', { fileId: file.id, newPath: 'b' });
    await expect.poll(() => renamed).toMatchObject([{ projectId, oldPath: 'a', file: { id: file.id, path: 'b' } }]);
    expect(closed).toEqual([]);
    await call(a, 'file:delete', { fileId: file.id });
    await expect.poll(() => deleted).toMatchObject([{ projectId, file: { id: file.id, path: 'b' } }]);
    await expect.poll(() => closed).toEqual([{ docId: file.id, access: 'none' }]);
    await call(b, 'file:restore', { fileId: file.id });
    expect(await call(a, 'file:read', { fileId: file.id })).toMatchObject({ content: 'longer text' });
  });

  test('[FL-3] [FL-20] changes of both at the same time are each done, one after another', async () => {
    const [a, b] = both();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, n) => [
        call(a, 'file:create', { projectId, path: `own/a${n}` }),
        call(b, 'file:create', { projectId, path: `own/b${n}` }),
        call(a, 'file:create', { projectId, path: `same/${n}` }),
        call(b, 'file:create', { projectId, path: `SAME/${n}` }),
      ]).flat(),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(new Set(refused.map(({ reason }) => (reason as { code: string }).code))).toEqual(new Set(['conflict']));
    expect(refused).toHaveLength(10);
    const trees = await Promise.all([a, b].map((socket) => call(socket, 'file:tree', { projectId })));
    expect(trees[0]).toEqual(trees[1]);
    const paths = trees[0]?.files.map(({ path }) => path) ?? [];
    expect(paths.filter((path) => path.startsWith('own/'))).toHaveLength(20);
    expect(paths.filter((path) => /^same\//i.test(path))).toHaveLength(10);
    expect(new Set(paths.map((path) => path.toLowerCase())).size).toBe(paths.length);
  });

  test('[FL-8] a folder that one renames is seen by the other at its old place or its new one, whole', async () => {
    const [a, b] = both();
    const files = Array.from({ length: 60 }, (_, n) => ({ path: `from/${n}`, content: `${n}` }));
    await call(a, 'file:write-many', { projectId, files });
    const over = new AbortController();
    const seen: string[] = [];
    const looking = (async () => {
      while (!over.signal.aborted) {
        const { files: now } = await call(b, 'file:tree', { projectId });
        const folders = now.flatMap(({ path }) => /^(from|to)\//.exec(path)?.[1] ?? []);
        seen.push(`${new Set(folders).size} ${folders.length}`);
      }
    })();
    for (let n = 0; n < 6; n++) {
      const [path, newPath] = n % 2 === 0 ? ['from', 'to'] : ['to', 'from'];
      await call(a, 'file:rename', { projectId, path, newPath });
    }
    over.abort();
    await looking;
    expect(new Set(seen)).toEqual(new Set(['1 60']));
  });
});
