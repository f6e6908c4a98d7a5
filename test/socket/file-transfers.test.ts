/** Contents of files through the whole server: uploads, addresses, downloads, versions, and what is left on disk. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { call, codeOf, heard } from '../support/calls.ts';
import { startServer, type HttpAnswer, type Person, type TestServer } from '../support/server.ts';
import { blobFiles, formOf, PNG, pngOf, post, type Upload } from '../support/uploads.ts';

let dataDir: string;
let world: TestServer;
let ada: Person;
let ben: Person;
let eve: Person;
let a: Socket;
let b: Socket;
let e: Socket;
let aheadMs = 0;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-transfers-'));
  world = await startServer({ DATA_DIR: dataDir }, { now: () => Date.now() + aheadMs });
  [ada, ben, eve] = await Promise.all([world.person('Ada'), world.person('Ben'), world.person('Eve')]);
  [a, b, e] = await Promise.all([world.socket(ada), world.socket(ben), world.socket(eve)]);
});
afterAll(async () => {
  const { errors } = world;
  await world[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

interface Answer<T> {
  status: number;
  data: T;
  code: string | undefined;
}
type FileView = { id: string; projectId: string; path: string; kind: string; sizeBytes: number; language: string };

const answerOf = <T>({ status, body }: HttpAnswer): Answer<T> => ({
  status,
  data: body.data as T,
  code: (body as unknown as { error?: { code: string } }).error?.code,
});
const project = async (more: object = {}, socket = a): Promise<string> =>
  (await call(socket, 'project:create', { name: 'A project', template: 'empty', ...more })).project.id;
const upload = async (projectId: string, what: Upload, as = ada): Promise<Answer<{ file: FileView }>> =>
  answerOf(await post(world, `/api/projects/${projectId}/files/upload`, as, formOf(what)));
/** What must succeed. */
async function put(projectId: string, path: string, content: string | Uint8Array, as = ada): Promise<FileView> {
  const { data, status } = await upload(projectId, { content: Buffer.from(content), fields: { path } }, as);
  expect(status).toBe(200);
  return data.file;
}
const get = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(world.url + url, { method, headers });
const download = (fileId: string, as = ada, headers: Record<string, string> = {}, query = '') =>
  get(`/api/files/${fileId}/content${query}`, { authorization: `Bearer ${as.accessToken}`, ...headers });
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
const stored = async (): Promise<number> => (await blobFiles(dataDir)).blobs.length;
const binary = (seed: number, length = 5_000): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => (i * seed) % 256));

