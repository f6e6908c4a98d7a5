/** Files through a whole server: their places, their texts, and what everybody hears of them. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { call, codeOf, heard } from '../support/calls.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let ada: Person;
let ben: Person;
let eve: Person;
let a: Socket;
let b: Socket;
let e: Socket;

beforeAll(async () => {
  server = await startServer();
  [ada, ben, eve] = [await server.person('Ada'), await server.person('Ben'), await server.person('Eve')];
  [a, b, e] = [await server.socket(ada), await server.socket(ben), await server.socket(eve)];
});
afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: Error) => error.message,
  );

/** A project of Ada's. */
async function project(more: object = {}): Promise<string> {
  return (await call(a, 'project:create', { name: 'A project', template: 'empty', ...more })).project.id;
}

/** The same with Ben in it. */
async function shared(role: 'editor' | 'viewer' = 'editor'): Promise<string> {
  const projectId = await project();
  await call(a, 'project:add-member', { projectId, userId: ben.id, role });
  return projectId;
}

const create = async (projectId: string, path: string, content = '') =>
  (await call(a, 'file:create', { projectId, path, content })).file;
const contentOf = async (fileId: string) => (await call(a, 'file:read', { fileId })).content;
const pathsOf = async (projectId: string) => (await call(a, 'file:tree', { projectId })).files.map(({ path }) => path);

describe('creating', () => {
  test('[FL-5] a file is made once for each clientId, with its text', async () => {
    const projectId = await project();
    const input = { projectId, path: 'src/main.ts', content: 'let x = 1;\n', clientId: 'one' };
    const { file } = await call(a, 'file:create', input);
    expect(file).toEqual({
      id: expect.any(String),
      projectId,
      path: 'src/main.ts',
      kind: 'text',
      language: 'typescript',
      sizeBytes: 11,
      updatedAt: expect.any(String),
    });
    expect(await call(a, 'file:create', { ...input, path: 'other.ts', content: 'x' })).toEqual({ file });
    expect(await contentOf(file.id)).toBe('let x = 1;\n');
    await call(a, 'file:delete', { fileId: file.id });
    expect((await call(a, 'file:create', input)).file.id).toBe(file.id);
    expect(await pathsOf(projectId)).toEqual([]);
  });

  test('[FL-5] at the same time it is made once too', async () => {
    const projectId = await project();
    const input = { projectId, path: 'a', content: 'x', clientId: 'twin' };
    const made = await Promise.all(Array.from({ length: 5 }, () => call(a, 'file:create', input)));
    expect(new Set(made.map(({ file }) => file.id)).size).toBe(1);
    expect(await contentOf(made[0]?.file.id ?? '')).toBe('x');
  });

  test('[FL-3] of many who want one place at the same time one gets it', async () => {
    const projectId = await shared();
    const wanted = ['a', 'A', 'a/b', 'A/c'];
    const outcomes = await Promise.all(
      wanted.flatMap((path) => [a, b].map((socket) => codeOf(call(socket, 'file:create', { projectId, path })))),
    );
    const paths = await pathsOf(projectId);
    expect(outcomes.filter((code) => code === 'ok')).toHaveLength(paths.length);
    expect(outcomes.filter((code) => code !== 'ok').every((code) => code === 'conflict')).toBe(true);
    const isFile = paths.length === 1;
    expect(isFile || paths.every((path) => path.includes('/'))).toBe(true);
  });

  test('[FL-1] a path that cannot be is invalid, over HTTP too', async () => {
    const projectId = await project();
    for (const path of ['', '/a', 'a/../b', 'a\\b', 'a\u0007', 'x'.repeat(201)]) {
      expect(await codeOf(call(a, 'file:create', { projectId, path }))).toBe('invalid');
      const answer = await server.request('POST', `/api/projects/${projectId}/files`, { as: ada, body: { path } });
      expect(answer.status).toBe(400);
    }
    expect((await create(projectId, 'cafe\u0301')).path).toBe('café');
  });

  test('[FL-4] the language may be said, and unsaid', async () => {
    const projectId = await shared();
    const changed = heard(b, 'file:changed');
    const { file } = await call(a, 'file:create', { projectId, path: 'script', language: 'python' });
    expect(file.language).toBe('python');
    const renamed = await call(a, 'file:rename', { fileId: file.id, newPath: 'script.rb' });
    expect(renamed.file?.language).toBe('python');
    const unsaid = await call(a, 'file:set-language', { fileId: file.id, language: null });
    expect(unsaid.file.language).toBe('ruby');
    await expect.poll(() => changed).toEqual([{ projectId, file: unsaid.file }]);
    expect(await codeOf(call(a, 'file:set-language', { fileId: file.id, language: 'C++ ' }))).toBe('invalid');
  });
});

