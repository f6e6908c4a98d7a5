import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Log } from '../../src/observability/log.ts';
import { createS3Blobs, type S3Blobs } from '../../src/storage/blobs/s3-blobs.ts';
import type { S3Place } from '../../src/storage/blobs/s3-client.ts';
import { hasS3, startS3, type S3Server } from '../support/s3-server.ts';
import { describeBlobs } from './blobs.contract.ts';

const MIB = 1024 * 1024;

describe.runIf(hasS3())('blobs in S3', { timeout: 60_000 }, () => {
  let server: S3Server;
  let spoolDirectory: string;
  beforeAll(async () => {
    server = await startS3();
    spoolDirectory = await mkdtemp(join(tmpdir(), 'atelier-spool-'));
  }, 120_000);
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await rm(spoolDirectory, { recursive: true, force: true });
  });

  const place = (): S3Place & { prefix: string } => {
    const { S3_PREFIX = '', AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = server.env();
    return {
      bucket: server.bucket,
      prefix: S3_PREFIX,
      region: 'us-east-1',
      endpoint: server.endpoint,
      accessKeyId: AWS_ACCESS_KEY_ID,
      secretAccessKey: AWS_SECRET_ACCESS_KEY,
    };
  };
  /** What the store has warned of. */
  let warnings: { message: string; action?: unknown; error?: unknown }[];
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: (message, fields) => void warnings.push({ message, ...fields }),
    error: () => {},
    child: () => log,
  };
  beforeEach(() => {
    warnings = [];
  });
  const open = (at: S3Place, now = Date.now): Promise<S3Blobs> => createS3Blobs({ ...at, spoolDirectory, log, now });
  const uploadsUnder = async (prefix: string): Promise<number> =>
    (await server.client.listMultipartUploads({ Bucket: server.bucket, Prefix: prefix })).Uploads?.length ?? 0;

  describeBlobs(
    'S3',
    async () => {
      const at = place();
      const [here, there] = [await open(at), await open(at)];
      return {
        here,
        there,
        async close() {
          await Promise.all([here.close(), there.close()]);
        },
      };
    },
    { runs: 8 },
  );

  describe('the blob store in S3', () => {
    let at: S3Place & { prefix: string };
    let blobs: S3Blobs;
    beforeEach(async () => {
      at = place();
      blobs = await open(at);
      return () => blobs.close();
    });
    const text = { contentType: 'text/plain' };
    const read = async (key: string): Promise<Buffer | undefined> => {
      const found = await blobs.get(key);
      return found && buffer(found.body);
    };

    test('[ST-90] keeps to its folder of the bucket', async () => {
      const other = await open({ ...at, prefix: `${at.prefix}x` });
      await blobs.put('doc', Buffer.from('ours'), text);
      await other.put('doc', Buffer.from('theirs'), text);
      expect((await blobs.list('')).items.map(({ key }) => key)).toEqual(['doc']);
      await other.remove('doc');
      expect((await read('doc'))?.toString()).toBe('ours');
      await other.close();
    });

    test('[ST-91] sends what is large in parts, and gives it back byte by byte', async () => {
      const parts = Array.from({ length: 20 }, () => randomBytes(MIB));
      const whole = Buffer.concat(parts);
      const stat = await blobs.put('large', Readable.from(parts), { ...text, sizeBytes: whole.length });
      expect(stat.sizeBytes).toBe(whole.length);
      expect(await blobs.stat('large')).toEqual(stat);
      expect((await read('large'))?.equals(whole)).toBe(true);
      const range = { start: 8 * MIB - 3, end: 16 * MIB + 3 };
      const piece = await blobs.get('large', range);
      expect((await buffer(piece?.body as Readable)).equals(whole.subarray(range.start, range.end))).toBe(true);
      expect(await uploadsUnder(at.prefix)).toBe(0);
    });

    test('[ST-92] nothing is left in the store or on disk of content that fails, is cut or is given up', async () => {
      const failing = async function* () {
        for (let i = 0; i < 12; i++) yield randomBytes(MIB);
        throw new Error('the sender is gone');
      };
      await expect(blobs.put('doc', failing(), text)).rejects.toThrow('the sender is gone');
      const long = (): Readable => Readable.from(Array.from({ length: 12 }, () => randomBytes(MIB)));
      await expect(blobs.put('doc', long(), { ...text, sizeBytes: 12 * MIB + 1 })).rejects.toThrow('size');
      await expect(blobs.put('doc', long(), { ...text, sizeBytes: 12 * MIB - 1 })).rejects.toThrow('size');
      const stop = new AbortController();
      // Sending so much takes far longer than seeing that it has begun.
      const longer = Readable.from(Array.from({ length: 400 }, () => Buffer.alloc(MIB)));
      const givenUp = blobs.put('doc', longer, { ...text, signal: stop.signal });
      // The parts are on their way.
      await expect.poll(() => uploadsUnder(at.prefix), { timeout: 20_000 }).toBe(1);
      stop.abort();
      await expect(givenUp).rejects.toThrow('aborted');
      expect(await uploadsUnder(at.prefix)).toBe(0);
      expect(await blobs.stat('doc')).toBeUndefined();
      expect((await blobs.list('')).items).toEqual([]);
      expect(await readdir(spoolDirectory)).toEqual([]);
    });

    test('[ST-93] a process killed while it sends leaves the blob as it was, and its parts go after a day', async () => {
      await blobs.put('doc', Buffer.from('first'), text);
      const script = `
        import { createS3Blobs } from ${JSON.stringify(join(process.cwd(), 'src/storage/blobs/s3-blobs.ts'))};
        const log = { warn() {} };
        const blobs = await createS3Blobs({ ...${JSON.stringify({ ...at, spoolDirectory })}, log });
        await blobs.put('doc', (async function* () {
          for (let i = 0; i < 400; i++) yield Buffer.alloc(1_000_000);
        })(), { contentType: 'text/plain' });`;
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      await expect.poll(() => uploadsUnder(at.prefix), { timeout: 20_000 }).toBe(1);
      child.kill('SIGKILL');
      await once(child, 'exit');

      expect(await blobs.stat('doc')).toMatchObject({ sizeBytes: 5 });
      expect(await readdir(spoolDirectory)).toEqual([]);
      const next = await open(at);
      await next.close();
      expect(await uploadsUnder(at.prefix)).toBe(1);
      const later = await open(at, () => Date.now() + 2 * 86_400_000);
      await expect.poll(() => uploadsUnder(at.prefix), { timeout: 10_000 }).toBe(0);
      await later.close();
      expect((await read('doc'))?.toString()).toBe('first');
    });

    test('[ST-94] gives addresses by which anybody may get one blob for a while', async () => {
      await blobs.put('ünï/a b.html', Buffer.from('<p>hello'), { contentType: 'text/html' });
      const url = await blobs.urlFor('ünï/a b.html', {
        method: 'GET',
        expiresInSeconds: 60,
        contentType: 'application/octet-stream',
        fileName: 'größe "x".html',
      });
      const answer = await fetch(url);
      expect(answer.status).toBe(200);
      expect(await answer.text()).toBe('<p>hello');
      expect(answer.headers.get('content-type')).toBe('application/octet-stream');
      expect(answer.headers.get('content-disposition')).toBe(
        `attachment; filename="gr__e _x_.html"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%22x%22.html`,
      );
      // Type and name are signed, and so is which blob it is.
      for (const [from, to] of [
        ['octet-stream', 'xml'],
        ['attachment', 'inline'],
        ['a%20b.html', 'c.html'],
      ] as const) {
        expect(url).toContain(from);
        expect((await fetch(url.replace(from, to))).status).toBe(403);
      }
      expect((await fetch(url, { method: 'PUT', body: 'mine now' })).status).toBe(403);
      const short = await blobs.urlFor('ünï/a b.html', { method: 'GET', expiresInSeconds: 1 });
      await expect.poll(async () => (await fetch(short)).status, { timeout: 10_000 }).toBe(403);
    });

    test('[ST-95] gives addresses by which anybody may put one blob, of the type and size that were agreed', async () => {
      const sign = () =>
        blobs.urlFor('doc', { method: 'PUT', expiresInSeconds: 60, contentType: 'image/png', sizeBytes: 4 });
      const put = async (url: string, body: string, contentType: string): Promise<number> =>
        (await fetch(url, { method: 'PUT', body, headers: { 'content-type': contentType } })).status;
      expect(await put(await sign(), 'data', 'text/html')).toBe(403);
      expect(await put(await sign(), 'more data', 'image/png')).toBe(403);
      expect(await blobs.stat('doc')).toBeUndefined();
      expect(await put(await sign(), 'data', 'image/png')).toBe(200);
      const first = await blobs.stat('doc');
      expect(first).toMatchObject({ sizeBytes: 4, contentType: 'image/png', etag: expect.stringMatching(/^[\w-]+$/) });
      expect((await blobs.get('doc'))?.stat).toEqual(first);
      expect(await put(await sign(), 'DATA', 'image/png')).toBe(200);
      expect((await blobs.stat('doc'))?.etag).not.toBe(first?.etag);
    });

    test('[ST-96] a store that does not answer, or refuses, makes everything unavailable, and is logged with its cause', async () => {
      await blobs.put('doc', Buffer.from('kept'), text);
      expect(blobs.isReachable()).toBe(true);
      await server.stop();
      try {
        const tries = [
          () => blobs.put('doc', Buffer.from('lost'), text),
          () => blobs.put('doc', Readable.from([randomBytes(9 * MIB)]), text),
          () => blobs.get('doc'),
          () => blobs.stat('doc'),
          () => blobs.list(''),
          () => blobs.remove('doc'),
        ];
        for (const attempt of tries) await expect(attempt()).rejects.toMatchObject({ code: 'unavailable' });
        // The search for parts of old uploads, which runs by itself, may have met the same end.
        const failed = warnings.filter(({ message }) => message === 'the object store failed');
        expect(failed.map(({ action }) => action)).toEqual(['put', 'put', 'get', 'stat', 'list', 'remove']);
        expect(failed[0]?.error).toMatchObject({ code: 'ECONNREFUSED' });
        expect(blobs.isReachable()).toBe(false);
      } finally {
        await server.start();
      }
      expect((await read('doc'))?.toString()).toBe('kept');
      expect(blobs.isReachable()).toBe(true);

      for (const wrong of [
        { ...at, bucket: 'not-there' },
        { ...at, secretAccessKey: 'not this one' },
      ]) {
        const refused = await open(wrong);
        for (const attempt of [
          () => refused.put('doc', Buffer.from('x'), text),
          () => refused.get('doc'),
          () => refused.list(''),
        ]) {
          await expect(attempt()).rejects.toMatchObject({ code: 'unavailable' });
        }
        await refused.close();
      }
    });

    test('[ST-97] finds out that a store is gone, or back, when it is asked', async () => {
      let aheadMs = 0;
      const watched = await open(at, () => Date.now() + aheadMs);
      const isReachable = (): boolean => {
        aheadMs += 60_000;
        return watched.isReachable();
      };
      await expect.poll(isReachable).toBe(true);
      await server.stop();
      try {
        await expect.poll(isReachable, { timeout: 10_000 }).toBe(false);
      } finally {
        await server.start();
      }
      await expect.poll(isReachable, { timeout: 10_000 }).toBe(true);
      await watched.close();
    });

    test('[ST-98] what others have put into its folder is nobody, if it has no name of ours', async () => {
      for (const name of ['folder/', 'a//b', 'doc']) {
        await server.client.putObject({ Bucket: server.bucket, Key: `${at.prefix}/${name}`, Body: 'x' });
      }
      expect((await blobs.list('', { limit: 1 })).items.map(({ key }) => key)).toEqual(['doc']);
      expect((await blobs.list('')).items.map(({ key }) => key)).toEqual(['doc']);
    });
  });
});
