/** What a file may be called, and which places exclude each other. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { languageOf } from '../../src/features/files/languages.ts';
import { complaintOf, foldersOf, keyOf, normalizePath } from '../../src/features/files/paths.ts';
import { Places } from '../../src/features/files/places.ts';
import { FilePath } from '../../src/features/files/shapes.ts';
import { Fault, LIMITS } from '../../src/protocol/index.ts';

const anyPath = fc.string({ unit: 'binary', maxLength: 60 });
/** Few letters, so that places meet. */
const segment = fc.string({
  unit: fc.constantFrom('a', 'A', 'b', 'ß', 'é', 'e\u0301', 'ς', 'σ'),
  minLength: 1,
  maxLength: 2,
});
const goodPath = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => normalizePath(parts.join('/')));

describe('[FL-1] paths', () => {
  test.each([
    ['', 'empty'],
    ['/etc/passwd', 'slash'],
    ['a//b', 'empty parts'],
    ['a/', 'empty parts'],
    ['.', 'parts'],
    ['../a', 'parts'],
    ['a/../b', 'parts'],
    ['a/./b', 'parts'],
    ['a\\b', 'backslashes'],
    ['a\u0000b', 'control'],
    ['a\nb', 'control'],
    ['a\u0085b', 'control'],
    ['a\uD800b', 'control'],
    ['photo\u202Egpj.exe', 'direction'],
    [' ', 'seen'],
    ['a/\ufeff/b', 'seen'],
    ['x'.repeat(201), 'parts of at most 200'],
    [Array.from({ length: 6 }, () => 'x'.repeat(100)).join('/'), 'at most 512'],
    ['é'.repeat(101), 'parts of at most 200'],
  ])('%j is refused', (path, why) => {
    expect(complaintOf(path)).toContain(why);
  });

  test.each([
    'a',
    'src/main.ts',
    '.env',
    '..a',
    'a/...',
    'x'.repeat(200),
    'ünï/cödé',
    '日本/語.md',
    '👩‍👩‍👧/a b.txt',
    '__proto__/constructor',
  ])('%j is good', (path) => {
    expect(complaintOf(path)).toBeUndefined();
  });

  test('what is let in is normal, stays so, and keeps to the rules', () => {
    fc.assert(
      fc.property(anyPath, (path) => {
        const { success, data } = FilePath.safeParse(path);
        if (!success) return;
        expect(data).toBe(data.normalize('NFC'));
        expect(FilePath.parse(data)).toBe(data);
        expect(Buffer.byteLength(data)).toBeLessThanOrEqual(LIMITS.pathBytes);
        expect(Buffer.from(data).toString()).toBe(data);
        expect(data.split('/').every((part) => !['', '.', '..'].includes(part))).toBe(true);
        // What lies in a project lies nowhere else.
        expect(new URL(`file:///root/${data.split('/').map(encodeURIComponent).join('/')}`).pathname).toMatch(
          /^\/root\/./,
        );
      }),
    );
  });

  test('two forms of one path are one', () => {
    expect(FilePath.parse('cafe\u0301.txt')).toBe('café.txt');
  });
});

describe('[FL-2] case', () => {
  test('paths that differ in case only have one key', () => {
    fc.assert(
      fc.property(goodPath, (path) => {
        const key = keyOf(path);
        expect(keyOf(key)).toBe(key);
        for (const other of [path.toUpperCase(), path.toLowerCase()]) expect(keyOf(normalizePath(other))).toBe(key);
      }),
    );
  });

  test('any key is one that stays, and no longer than an index takes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        const path = normalizePath(text);
        if (complaintOf(path) !== undefined) return;
        expect(keyOf(keyOf(path))).toBe(keyOf(path));
      }),
      { numRuns: 2_000 },
    );
    let longest = 0;
    for (let point = 0x20; point < 0x1_0000; point++) {
      if (point >= 0xd800 && point < 0xe000) continue;
      const letter = String.fromCodePoint(point).normalize('NFC');
      longest = Math.max(longest, Buffer.byteLength(keyOf(letter)) / Buffer.byteLength(letter));
    }
    expect(longest).toBeLessThanOrEqual(3);
  });

  test('folders are the beginnings of a path', () => {
    expect(foldersOf('a/b/c.ts')).toEqual(['a', 'a/b']);
    expect(foldersOf('c.ts')).toEqual([]);
  });
});