describe('uploading', () => {
  test('[FL-40] text becomes a document, everything else a blob', async () => {
    const projectId = await project();
    const text = await put(projectId, 'src/main.ts', '\ufeffconst ü = 1;\r\n');
    expect(text).toMatchObject({ path: 'src/main.ts', kind: 'text', language: 'typescript', sizeBytes: 18 });
    expect(await call(a, 'file:read', { fileId: text.id })).toMatchObject({ content: '\ufeffconst ü = 1;\r\n' });
    expect(await put(projectId, 'empty', '')).toMatchObject({ kind: 'text', sizeBytes: 0 });
    const largest = Buffer.alloc(LIMITS.documentTextBytes, 'x');
    expect(await put(projectId, 'largest.txt', largest)).toMatchObject({ kind: 'text' });
    for (const [path, content] of [
      ['too-large.txt', Buffer.alloc(LIMITS.documentTextBytes + 1, 'x')],
      ['nul.txt', Buffer.from('a\0b')],
      ['latin1.txt', Buffer.from([0xe9, 0x74, 0xe9])],
      ['logo.png', PNG],
    ] as const) {
      const blob = await put(projectId, path, content);
      expect(blob).toMatchObject({ path, kind: 'blob', sizeBytes: content.length });
      expect(await call(a, 'file:read', { fileId: blob.id })).toMatchObject({ file: blob, url: expect.any(String) });
    }
    expect((await call(a, 'file:tree', { projectId })).files).toHaveLength(7);
  });

  test('[FL-40] everybody hears of a new file and of a new version', async () => {
    const projectId = await project();
    await call(a, 'project:add-member', { projectId, userId: ben.id, role: 'viewer' });
    await call(b, 'project:get', { projectId });
    const [created, changed] = [heard(b, 'file:created'), heard(b, 'file:changed')];
    const file = await put(projectId, 'logo.png', PNG);
    await expect.poll(() => created).toEqual([{ projectId, file }]);
    const again = await put(projectId, 'logo.png', pngOf(4_000));
    expect(again).toMatchObject({ id: file.id, sizeBytes: 4_000 });
    await expect.poll(() => changed).toEqual([{ projectId, file: again }]);
  });

  test('[FL-40] onto a text only text is put, into the live document; a blob stays a blob', async () => {
    const projectId = await project();
    const text = await put(projectId, 'a.txt', 'first');
    expect(await put(projectId, 'a.txt', 'second')).toMatchObject({ id: text.id, kind: 'text' });
    expect(await call(a, 'file:read', { fileId: text.id })).toMatchObject({ content: 'second' });
    expect(await upload(projectId, { content: PNG, fields: { path: 'a.txt' } })).toMatchObject({ code: 'conflict' });
    const blob = await put(projectId, 'b.bin', PNG);
    expect(await put(projectId, 'b.bin', 'words now')).toMatchObject({ id: blob.id, kind: 'blob', sizeBytes: 9 });
    expect(await (await download(blob.id)).text()).toBe('words now');
  });

  test('[FL-40] the path comes as a field, in the query, or is the name', async () => {
    const projectId = await project();
    expect(await upload(projectId, { content: PNG, name: 'x/y/named.png' })).toMatchObject({
      data: { file: { path: 'named.png' } },
    });
    const inQuery = `/api/projects/${projectId}/files/upload?path=${encodeURIComponent('caf\u0065\u0301/a.png')}`;
    const form = formOf({ content: PNG, fields: { path: 'other' } });
    expect(answerOf(await post(world, inQuery, ada, form))).toMatchObject({ data: { file: { path: 'café/a.png' } } });
    const after = formOf({ content: PNG });
    after.append('path', 'after.png');
    const answer = await post(world, `/api/projects/${projectId}/files/upload`, ada, after);
    expect(answerOf(answer)).toMatchObject({ data: { file: { path: 'after.png' } } });
  });

  test('[FL-40] a retry with the same clientId gets the first file', async () => {
    const projectId = await project();
    const first = { content: PNG, fields: { path: 'a.png', clientId: 'one' } };
    const { data } = await upload(projectId, first);
    const again = await upload(projectId, { content: Buffer.from('other'), fields: { path: 'b', clientId: 'one' } });
    expect(again.data).toEqual(data);
    expect((await call(a, 'file:history', { fileId: data.file.id })).items).toHaveLength(1);
  });

  test('[FL-41] what is too large, misnamed, or not theirs is refused, and nothing of it is kept', async () => {
    const projectId = await project();
    await call(a, 'project:add-member', { projectId, userId: ben.id, role: 'viewer' });
    await put(projectId, 'taken', PNG);
    const before = await stored();
    const content = PNG;
    for (const path of ['../evil', '/etc/passwd', 'a\\b', '', 'taken/below', 'TAKEN', 'x'.repeat(201)]) {
      const { code } = await upload(projectId, { content, fields: { path } });
      expect(['invalid', 'conflict']).toContain(code);
    }
    expect(await upload(projectId, { content, fields: { path: 'a' } }, ben)).toMatchObject({ code: 'forbidden' });
    expect(await upload(projectId, { content, fields: { path: 'a' } }, eve)).toMatchObject({ code: 'not_found' });
    expect(await upload('0'.repeat(24), { content })).toMatchObject({ code: 'not_found' });
    expect(await upload('nonsense', { content })).toMatchObject({ code: 'not_found' });
    const large = Buffer.alloc(LIMITS.fileBytes + 1);
    expect(await upload(projectId, { content: large })).toMatchObject({ status: 413, code: 'too_large' });
    await expect.poll(stored).toBe(before);
    expect((await call(a, 'file:tree', { projectId })).files).toHaveLength(1);
  });

  test('[FL-40] many uploads of one file at once all count, one after another', async () => {
    const projectId = await project();
    const contents = Array.from({ length: 8 }, (_, i) => binary(i + 3, 2_000 + i));
    const files = await Promise.all(contents.map((content) => put(projectId, 'a.bin', content)));
    expect(new Set(files.map(({ id }) => id)).size).toBe(1);
    const { items } = await call(a, 'file:history', { fileId: files[0]!.id });
    const sizes = items.map(({ sizeBytes }) => sizeBytes);
    expect(sizes.toSorted((x = 0, y = 0) => x - y)).toEqual(
      contents.map(({ length }) => length).toSorted((x, y) => x - y),
    );
    const newest = await bytesOf(await download(files[0]!.id));
    expect(newest.length).toBe(items[0]?.sizeBytes);
  });
});