describe('sizes', () => {
  const large = (bytes: number): string => 'é'.repeat(bytes / 2);

  test('[FL-6] a text over its limit is too_large; what a socket does not take goes over HTTP', async () => {
    const projectId = await project();
    const files = `/api/projects/${projectId}/files`;
    const overSocket = call(a, 'file:create', { projectId, path: 'a', content: large(LIMITS.fileSocketBytes) });
    expect(await messageOf(overSocket)).toContain('POST /api/projects/:projectId/files');
    expect(await codeOf(overSocket)).toBe('too_large');
    const body = { path: 'a', content: large(LIMITS.documentTextBytes) };
    const made = await server.request('POST', files, { as: ada, body });
    expect(made).toMatchObject({ status: 200, body: { data: { file: { sizeBytes: LIMITS.documentTextBytes } } } });
    const { id } = (made.body as unknown as { data: { file: { id: string } } }).data.file;

    const longer = { content: `${large(LIMITS.documentTextBytes)}.` };
    expect((await server.request('PUT', `/api/files/${id}`, { as: ada, body: longer })).status).toBe(413);
    expect((await server.request('POST', files, { as: ada, body: { path: 'b', ...longer } })).status).toBe(413);
    const most = { path: 'b', content: large(LIMITS.fileHttpBytes) };
    expect((await server.request('POST', files, { as: ada, body: most })).status).toBe(413);
    expect(await messageOf(call(a, 'file:write', { fileId: id, content: large(LIMITS.fileSocketBytes) }))).toContain(
      'PUT /api/files/:fileId',
    );
    expect(await codeOf(call(a, 'file:write', { fileId: id, content: 'half of a pair: \ud83d' }))).toBe('invalid');
    expect(await pathsOf(projectId)).toEqual(['a']);
  });
});