describe('[FL-3] places', () => {
  const codeOf = (run: () => void): string => {
    try {
      run();
      return 'ok';
    } catch (error) {
      return error instanceof Fault ? error.code : String(error);
    }
  };

  test.each([
    ['the same path', 'a', 'a'],
    ['another case', 'src/A.ts', 'src/a.ts'],
    ['a folder is there', 'a/b', 'a'],
    ['a folder in another case', 'A/b', 'a'],
    ['a file where a folder is needed', 'a', 'a/b'],
    ['a folder written otherwise', 'Src/a', 'src/b'],
  ])('%s is a conflict', (_name, there, path) => {
    const places = new Places([{ path: there }]);
    expect(codeOf(() => places.add({ path }))).toBe('conflict');
    expect(places.size).toBe(1);
  });

  test('what is in does not depend on what was in before', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(goodPath, fc.boolean()), { maxLength: 30 }), (steps) => {
        const places = new Places<{ path: string }>([]);
        const files: { path: string }[] = [];
        for (const [path, isRemoval] of steps) {
          if (isRemoval) {
            const at = files.findIndex((file) => file.path === path);
            if (at >= 0) places.remove(files.splice(at, 1)[0]!);
            continue;
          }
          const isFree = codeOf(() => new Places(files).add({ path })) === 'ok';
          expect(codeOf(() => places.add({ path }))).toBe(isFree ? 'ok' : 'conflict');
          if (isFree) files.push({ path });
        }
        const fresh = new Places(files);
        expect(places.size).toBe(files.length);
        expect(places.folders().toSorted()).toEqual(fresh.folders().toSorted());
        // All of it could lie on a disk that does not know case.
        const keys = files.map(({ path }) => keyOf(path));
        const folders = new Map(files.flatMap(({ path }) => foldersOf(path).map((folder) => [keyOf(folder), folder])));
        expect(new Set(keys).size).toBe(keys.length);
        expect(keys.filter((key) => folders.has(key))).toEqual([]);
        expect(new Set(folders.values()).size).toBe(new Set(fresh.folders()).size);
      }),
    );
  });

  test('a folder has everything below it and nothing beside it', () => {
    const places = new Places(['a/b', 'a/c/d', 'ab/c', 'z'].map((path) => ({ path })));
    expect(places.under('a').map(({ path }) => path)).toEqual(['a/b', 'a/c/d']);
    expect(places.under('A')).toEqual([]);
    expect(places.at('z')).toEqual({ path: 'z' });
    expect(places.at('Z')).toBeUndefined();
  });

  test('a full project takes no more', () => {
    const places = new Places(Array.from({ length: LIMITS.filesPerProject }, (_, n) => ({ path: `f${n}` })));
    expect(codeOf(() => places.add({ path: 'one-more' }))).toBe('quota_exceeded');
  });
});

test.each([
  ['src/main.ts', 'typescript'],
  ['App.JSX', 'javascript'],
  ['Dockerfile', 'dockerfile'],
  ['Dockerfile.dev', 'dockerfile'],
  ['.env.local', 'ini'],
  ['a/.gitignore', 'plaintext'],
  ['LICENSE', 'plaintext'],
  ['x.constructor', 'plaintext'],
  ['constructor', 'plaintext'],
  ['a.b/c', 'plaintext'],
  ['index.d.ts', 'typescript'],
])('[FL-4] %s is %s', (path, language) => {
  expect(languageOf(path)).toBe(language);
});