describe('addresses to upload to', () => {
  const send = (url: string, body: Uint8Array | string): Promise<Answer<{ file: FileView }>> =>
    fetch(world.url + url, { method: 'PUT', body: Buffer.from(body) }).then(async (response) =>
      answerOf({ status: response.status, body: (await response.json()) as HttpAnswer['body'] }),
    );

  test('[FL-42] what is sent is the file, whatever it is; again, it is the same', async () => {
    const projectId = await project();
    const plan = { projectId, path: 'video.mp4', sizeBytes: 100_000 };
    const { uploadId, url, method, urlExpiresAt } = await call(a, 'file:upload-url', plan);
    expect(method).toBe('PUT');
    expect(Date.parse(urlExpiresAt) - Date.now()).toBeLessThanOrEqual(LIMITS.uploadUrlMs);
    expect(await codeOf(call(a, 'file:upload-done', { uploadId }))).toBe('conflict');
    const content = binary(7, 100_000);
    const { data } = await send(url, content);
    expect(data.file).toMatchObject({ path: 'video.mp4', kind: 'blob', sizeBytes: content.length });
    expect(await bytesOf(await download(data.file.id))).toEqual(content);
    expect((await send(url, 'other')).data).toEqual(data);
    expect(await call(a, 'file:upload-done', { uploadId })).toEqual(data);
    expect(await codeOf(call(b, 'file:upload-done', { uploadId }))).toBe('not_found');
    expect((await call(a, 'file:history', { fileId: data.file.id })).items).toHaveLength(1);

    const text = await call(a, 'file:upload-url', { projectId, path: 'notes.md', sizeBytes: 1_000 });
    expect((await send(text.url, '# Notes')).data.file).toMatchObject({ kind: 'text', language: 'markdown' });
  });

  test('[FL-42] a retry with the same clientId gets the same upload', async () => {
    const projectId = await project();
    const plan = { projectId, path: 'a.bin', sizeBytes: 10, clientId: 'one' };
    const first = await call(a, 'file:upload-url', plan);
    expect(await call(a, 'file:upload-url', plan)).toMatchObject({ uploadId: first.uploadId });
  });

  test('[FL-42] more than was said, a wrong or old address, or somebody who may no longer write', async () => {
    const projectId = await project();
    await call(a, 'project:add-member', { projectId, userId: ben.id, role: 'editor' });
    const before = await stored();
    const plan = { projectId, path: 'a.bin', sizeBytes: 10 };
    const { url, uploadId } = await call(b, 'file:upload-url', plan);
    expect(await send(url, binary(3, 11))).toMatchObject({ status: 413 });
    expect(
      await send(
        url.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
        'x',
      ),
    ).toMatchObject({ status: 403 });
    expect(await send(url.replace(uploadId, '0'.repeat(24)), 'x')).toMatchObject({ status: 403 });
    expect(await send(`/api/uploads/${uploadId}`, 'x')).toMatchObject({ status: 403 });
    await call(a, 'project:set-role', { projectId, userId: ben.id, role: 'viewer' });
    expect(await send(url, binary(3, 10))).toMatchObject({ status: 403 });
    expect(await codeOf(call(b, 'file:upload-url', plan))).toBe('forbidden');
    expect(await codeOf(call(e, 'file:upload-url', plan))).toBe('not_found');
    expect(await codeOf(call(a, 'file:upload-url', { ...plan, sizeBytes: LIMITS.projectFileBytes + 1 }))).toBe(
      'invalid',
    );
    const own = await call(a, 'file:upload-url', plan);
    aheadMs += LIMITS.uploadUrlMs;
    try {
      expect(await send(own.url, 'x')).toMatchObject({ status: 403 });
    } finally {
      aheadMs -= LIMITS.uploadUrlMs;
    }
    await expect.poll(stored).toBe(before);
  });
});