describe('reading', () => {
  test('[FL-7] a list is in the order of the paths, and may be that of a folder', async () => {
    const projectId = await project();
    for (const path of ['b/z', 'a', 'B2', 'b/a', 'b/c/d', 'bb', 'c']) await create(projectId, path);
    const paths: string[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await call(a, 'file:list', { projectId, limit: 2, ...(cursor === undefined ? {} : { cursor }) });
      paths.push(...page.items.map(({ path }) => path));
      if (page.next === null) break;
      cursor = page.next;
    }
    expect(paths).toEqual(['a', 'b/a', 'b/c/d', 'b/z', 'B2', 'bb', 'c']);
    const under = await server.request('GET', `/api/projects/${projectId}/files?under=b&limit=2`, { as: ada });
    expect(under.body).toMatchObject({ data: { items: [{ path: 'b/a' }, { path: 'b/c/d' }] } });
    const { next } = (under.body as unknown as { data: { next: string } }).data;
    expect(await call(a, 'file:list', { projectId, under: 'b', cursor: next })).toMatchObject({
      items: [{ path: 'b/z' }],
      next: null,
    });
    expect(await call(a, 'file:list', { projectId, under: 'nothing' })).toEqual({ items: [], next: null });
  });

  test('[FL-8] the tree has all files and folders', async () => {
    const projectId = await project();
    for (const path of ['src/a.ts', 'src/lib/b.ts', 'README.md']) await create(projectId, path);
    const { files, folders } = await call(a, 'file:tree', { projectId });
    expect(files.map(({ path }) => path)).toEqual(['README.md', 'src/a.ts', 'src/lib/b.ts']);
    expect(folders).toEqual(['src', 'src/lib']);
    expect((await server.request('GET', `/api/projects/${projectId}/tree`, { as: ada })).body).toMatchObject({
      data: { files, folders },
    });
  });

  test('[FL-9] a file is read by its id, or by its project and path', async () => {
    const projectId = await project();
    const file = await create(projectId, 'a/b.txt', 'text\r\n\u{1f600}');
    expect(await call(a, 'file:read', { fileId: file.id })).toEqual({ file, content: 'text\r\n\u{1f600}' });
    expect(await call(a, 'file:read', { projectId, path: 'a/b.txt' })).toMatchObject({ file });
    expect((await server.request('GET', `/api/files/${file.id}`, { as: ada })).body).toMatchObject({ data: { file } });
    expect(await codeOf(call(a, 'file:read', { projectId, path: 'A/b.txt' }))).toBe('not_found');
    expect(await codeOf(call(a, 'file:read', { projectId, path: 'a' }))).toBe('not_found');
    expect(await codeOf(call(a, 'file:read', { projectId }))).toBe('invalid');
    expect(await codeOf(call(a, 'file:read', { projectId, path: 'a/b.txt', fileId: file.id }))).toBe('invalid');
  });

  test('[FL-19] is for those who may read the project, and writing for those who may write it', async () => {
    const projectId = await shared('viewer');
    const { id: fileId } = await create(projectId, 'a', 'x');
    const reads = [
      ['file:read', { fileId }],
      ['file:read', { projectId, path: 'a' }],
      ['file:list', { projectId }],
      ['file:tree', { projectId }],
      ['file:trash', { projectId }],
      ['file:search', { projectId, query: 'x' }],
      ['file:history', { fileId }],
    ] as const;
    const writes = [
      ['file:create', { projectId, path: 'b' }],
      ['file:write', { fileId, content: 'y' }],
      ['file:write-many', { projectId, files: [{ path: 'b', content: '' }] }],
      ['file:rename', { fileId, newPath: 'b' }],
      ['file:rename', { projectId, path: 'a', newPath: 'b' }],
      ['file:delete', { fileId }],
      ['file:delete', { projectId, path: 'a' }],
      ['file:restore', { fileId }],
      ['file:set-language', { fileId, language: 'go' }],
    ] as const;
    for (const [name, input] of reads) {
      expect([name, await codeOf(call(b, name, input as never))]).toEqual([name, 'ok']);
      expect([name, await codeOf(call(e, name, input as never))]).toEqual([name, 'not_found']);
    }
    for (const [name, input] of writes) {
      expect([name, await codeOf(call(b, name, input as never))]).toEqual([name, 'forbidden']);
      expect([name, await codeOf(call(e, name, input as never))]).toEqual([name, 'not_found']);
    }
    await call(a, 'project:update', { projectId, visibility: 'public' });
    expect(await codeOf(call(e, 'file:read', { fileId }))).toBe('ok');
    expect(await codeOf(call(e, 'file:write', { fileId, content: 'y' }))).toBe('forbidden');
    expect(await contentOf(fileId)).toBe('x');
  });
});

describe('writing', () => {
  test('[FL-10] a new text is there at once, and is told once it is saved', async () => {
    const projectId = await shared();
    const { id: fileId } = await create(projectId, 'a', 'one\ntwo\n');
    const changed = heard(b, 'file:changed');
    const { file } = await call(a, 'file:write', { fileId, content: 'one\n2\n' });
    expect(file.sizeBytes).toBe(6);
    expect(await contentOf(fileId)).toBe('one\n2\n');
    await expect
      .poll(() => changed, { timeout: 10_000 })
      .toMatchObject([{ projectId, file: { id: fileId, sizeBytes: 6 } }]);
    const answer = await server.request('PUT', `/api/files/${fileId}`, { as: ben, body: { content: 'three' } });
    expect(answer).toMatchObject({ status: 200, body: { data: { file: { sizeBytes: 5 } } } });
    expect(await call(b, 'file:read', { projectId, path: 'a' })).toMatchObject({ content: 'three' });
    await call(a, 'file:write', { projectId, path: 'a', content: '' });
    expect(await contentOf(fileId)).toBe('');
  });

  test('[FL-11] many files are written, or none', async () => {
    const projectId = await project();
    const there = await create(projectId, 'a.txt', 'before');
    const write = (files: { path: string; content: string }[], more: object = {}) =>
      call(a, 'file:write-many', { projectId, files, ...more });
    const good = [
      { path: 'a.txt', content: 'after' },
      { path: 'b/c.txt', content: 'new' },
    ];
    const refused = [
      ['conflict', 'a.txt/b'],
      ['conflict', 'b'],
      ['invalid', 'b/c.txt'],
      ['invalid', 'A.txt'],
      ['invalid', '../x'],
      ['too_large', 'large'],
    ] as const;
    for (const [code, path] of refused) {
      const content = 'x'.repeat(code === 'too_large' ? LIMITS.documentTextBytes + 1 : 1);
      expect([path, await codeOf(write([...good, { path, content }]))]).toEqual([path, code]);
      expect(await contentOf(there.id)).toBe('before');
      expect(await pathsOf(projectId)).toEqual(['a.txt']);
    }
    expect(await codeOf(write([{ path: 'A.txt', content: '' }]))).toBe('conflict');
    const { files } = await write(good, { clientId: 'one' });
    expect(files).toMatchObject([
      { id: there.id, path: 'a.txt', sizeBytes: 5 },
      { path: 'b/c.txt', sizeBytes: 3 },
    ]);
    expect(await contentOf(there.id)).toBe('after');
    await call(a, 'file:write', { fileId: there.id, content: 'later' });
    // A repetition has the first outcome: what was written since stays.
    expect((await write(good, { clientId: 'one' })).files.map(({ id }) => id)).toEqual(files.map(({ id }) => id));
    expect(await contentOf(there.id)).toBe('later');
  });
});

