/** Attachments over two servers on one database, one Redis and one folder of blobs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNodes, type TestNodes } from '../support/nodes.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts';
import type { TestServer } from '../support/server.ts';
import { blobFiles, PNG, upload } from '../support/uploads.ts';

describe.runIf(hasRedis())('attachments on two nodes', { timeout: 60_000 }, () => {
  let redis: TestRedis;
  let cluster: TestNodes;
  let dataDir: string;
  let [here, there]: TestServer[] = [];
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'atelier-shared-'));
    redis = await startRedis();
    cluster = await startNodes(2, { REDIS_URL: redis.url, DATA_DIR: dataDir });
    [here, there] = cluster.nodes;
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  });

  test('[AT-6] [AT-7] [AT-11] uploaded on one, sent on the other, read by address on both, gone on both', async () => {
    if (!here || !there) throw new Error('They have not started');
    const [ada, grace] = [await here.person('Ada'), await here.person('Grace')];
    const chatId = await here.chat([ada, grace]);
    const { attachmentId } = await upload(here, ada, { content: PNG });
    const heard = (await here.client(grace)).once('message:created');
    const client = await there.client(ada);
    const { id: messageId } = await client.call('message:send', {
      chatId,
      clientId: 'c',
      type: 'image',
      attachmentIds: [attachmentId],
    });
    const url = (await heard).message.attachments[0]?.url ?? '';
    for (const node of [here, there]) expect((await fetch(node.url + url)).status).toBe(200);
    await client.call('message:delete', { chatId, messageId });
    for (const node of [here, there]) {
      await expect.poll(async () => (await fetch(node.url + url)).status).toBe(404);
    }
    await expect.poll(async () => (await blobFiles(dataDir)).blobs).toEqual([]);
  });
});
