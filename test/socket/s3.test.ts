/** A server that keeps its uploads in S3 instead of on disk: the same to its users, and to its operator. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasS3, startS3, type S3Server } from '../support/s3-server.ts';
import { runToEnd, startProcess, testEnvironment } from '../support/process.ts';
import { openWorld, startServer } from '../support/server.ts';
import { formOf, PNG, post, upload } from '../support/uploads.ts';

describe.runIf(hasS3())('a server with its uploads in S3', { timeout: 120_000 }, () => {
  let s3: S3Server;
  let directory: string;
  beforeAll(async () => {
    s3 = await startS3();
    directory = await mkdtemp(join(tmpdir(), 'atelier-s3-server-'));
  }, 120_000);
  afterAll(async () => {
    await s3?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });
  const objects = async (prefix: string | undefined): Promise<string[]> =>
    ((await s3.client.listObjectsV2({ Bucket: s3.bucket, Prefix: `${prefix}/` })).Contents ?? []).map(
      ({ Key = '' }) => Key,
    );

  test('[ST-100] attachments and pictures are objects, served as ever', async () => {
    const dataDir = join(directory, 'attachments');
    const env: Record<string, string> = { ...s3.env(), DATA_DIR: dataDir };
    await using world = await startServer(env);
    const ada = await world.person('Ada');
    const content = Buffer.alloc(9 * 1024 * 1024, 'atelier ');
    const { attachmentId, url } = await upload(world, ada, { content, name: 'large.txt' });
    const whole = await fetch(world.url + url);
    expect(whole.headers.get('content-disposition')).toContain('large.txt');
    expect(Buffer.from(await whole.arrayBuffer()).equals(content)).toBe(true);
    const part = await fetch(world.url + url, { headers: { range: 'bytes=8-14' } });
    expect([part.status, await part.text()]).toEqual([206, 'atelier']);

    const { body } = await post(world, '/api/users/avatar', ada, formOf({ content: PNG }));
    const { avatarUrl } = (body as unknown as { data: { user: { avatarUrl: string } } }).data.user;
    expect(Buffer.from(await (await fetch(new URL(avatarUrl, world.url))).arrayBuffer()).equals(PNG)).toBe(true);

    const names = await objects(env['S3_PREFIX']);
    expect(names).toContainEqual(expect.stringContaining(`/attachments/${attachmentId.slice(-3)}/${attachmentId}`));
    expect(names).toContainEqual(expect.stringContaining(`/avatars/`));
    expect(await readdir(dataDir)).not.toContain('blobs');
    expect(await readdir(join(dataDir, 'spool'))).toEqual([]);
  });

  test('[ST-101] says where uploads are, and that the store is gone', async () => {
    await using world = await startServer(s3.env());
    const health = async () => (await (await fetch(`${world.url}/health`)).json()) as object;
    expect(await health()).toMatchObject({ status: 'ok', parts: { uploads: 'S3', s3: 'ok' } });
    const ada = await world.person('Ada');
    await s3.stop();
    try {
      expect((await post(world, '/api/attachments', ada, formOf({ content: PNG }))).status).toBe(503);
      expect(await health()).toMatchObject({
        status: 'degraded',
        message: expect.stringContaining('uploads'),
        parts: { s3: 'out of reach' },
      });
    } finally {
      await s3.start();
    }
    await upload(world, ada, { content: PNG });
    expect(await health()).toMatchObject({ status: 'ok' });
    expect(world.errors).toEqual([]);
  });

  test('[BK-16] a backup holds what is in S3, and a restore puts it there', async () => {
    const [old, fresh] = ['old', 'fresh'].map((name) => ({
      ...testEnvironment(join(directory, name)),
      ...s3.env(),
    })) as [Record<string, string>, Record<string, string>];
    const archive = join(directory, 'archive.tar.gz');
    const path = '/api/users/avatar';
    let url: string;
    {
      await using server = await startProcess(old);
      await using world = openWorld(() => server.url);
      expect(server.output()).toMatch(/uploads +S3/);
      const ada = await world.person('Ada');
      const { body } = await post(world, path, ada, formOf({ content: PNG }));
      url = (body as unknown as { data: { user: { avatarUrl: string } } }).data.user.avatarUrl;
      await server.end('SIGTERM');
    }
    const saved = await runToEnd(old, 'dist/backup.js', ['--to', archive]);
    expect(saved).toMatchObject({ code: 0, output: expect.stringContaining(' 1 blobs') });
    const restored = await runToEnd(fresh, 'dist/restore.js', ['--from', archive]);
    expect(restored).toMatchObject({ code: 0, output: expect.stringContaining('1 blobs') });
    expect(await objects(fresh['S3_PREFIX'])).toHaveLength(1);
    await using server = await startProcess(fresh);
    const { pathname, search } = new URL(url, server.url);
    const picture = await fetch(server.url + pathname + search);
    expect(picture.headers.get('content-type')).toBe('image/png');
    expect(Buffer.from(await picture.arrayBuffer()).equals(PNG)).toBe(true);

    const again = await runToEnd(fresh, 'dist/restore.js', ['--from', archive]);
    expect(again).toMatchObject({ code: expect.any(Number) });
    expect(again.code).not.toBe(0);
  });
});