describe('places', () => {
  test('[FL-12] a file moves, with its id and text', async () => {
    const projectId = await shared();
    const { id: fileId } = await create(projectId, 'a', 'text');
    await create(projectId, 'taken/b');
    const renamed = heard(b, 'file:renamed');
    const { file } = await call(b, 'file:rename', { fileId, newPath: 'deep/er/A.md' });
    expect(file).toMatchObject({ id: fileId, path: 'deep/er/A.md', language: 'markdown' });
    await expect.poll(() => renamed).toEqual([{ projectId, file, oldPath: 'a' }]);
    for (const newPath of ['taken', 'taken/b', 'Taken/c', 'TAKEN/B', 'taken/b/c']) {
      expect(await codeOf(call(a, 'file:rename', { fileId, newPath }))).toBe('conflict');
    }
    expect(
      (await call(a, 'file:rename', { projectId, path: 'deep/er/A.md', newPath: 'deep/er/a.md' })).file?.path,
    ).toBe('deep/er/a.md');
    expect(await call(a, 'file:rename', { fileId, newPath: 'deep/er/a.md' })).toMatchObject({ file: { id: fileId } });
    expect(await contentOf(fileId)).toBe('text');
    const answer = await server.request('POST', `/api/files/${fileId}/rename`, { as: ada, body: { newPath: 'z' } });
    expect(answer.body).toMatchObject({ data: { file: { path: 'z' } } });
    expect(await codeOf(call(a, 'file:rename', { projectId, path: 'nothing', newPath: 'x' }))).toBe('not_found');
  });

  test('[FL-13] a folder moves with everything in it', async () => {
    const projectId = await project();
    for (const path of ['src/a', 'src/lib/b', 'srcs/c', 'other/d']) await create(projectId, path);
    const { file, files } = await call(a, 'file:rename', { projectId, path: 'src', newPath: 'lib/code' });
    expect(file).toBeUndefined();
    expect(files.map(({ path }) => path).toSorted()).toEqual(['lib/code/a', 'lib/code/lib/b']);
    expect(await pathsOf(projectId)).toEqual(['lib/code/a', 'lib/code/lib/b', 'other/d', 'srcs/c']);
    for (const [newPath, code] of [
      ['other', 'conflict'],
      ['other/d', 'conflict'],
      ['lib/code/x', 'invalid'],
      [`${'x'.repeat(200)}/${'y'.repeat(200)}/${'z'.repeat(108)}`, 'invalid'],
    ] as const) {
      const outcome = await codeOf(call(a, 'file:rename', { projectId, path: 'lib/code', newPath }));
      expect([newPath, outcome]).toEqual([newPath, code]);
    }
    // Only written otherwise.
    await call(a, 'file:rename', { projectId, path: 'lib', newPath: 'LIB' });
    const http = await server.request('POST', `/api/projects/${projectId}/rename`, {
      as: ada,
      body: { path: 'LIB/code', newPath: 'src' },
    });
    expect(http.status).toBe(200);
    expect(await pathsOf(projectId)).toEqual(['other/d', 'src/a', 'src/lib/b', 'srcs/c']);
  });

  test('[FL-18] what changes many files is told in one event', async () => {
    const projectId = await shared();
    const [created, renamed, many] = [
      heard(b, 'file:created'),
      heard(b, 'file:renamed'),
      heard(b, 'file:tree-changed'),
    ];
    const files = Array.from({ length: LIMITS.fileEventsPerChange + 1 }, (_, n) => ({ path: `d/${n}`, content: '' }));
    await call(a, 'file:write-many', { projectId, files });
    await expect.poll(() => many).toEqual([{ projectId }]);
    await call(a, 'file:delete', { projectId, path: 'd/0' });
    await call(a, 'file:rename', { projectId, path: 'd', newPath: 'e' });
    await expect.poll(() => renamed.length).toBe(LIMITS.fileEventsPerChange);
    expect([created, many]).toEqual([[], [{ projectId }]]);
  });

  test('[FL-22] a project has so many files, and no more', { timeout: 120_000 }, async () => {
    const projectId = await project();
    for (let n = 0; n < LIMITS.filesPerProject; n += LIMITS.filesPerWrite) {
      const files = Array.from({ length: LIMITS.filesPerWrite }, (_, i) => ({ path: `${n}/${i}`, content: '' }));
      await call(a, 'file:write-many', { projectId, files });
    }
    expect(await codeOf(call(a, 'file:create', { projectId, path: 'one-more' }))).toBe('quota_exceeded');
    await call(a, 'file:delete', { projectId, path: '0/0' });
    expect(await codeOf(call(a, 'file:create', { projectId, path: 'one-more' }))).toBe('ok');
    expect(await codeOf(call(a, 'file:create', { projectId, path: 'two-more' }))).toBe('quota_exceeded');
    expect((await call(a, 'file:tree', { projectId })).files).toHaveLength(LIMITS.filesPerProject);
    await call(a, 'file:rename', { projectId, path: '500', newPath: 'moved/500' });
    expect((await call(a, 'file:list', { projectId, under: 'moved/500', limit: 100 })).items).toHaveLength(100);
  });
});