describe('downloading', () => {
  test('[FL-43] whole, in part, or not at all', async () => {
    const projectId = await project();
    const content = binary(11, 100_000);
    for (const [path, bytes] of [
      ['a.bin', content],
      ['a.txt', Buffer.from('zwölf Boxkämpfer jagen Viktor')],
    ] as const) {
      const { id } = await put(projectId, path, bytes);
      const whole = await download(id);
      expect(await bytesOf(whole)).toEqual(Buffer.from(bytes));
      const etag = whole.headers.get('etag') ?? '';
      expect(Object.fromEntries(whole.headers)).toMatchObject({
        'accept-ranges': 'bytes',
        'content-length': String(bytes.length),
        'x-content-type-options': 'nosniff',
      });
      const part = await download(id, ada, { range: 'bytes=5-14' });
      expect(part.status).toBe(206);
      expect(part.headers.get('content-range')).toBe(`bytes 5-14/${bytes.length}`);
      expect(await bytesOf(part)).toEqual(Buffer.from(bytes).subarray(5, 15));
      expect((await download(id, ada, { 'if-none-match': etag, 'cache-control': 'max-age=0' })).status).toBe(304);
      expect((await download(id, ada, { range: 'bytes=999999-' })).status).toBe(416);
      const head = await get(`/api/files/${id}/content`, { authorization: `Bearer ${ada.accessToken}` }, 'HEAD');
      expect(head.headers.get('content-length')).toBe(String(bytes.length));
      await put(projectId, path, 'changed');
      const changed = await download(id, ada, { range: 'bytes=0-1', 'if-range': etag });
      expect([changed.status, await changed.text()]).toEqual([200, 'changed']);
    }
  });

  test('[FL-43] by those who may read; by a signed address without a token, one version, for a while', async () => {
    const projectId = await project();
    await call(a, 'project:add-member', { projectId, userId: ben.id, role: 'viewer' });
    const { id } = await put(projectId, 'logo.png', PNG);
    expect((await download(id, ben)).status).toBe(200);
    expect((await download(id, eve)).status).toBe(404);
    expect((await download('0'.repeat(24))).status).toBe(404);
    expect((await get(`/api/files/${id}/content`)).status).toBe(401);
    const { url = '', urlExpiresAt = '' } = await call(b, 'file:read', { fileId: id });
    expect(Date.parse(urlExpiresAt) - Date.now()).toBeLessThanOrEqual(LIMITS.attachmentUrlMs);
    expect(await bytesOf(await get(url))).toEqual(PNG);
    expect((await get(url.replace(/signature=./, 'signature=_'))).status).toBe(401);
    await put(projectId, 'logo.png', binary(5));
    expect(await bytesOf(await get(url))).toEqual(PNG);
    aheadMs += LIMITS.attachmentUrlMs;
    try {
      expect((await get(url)).status).toBe(401);
    } finally {
      aheadMs -= LIMITS.attachmentUrlMs;
    }
    const fresh = await call(a, 'file:read', { fileId: id });
    await call(a, 'file:delete', { fileId: id });
    expect((await get(fresh.url ?? '')).status).toBe(404);
    expect((await download(id)).status).toBe(404);
    await call(a, 'project:update', { projectId, visibility: 'public' });
    await call(a, 'file:restore', { fileId: id });
    expect((await download(id, eve)).status).toBe(200);
  });

  test('[FL-44] what a browser could run is saved, and not named', async () => {
    const projectId = await project();
    const page = '<script>alert(1)</script>';
    for (const path of ['a.html', 'a.svg', 'a.js', 'a.xhtml', 'a.xml', 'a.css', 'a.mjs']) {
      const { id } = await put(projectId, path, page);
      const { headers } = await download(id);
      expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(headers.get('content-disposition')).toBe(`attachment; filename="${path}"; filename*=UTF-8''${path}`);
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    }
    const blob = await put(projectId, 'b.svg', Buffer.from([0, 1, 2]));
    expect((await download(blob.id)).headers.get('content-type')).toBe('application/octet-stream');
    const picture = await put(projectId, 'grüße.png', PNG);
    const { headers } = await download(picture.id);
    expect(headers.get('content-type')).toBe('image/png');
    expect(headers.get('content-disposition')).toMatch(/^inline; filename="gr__e.png"/);
    const saved = await download(picture.id, ada, {}, '?download');
    expect(saved.headers.get('content-disposition')).toMatch(/^attachment/);
  });
});

