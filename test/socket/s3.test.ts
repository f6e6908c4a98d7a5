/** A server that keeps its uploads in S3 instead of on disk: the same to its users, and to its operator. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call } from '../support/calls.ts';
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

  test('[FL-42] a file goes to the store and comes from it by addresses of the store', async () => {
    await using world = await startServer(s3.env());
    const ada = await world.person('Ada');
    const socket = await world.socket(ada);
    const { project } = await call(socket, 'project:create', { name: 'A project', template: 'empty' });
    const content = Buffer.concat([Buffer.of(0, 255), Buffer.alloc(100_000, 'atelier ')]);
    const plan = { projectId: project.id, path: 'sound/bell.wav', sizeBytes: content.length };
    const { uploadId, method, url, headers } = await call(socket, 'file:upload-url', plan);
    expect(url.startsWith('http')).toBe(true);
    const send = async (body: Buffer, extra: object = {}): Promise<number> =>
      (await fetch(url, { method, body, headers: { ...headers, ...extra } })).status;

    await expect(call(socket, 'file:upload-done', { uploadId })).rejects.toMatchObject({ code: 'conflict' });
    expect(await send(Buffer.concat([content, content]))).toBe(403);
    expect(await send(content, { 'Content-Type': 'text/html' })).toBe(403);
    expect(await send(content)).toBe(200);
    const { file } = await call(socket, 'file:upload-done', { uploadId });
    expect(file).toMatchObject({ path: plan.path, kind: 'blob', sizeBytes: content.length });
    // What is sent to the address afterwards changes nothing.
    await send(Buffer.alloc(content.length, 1));
    expect((await call(socket, 'file:upload-done', { uploadId })).file).toEqual(file);

    const read = await call(socket, 'file:read', { fileId: file.id });
    const download = await fetch(read.url ?? '');
    expect(download.headers.get('content-disposition')).toBe(null);
    expect(Buffer.from(await download.arrayBuffer()).equals(content)).toBe(true);
    const token = { authorization: `Bearer ${ada.accessToken}` };
    const whole = await fetch(`${world.url}/api/files/${file.id}/content`, { headers: token });
    expect(Buffer.from(await whole.arrayBuffer()).equals(content)).toBe(true);

    await call(socket, 'file:create', { projectId: project.id, path: 'page.html', content: '<b>Hello</b>' });
    const snapshot = await call(socket, 'project:snapshot', { projectId: project.id });
    expect(snapshot.files.map(({ path }) => path).toSorted()).toEqual(['page.html', 'sound/bell.wav']);
    const served = await Promise.all(
      snapshot.files.map(async ({ path, key, url: address }) => {
        expect(key).toBe(`users/${ada.id}/projects/${project.id}/${path}`);
        const answer = await fetch(address);
        const disposition = answer.headers.get('content-disposition')?.split(';')[0];
        return [path, (await answer.arrayBuffer()).byteLength, disposition];
      }),
    );
    // A page of somebody's project is saved, never shown on the store's own origin.
    expect(served).toEqual(
      expect.arrayContaining([
        ['page.html', 12, 'attachment'],
        ['sound/bell.wav', content.length, undefined],
      ]),
    );
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