describe('deleting and restoring', () => {
  test('[FL-14] a deleted file is gone for everyone; deleting again changes nothing', async () => {
    const projectId = await shared();
    const { id: fileId } = await create(projectId, 'a', 'x');
    const deleted = heard(b, 'file:deleted');
    const { file } = await call(a, 'file:delete', { fileId });
    expect(file).toMatchObject({ id: fileId, path: 'a' });
    await expect.poll(() => deleted).toEqual([{ projectId, file }]);
    expect(await call(a, 'file:delete', { fileId })).toMatchObject({ file: { id: fileId } });
    for (const [name, input] of [
      ['file:read', { fileId }],
      ['file:write', { fileId, content: '' }],
      ['file:rename', { fileId, newPath: 'b' }],
      ['file:history', { fileId }],
      ['doc:open', { fileId }],
      ['file:delete', { projectId, path: 'a' }],
    ] as const) {
      expect([name, await codeOf(call(a, name, input as never))]).toEqual([name, 'not_found']);
    }
    expect(await pathsOf(projectId)).toEqual([]);
    expect(deleted).toHaveLength(1);
    for (const path of ['d/1', 'd/2', 'e']) await create(projectId, path);
    const http = await server.request('DELETE', `/api/projects/${projectId}/files?path=d`, { as: ada });
    expect(http.body).toMatchObject({ data: { files: [{ path: 'd/1' }, { path: 'd/2' }] } });
    expect(await pathsOf(projectId)).toEqual(['e']);
  });

  test('[FL-15] it is restored with its text, elsewhere if its place is taken', async () => {
    const projectId = await shared();
    const { id: fileId } = await create(projectId, 'a', 'text');
    await call(a, 'file:delete', { fileId });
    expect(await call(b, 'file:trash', { projectId })).toMatchObject({
      items: [{ id: fileId, path: 'a', deletedBy: ada.id, deletionId: expect.any(String) }],
      next: null,
    });
    await create(projectId, 'A');
    expect(await codeOf(call(a, 'file:restore', { fileId }))).toBe('conflict');
    const created = heard(b, 'file:created');
    const { file } = await call(b, 'file:restore', { fileId, newPath: 'b' });
    expect(file).toMatchObject({ id: fileId, path: 'b' });
    await expect.poll(() => created).toEqual([{ projectId, file }]);
    expect(await contentOf(fileId)).toBe('text');
    expect((await call(a, 'file:trash', { projectId })).items).toEqual([]);
    expect(await call(a, 'file:restore', { fileId })).toMatchObject({ file: { path: 'b' } });
  });

  test('[FL-15] what was deleted together is restored together, or not at all', async () => {
    const projectId = await project();
    for (const path of ['d/a', 'd/e/b', 'x']) await create(projectId, path, path);
    const { files } = await call(a, 'file:delete', { projectId, path: 'd' });
    expect(files).toHaveLength(2);
    await call(a, 'file:delete', { projectId, path: 'x' });
    const first = await call(a, 'file:trash', { projectId, limit: 1 });
    expect(first.items).toMatchObject([{ path: 'x' }]);
    const rest = await call(a, 'file:trash', { projectId, cursor: first.next ?? '' });
    expect(rest.items.map(({ path }) => path).toSorted()).toEqual(['d/a', 'd/e/b']);
    const deletionId = rest.items[0]?.deletionId ?? '';

    const inTheWay = await create(projectId, 'd/e');
    expect(await codeOf(call(a, 'file:restore', { projectId, deletionId }))).toBe('conflict');
    expect(await pathsOf(projectId)).toEqual(['d/e']);
    await call(a, 'file:delete', { fileId: inTheWay.id });
    const restored = await server.request('POST', `/api/projects/${projectId}/trash/${deletionId}/restore`, {
      as: ada,
    });
    expect(restored.status).toBe(200);
    expect(await pathsOf(projectId)).toEqual(['d/a', 'd/e/b']);
    expect(await codeOf(call(a, 'file:restore', { projectId, deletionId }))).toBe('not_found');
  });
});