describe('versions', () => {
  test('[FL-45] the last ones are kept, can be read, and be made the newest again', async () => {
    const projectId = await project();
    await call(a, 'project:add-member', { projectId, userId: ben.id, role: 'viewer' });
    const before = await stored();
    const all = LIMITS.blobVersionsKept + 3;
    let file: FileView | undefined;
    for (let i = 1; i <= all; i++) file = await put(projectId, 'a.bin', binary(i, 1_000 + i));
    const fileId = file!.id;
    const { items, next } = await call(a, 'file:history', { fileId, limit: 15 });
    const rest = await call(b, 'file:history', { fileId, cursor: next ?? '' });
    const sizes = [...items, ...rest.items].map(({ sizeBytes }) => sizeBytes);
    expect(sizes).toEqual(Array.from({ length: LIMITS.blobVersionsKept }, (_, i) => 1_000 + all - i));
    expect(rest.next).toBeNull();
    await expect.poll(stored).toBe(before + LIMITS.blobVersionsKept);

    const oldest = rest.items.at(-1)!;
    const expected = binary(4, 1_004);
    expect(oldest).toMatchObject({ sizeBytes: 1_004, userId: ada.id });
    expect(await bytesOf(await get(oldest.url ?? ''))).toEqual(expected);
    expect(await bytesOf(await download(fileId, ada, {}, `?versionId=${oldest.versionId}`))).toEqual(expected);
    const restored = await call(a, 'file:restore-version', { fileId, versionId: oldest.versionId });
    expect(restored.file).toMatchObject({ id: fileId, sizeBytes: 1_004 });
    expect(await bytesOf(await download(fileId))).toEqual(expected);
    // The version that it was is pruned; the content is named by the new one.
    expect((await call(a, 'file:history', { fileId, limit: 100 })).items).toHaveLength(LIMITS.blobVersionsKept);
    expect(await bytesOf(await download(fileId))).toEqual(expected);

    expect(await codeOf(call(b, 'file:restore-version', { fileId, versionId: items[0]!.versionId }))).toBe('forbidden');
    expect(await codeOf(call(a, 'file:restore-version', { fileId, versionId: '0'.repeat(24) }))).toBe('not_found');
    const text = await put(projectId, 'a.txt', 'x');
    const wrong = call(a, 'file:restore-version', { fileId: text.id, versionId: items[0]!.versionId });
    expect(await codeOf(wrong)).toBe('unsupported');
  });

  test('[FL-46] a copied project has the same contents, also when the other one is gone', async () => {
    const projectId = await project();
    const file = await put(projectId, 'logo.png', PNG);
    const before = await stored();
    const { project: copy } = await call(a, 'project:duplicate', { projectId });
    expect(await stored()).toBe(before);
    await call(a, 'project:delete', { projectId });
    expect((await download(file.id)).status).toBe(404);
    const [copied] = (await call(a, 'file:tree', { projectId: copy.id })).files;
    expect(copied).toMatchObject({ path: 'logo.png', kind: 'blob', sizeBytes: PNG.length });
    expect(await bytesOf(await download(copied!.id))).toEqual(PNG);
  });
});

describe('the quota', () => {
  test('[FL-47] files count for the owner, with versions and uploads under way', async () => {
    const grace = await world.person('Grace');
    const g = await world.socket(grace);
    const projectId = await project({}, g);
    await call(g, 'project:add-member', { projectId, userId: ben.id, role: 'editor' });
    const size = LIMITS.projectFileBytes;
    const plans = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        codeOf(call(i % 2 ? g : b, 'file:upload-url', { projectId, path: `f${i}`, sizeBytes: size })),
      ),
    );
    expect(plans.filter((code) => code === 'ok').length).toBeLessThanOrEqual(LIMITS.storageQuotaBytes / size);
    expect(plans).toContain('quota_exceeded');
    for (let i = 0; i < 6; i++) {
      await codeOf(call(g, 'file:upload-url', { projectId, path: `f${i}`, sizeBytes: size }));
    }
    const refused = await upload(projectId, { content: pngOf(30 * 1_048_576), fields: { path: 'a.png' } }, grace);
    expect(refused).toMatchObject({ status: 402, code: 'quota_exceeded' });
    // It is the owner's space: elsewhere there is room.
    expect(
      await codeOf(call(b, 'file:upload-url', { projectId: await project({}, b), path: 'f', sizeBytes: size })),
    ).toBe('ok');
  });
});
