import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { assert, asyncProperty, constantFrom, uniqueArray, tuple, string, integer } from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Blobs, ByteRange } from '../../src/storage/blobs/index.ts';

/** Two processes' ends of one empty store. */
export interface BlobWorld {
  here: Blobs;
  there: Blobs;
  close(): Promise<void>;
}

/** What every form of the blob store promises. `runs`: of what is tried with random names. */
export function describeBlobs(name: string, open: () => Promise<BlobWorld>, { runs = 40 } = {}): void {
  describe(`the blob store (${name})`, () => {
    let world: BlobWorld;
    let here: Blobs;
    let there: Blobs;
    beforeEach(async () => {
      world = await open();
      ({ here, there } = world);
    });
    afterEach(() => world.close());

    const put = (key: string, content: string | Uint8Array = key) =>
      here.put(key, Buffer.from(content as string), { contentType: 'text/plain' });
    const read = async (key: string, range?: ByteRange): Promise<string | undefined> => {
      const found = await there.get(key, range);
      return found && (await buffer(found.body)).toString();
    };
    const keys = async (prefix: string, page?: { limit?: number; cursor?: string }): Promise<string[]> =>
      (await there.list(prefix, page)).items.map(({ key }) => key);

    test('[ST-70] gives what was put, with its type and size, to every process', async () => {
      const stat = await here.put('pictures/cat', Buffer.from('miaow'), { contentType: 'image/png' });
      expect(stat).toMatchObject({ key: 'pictures/cat', sizeBytes: 5, contentType: 'image/png' });
      const found = await there.get('pictures/cat');
      expect(found?.stat).toEqual(stat);
      expect((await buffer(found?.body as Readable)).toString()).toBe('miaow');
      expect(await there.stat('pictures/cat')).toEqual(stat);
      expect(Math.abs(stat.modifiedAt.getTime() - Date.now())).toBeLessThan(60_000);
    });

    test('[ST-71] knows nothing of a blob that was never put, or was removed', async () => {
      expect(await here.get('a/b')).toBeUndefined();
      expect(await here.stat('a/b')).toBeUndefined();
      await put('a/b');
      await there.remove('a/b');
      expect(await here.get('a/b')).toBeUndefined();
      expect(await here.stat('a/b')).toBeUndefined();
      expect(await keys('')).toEqual([]);
      await here.remove('a/b');
      await put('a/b', 'again');
      expect(await read('a/b')).toBe('again');
    });

    test('[ST-72] takes content as a stream, larger than any buffer, and gives it back byte by byte', async () => {
      const chunk = randomBytes(64 * 1024);
      const sent = createHash('sha256');
      const source = async function* () {
        for (let i = 0; i < 160; i++) {
          const part = i % 2 ? chunk : chunk.subarray(i);
          sent.update(part);
          yield part;
        }
      };
      const { sizeBytes } = await here.put('large', source(), { contentType: 'application/octet-stream' });
      const got = createHash('sha256');
      let bytes = 0;
      for await (const part of (await there.get('large'))?.body ?? []) {
        got.update(part as Buffer);
        bytes += (part as Buffer).length;
      }
      expect(bytes).toBe(sizeBytes);
      expect(got.digest('hex')).toBe(sent.digest('hex'));
    });

    test('[ST-73] keeps an empty blob', async () => {
      expect(await put('empty', '')).toMatchObject({ sizeBytes: 0 });
      expect(await read('empty')).toBe('');
      expect(await there.list('')).toMatchObject({ items: [{ key: 'empty', sizeBytes: 0 }] });
      await expect(there.get('empty', { start: 0, end: 1 })).rejects.toThrow(RangeError);
    });

    test('[ST-74] gives any part, and refuses one that does not lie within', async () => {
      await put('text', 'Hello world');
      expect(await read('text', { start: 0, end: 5 })).toBe('Hello');
      expect(await read('text', { start: 6, end: 11 })).toBe('world');
      expect(await read('text', { start: 4, end: 5 })).toBe('o');
      for (const [start, end] of [
        [0, 12],
        [11, 12],
        [5, 5],
        [5, 4],
        [-1, 3],
        [0.5, 3],
        [0, Number.NaN],
      ] as const) {
        await expect(there.get('text', { start, end })).rejects.toThrow(RangeError);
      }
      expect(await there.get('none', { start: 0, end: 5 })).toBeUndefined();
    });

    test('[ST-75] shows a blob only when it is whole', async () => {
      await put('doc', 'first');
      let goOn = (): void => {};
      const more = new Promise<void>((resolve) => (goOn = resolve));
      let halfway = (): void => {};
      const isHalfway = new Promise<void>((resolve) => (halfway = resolve));
      const slow = async function* () {
        yield Buffer.from('second, ');
        halfway();
        await more;
        yield Buffer.from('longer');
      };
      const putting = here.put('doc', slow(), { contentType: 'text/html' });
      const other = here.put('new', slow(), { contentType: 'text/html' });
      await isHalfway;
      expect(await read('doc')).toBe('first');
      expect(await there.stat('new')).toBeUndefined();
      expect(await keys('')).toEqual(['doc']);
      goOn();
      await Promise.all([putting, other]);
      expect(await read('doc')).toBe('second, longer');
      expect((await there.stat('doc'))?.contentType).toBe('text/html');
      expect(await keys('')).toEqual(['doc', 'new']);
    });

    test('[ST-76] keeps what was there when the content fails, has another size than said, or is given up', async () => {
      await put('doc', 'first');
      const failing = async function* () {
        yield Buffer.from('second');
        throw new Error('the sender is gone');
      };
      const options = { contentType: 'text/plain' };
      await expect(here.put('doc', failing(), options)).rejects.toThrow('the sender is gone');
      await expect(here.put('doc', Buffer.from('abc'), { ...options, sizeBytes: 4 })).rejects.toThrow('size');
      await expect(here.put('doc', Buffer.from('abc'), { ...options, sizeBytes: 2 })).rejects.toThrow('size');
      const stop = new AbortController();
      const source = new Readable({ read() {} });
      source.push('half');
      const givenUp = here.put('doc', source, { ...options, signal: stop.signal });
      stop.abort(new Error('enough'));
      await expect(givenUp).rejects.toThrow('aborted');
      expect(source.destroyed).toBe(true);
      expect(await read('doc')).toBe('first');
      expect(await keys('')).toEqual(['doc']);
      expect(await here.put('doc', Buffer.from('abc'), { ...options, sizeBytes: 3 })).toMatchObject({ sizeBytes: 3 });
    });

    test('[ST-77] goes on giving the version that was opened when the blob is replaced or removed', async () => {
      const first = randomBytes(400_000);
      await put('doc', first);
      const before = await there.get('doc');
      const alsoBefore = await there.get('doc');
      await put('doc', 'second');
      await here.remove('doc');
      expect((await buffer(before?.body as Readable)).equals(first)).toBe(true);
      alsoBefore?.body.destroy();
    });

    test('[ST-78] changes the etag with the content', async () => {
      const etags = new Set<string>();
      for (let i = 0; i < 5; i++) {
        const { etag } = await put('doc', 'same size');
        expect(etag).toMatch(/^[\w-]+$/);
        etags.add(etag);
        expect((await there.stat('doc'))?.etag).toBe(etag);
      }
      expect(etags.size).toBe(5);
    });

    test('[ST-79] takes any name that is a path of ordinary segments', async () => {
      const good = ['a', 'a/b', 'a.b/b.d', 'a.d', 'a.b', ' a ', 'ünï/日本 語.txt', '...', '%2e%2e/x', 'x'.repeat(200)];
      const longest = `${'y'.repeat(200)}/${'y'.repeat(200)}/${'y'.repeat(110)}`;
      for (const key of [...good, longest]) await put(key);
      for (const key of [...good, longest]) expect(await read(key)).toBe(key);
      expect((await keys('')).sort()).toEqual([...good, longest].sort());
      for (const key of good) {
        await here.remove(key);
        expect(await read(key)).toBeUndefined();
      }
      expect(await keys('')).toEqual([longest]);
    });

    test('[ST-80] refuses every other name as invalid', async () => {
      const bad = [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        '../a',
        'a/../b',
        'a/..',
        'a/./b',
        'a\\..\\b',
        'a\0b',
        'a\nb',
      ];
      const long = [longSegments(513), 'x'.repeat(201), 'é'.repeat(101), 'lone \ud800'];
      for (const key of [...bad, ...long]) {
        await expect(put(key)).rejects.toMatchObject({ code: 'invalid' });
        await expect(here.get(key)).rejects.toMatchObject({ code: 'invalid' });
        await expect(here.stat(key)).rejects.toMatchObject({ code: 'invalid' });
        await expect(here.remove(key)).rejects.toMatchObject({ code: 'invalid' });
      }
      for (const prefix of ['..', '../', '/', 'a\0']) expect(await keys(prefix)).toEqual([]);
    });

    test('[ST-81] lists by prefix in the order of bytes, page by page', async () => {
      const all = ['a', 'a-b', 'a/b', 'a/b/c', 'a/b-c', 'a/bc', 'a0', 'b/x', 'ab', 'a/\u{1f600}', 'a/\uffee'];
      for (const key of all) await put(key);
      const sorted = all.sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
      expect(await keys('')).toEqual(sorted);
      for (const prefix of ['a', 'a/', 'a/b', 'a/b/', 'b', 'b/x', 'b/xy', 'nothing']) {
        expect(await keys(prefix)).toEqual(sorted.filter((key) => key.startsWith(prefix)));
      }
      for (const limit of [1, 2, 3, 10, 11]) {
        const paged: string[] = [];
        for (let cursor: string | null | undefined; cursor !== null;) {
          const page = await there.list('a', { limit, ...(cursor === undefined ? {} : { cursor }) });
          expect(page.items.length).toBeLessThanOrEqual(limit);
          paged.push(...page.items.map(({ key }) => key));
          cursor = page.next;
        }
        expect(paged).toEqual(sorted.filter((key) => key.startsWith('a')));
      }
    });

    test('[ST-82] lists exactly what is there, whatever the names', async () => {
      const segment = string({ unit: constantFrom('a', 'b', '.', '-', '0', 'é'), minLength: 1, maxLength: 3 }).filter(
        (text) => text !== '.' && text !== '..',
      );
      const key = uniqueArray(segment, { minLength: 1, maxLength: 3, comparator: () => false }).map((s) => s.join('/'));
      await assert(
        asyncProperty(
          uniqueArray(key, { maxLength: 12 }),
          tuple(string({ unit: constantFrom('a', 'b', '/', '.'), maxLength: 3 }), integer({ min: 1, max: 5 })),
          async (names, [prefix, limit]) => {
            for (const name of names) await put(name);
            const expected = names
              .filter((name) => name.startsWith(prefix))
              .sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
            const paged: string[] = [];
            for (let cursor: string | null | undefined; cursor !== null;) {
              const page = await there.list(prefix, { limit, ...(cursor === undefined ? {} : { cursor }) });
              paged.push(...page.items.map((item) => item.key));
              cursor = page.next;
            }
            expect(paged).toEqual(expected);
            for (const name of names) await here.remove(name);
            expect(await keys('')).toEqual([]);
          },
        ),
        { numRuns: runs },
      );
    });

    test('[ST-83] puts, removals and listings of many at once do not disturb each other', async () => {
      const own = [0, 1, 2, 3].map(async (writer) => {
        const blobs = writer % 2 ? here : there;
        for (let i = 0; i < 25; i++) {
          const key = `shared/folder/${writer}`;
          await blobs.put(key, Buffer.from(`${writer}/${i}`), { contentType: 'text/plain' });
          expect(await read(key)).toBe(`${writer}/${i}`);
          await blobs.list('shared/');
          await blobs.remove(key);
        }
      });
      await Promise.all(own);
      expect(await keys('')).toEqual([]);
      // Of several that put the same blob, one wins whole.
      const contents = Array.from({ length: 8 }, () => randomBytes(200_000));
      await Promise.all(
        contents.map((content, i) =>
          (i % 2 ? here : there).put('same', content, { contentType: 'application/octet-stream' }),
        ),
      );
      const last = await buffer((await here.get('same'))?.body as Readable);
      expect(contents.some((content) => content.equals(last))).toBe(true);
    });

    test('[ST-84] a range that nobody reads to its end can be dropped', async () => {
      await put('doc', randomBytes(1_000_000));
      for (let i = 0; i < 50; i++) {
        const found = await there.get('doc', { start: i, end: 900_000 });
        found?.body.destroy();
      }
      expect((await read('doc', { start: 0, end: 3 }))?.length).toBeGreaterThan(0);
    });
  });
}

function longSegments(bytes: number): string {
  return Array.from({ length: Math.ceil(bytes / 100) }, () => 'z'.repeat(99))
    .join('/')
    .padEnd(bytes, 'z')
    .slice(0, bytes);
}
