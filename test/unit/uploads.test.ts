/** Looking into files: what is read from good ones, and that no bad one stops or poisons the reader. */
import { integer, assert, asyncProperty, constantFrom, property, uint8Array } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMp4 } from '../../src/features/uploads/mp4.ts';
import { readWebm } from '../../src/features/uploads/webm.ts';
import { MediaInspector, withHead } from '../../src/features/uploads/index.ts';
import type { Log } from '../../src/observability/log.ts';
import {
  AVIF,
  GIF,
  JPEG,
  mp3,
  PNG,
  VIDEO_MP4,
  VIDEO_WEBM,
  VOICE_MP4,
  VOICE_WEBM,
  wav,
  WEBP,
} from '../support/uploads.ts';

const nothing = (): void => {};
const warnings: unknown[] = [];
const log: Log = {
  debug: nothing,
  info: nothing,
  warn: (message, fields) => warnings.push({ message, ...fields }),
  error: nothing,
  child: () => log,
};

let inspector: MediaInspector;
beforeAll(() => {
  inspector = new MediaInspector({ log });
});
afterAll(() => inspector.close());

const about = (expected: number): unknown => expect.closeTo(expected, -3);

describe('recordings as browsers write them', () => {
  test('[AT-5] a WebM stream of unknown size has the length of its last block', () => {
    expect(readWebm(VOICE_WEBM)).toEqual({ hasAudio: true, hasVideo: false, durationMs: about(900) });
    expect(readWebm(VIDEO_WEBM)).toMatchObject({ hasAudio: false, hasVideo: true });
  });

  test('[AT-5] a fragmented MP4 has the length of its fragments', () => {
    expect(readMp4(VOICE_MP4)).toEqual({ hasAudio: true, hasVideo: false, durationMs: about(900) });
    expect(readMp4(VIDEO_MP4)).toMatchObject({ hasAudio: true, hasVideo: true });
  });

  test('[AT-5] cut or altered anywhere, they are read to the end without error', () => {
    const samples = constantFrom(VOICE_WEBM, VIDEO_WEBM, VOICE_MP4, VIDEO_MP4);
    assert(
      property(
        samples,
        integer({ min: 0 }),
        integer({ min: 0 }),
        uint8Array({ maxLength: 8 }),
        (sample, cut, at, noise) => {
          const bytes = Uint8Array.from(sample.subarray(0, sample.length - (cut % sample.length)));
          if (bytes.length > 0)
            bytes.set(noise.subarray(0, bytes.length), at % Math.max(1, bytes.length - noise.length));
          for (const read of [readWebm, readMp4]) {
            const { durationMs = 0 } = read(bytes) ?? {};
            expect(durationMs >= 0).toBe(true);
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe('the inspector', () => {
  test.each([
    ['image/png', PNG],
    ['image/jpeg', JPEG],
    ['image/gif', GIF],
    ['image/webp', WEBP],
    ['image/avif', AVIF],
    ['video/webm', VOICE_WEBM],
    ['video/mp4', VOICE_MP4],
    ['audio/wav', wav()],
    ['audio/mpeg', mp3()],
    [undefined, Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    [undefined, Buffer.alloc(0)],
  ])('[AT-1] knows %s by its content', async (mime, bytes) => {
    expect(await inspector.typeOf(bytes)).toBe(mime);
  });

  test('[AT-2] nothing that it is given stops it', async () => {
    const good = constantFrom(PNG, JPEG, GIF, WEBP, AVIF, VOICE_WEBM, VOICE_MP4, wav(), mp3());
    await assert(
      asyncProperty(good, integer({ min: 0 }), uint8Array({ maxLength: 32 }), async (sample, at, noise) => {
        const bytes = Uint8Array.from(sample);
        bytes.set(noise.subarray(0, bytes.length), at % Math.max(1, bytes.length - noise.length));
        const mime = await inspector.typeOf(bytes);
        const picture = await inspector.pictureOf(async () => bytes);
        const { width, height } = picture ?? { width: 1, height: 1 };
        expect(Math.min(width, height)).toBeGreaterThan(0);
        await inspector.soundOf(mime ?? 'audio/mpeg', async () => bytes);
      }),
      { numRuns: 500 },
    );
    expect(warnings).toEqual([]);
    expect(await inspector.pictureOf(async () => PNG)).toEqual({ width: 3, height: 2 });
  });

  test('[AT-2] a file that is too slow to read is given up, and the next one read', async () => {
    // Every byte begins a frame of its own, which a reader of MP3 tries.
    const bytes = Buffer.alloc(20_000_000);
    for (let i = 0; i + 24 <= bytes.length; i += 24) bytes.set([0xff, 0xf3, 0x18, 0xc4], i);
    const impatient = new MediaInspector({ log, jobMs: 5 });
    try {
      expect(await impatient.soundOf('audio/mpeg', async () => bytes)).toBeUndefined();
      expect(warnings.splice(0)).toEqual([
        { message: 'An upload could not be read', reason: 'timeout', action: 'sound', bytes: bytes.length },
      ]);
    } finally {
      await impatient.close();
    }
    expect(await inspector.soundOf('audio/mpeg', async () => mp3())).toMatchObject({ hasAudio: true });
  });

  test('[AT-2] what the content cannot give is told to whoever asked, and to no other', async () => {
    const failing = inspector.pictureOf(async () => {
      throw new Error('the blob is gone');
    });
    const other = inspector.pictureOf(async () => GIF);
    await expect(failing).rejects.toThrow('the blob is gone');
    expect(await other).toEqual({ width: 1, height: 1 });
  });

  test('[AT-2] closed, it answers unavailable', async () => {
    const closed = new MediaInspector({ log });
    const underWay = closed.typeOf(PNG);
    await closed.close();
    await expect(underWay).rejects.toMatchObject({ code: 'unavailable' });
    await expect(closed.typeOf(PNG)).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('the head of a stream', () => {
  async function* chunks(...sizes: number[]): AsyncGenerator<Uint8Array> {
    let next = 0;
    for (const size of sizes) yield Uint8Array.from({ length: size }, () => next++ % 256);
  }

  test.each([[[]], [[3]], [[10]], [[4, 4, 4]], [[30, 1]]])('[AT-1] is there beside the whole: %j', async (sizes) => {
    const total = sizes.reduce((a, b) => a + b, 0);
    const { head, content } = await withHead(chunks(...sizes), 10);
    expect(head.length).toBe(Math.min(10, total));
    const all: number[] = [];
    for await (const chunk of content) all.push(...chunk);
    expect(all).toEqual(Array.from({ length: total }, (_, i) => i % 256));
    expect([...head]).toEqual(all.slice(0, 10));
  });
});