describe('searching and history', () => {
  test('[FL-30] finds texts and names', async () => {
    const projectId = await project();
    await call(a, 'file:write-many', {
      projectId,
      files: [
        { path: 'a.ts', content: 'const Needle = 1;\n  needle(needle);\n' },
        { path: 'b/needles.md', content: 'nothing' },
      ],
    });
    const found = await call(a, 'file:search', { projectId, query: 'needle' });
    expect(found.items.map(({ path, line, column, preview }) => [path, line, column, preview])).toEqual([
      ['a.ts', 1, 7, 'const Needle = 1;'],
      ['a.ts', 2, 3, 'needle(needle);'],
      ['a.ts', 2, 10, 'needle(needle);'],
    ]);
    expect(found.names.map(({ path }) => path)).toEqual(['b/needles.md']);
    expect(found.truncated).toBe(false);
    const exact = await server.request('GET', `/api/projects/${projectId}/search?query=Needle&caseSensitive=true`, {
      as: ada,
    });
    expect(exact.body).toMatchObject({ data: { items: [{ line: 1, column: 7 }], names: [] } });
    expect(await call(a, 'file:search', { projectId, query: 'n', limit: 2 })).toMatchObject({ truncated: true });
    // What is typed is found.
    await call(a, 'file:write', { projectId, path: 'a.ts', content: 'nadel' });
    expect(await call(a, 'file:search', { projectId, query: 'needle' })).toMatchObject({ items: [] });
  });

  test(
    '[FL-31] a large project is searched to a bound, and others are served meanwhile',
    { timeout: 120_000 },
    async () => {
      const projectId = await project();
      const content = `${'lorem ipsum dolor sit amet\n'.repeat(20_000)}needle\n`;
      for (let n = 0; n < 20; n++) {
        const body = { path: `${n}`, content };
        expect((await server.request('POST', `/api/projects/${projectId}/files`, { as: ada, body })).status).toBe(200);
      }
      let served = 0;
      const search = call(a, 'file:search', { projectId, query: 'needle', limit: 200 });
      const over = new AbortController();
      void search.finally(() => over.abort());
      while (!over.signal.aborted) {
        await call(b, 'auth:me', {});
        served++;
      }
      const { items, truncated } = await search;
      expect(truncated || items.length === 20).toBe(true);
      expect(items.every(({ line, column }) => line === 20_001 && column === 1)).toBe(true);
      expect(served).toBeGreaterThan(1);
    },
  );

  test("[FL-21] a text's history is that of its document", async () => {
    const projectId = await project();
    const { id: fileId } = await create(projectId, 'a', 'one');
    await call(a, 'doc:save-version', { fileId, name: 'First' });
    await call(a, 'file:write', { fileId, content: 'two' });
    const { items } = await call(a, 'file:history', { fileId });
    expect(items).toContainEqual(
      expect.objectContaining({ name: 'First', userId: ada.id, sizeBytes: 3, versionId: expect.any(String) }),
    );
    expect((await server.request('GET', `/api/files/${fileId}/history?limit=1`, { as: ada })).status).toBe(200);
  });
});
