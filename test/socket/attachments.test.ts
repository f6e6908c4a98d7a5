/** Attachments through the whole server: forms, messages, downloads, and what is left on disk. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import supertest from 'supertest';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Message } from '../../src/client/index.ts';
import { loadConfig } from '../../src/config/index.ts';
import type { Log } from '../../src/observability/log.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { createServer } from '../../src/server.ts';
import { openWorld, startServer, testEnvironment, type Person, type TestServer } from '../support/server.ts';
import {
  AVIF,
  blobFiles,
  formOf,
  GIF,
  JPEG,
  mp3,
  PNG,
  pngOf,
  post,
  turnedJpeg,
  upload,
  VIDEO_MP4,
  VIDEO_WEBM,
  VOICE_MP4,
  VOICE_WEBM,
  wav,
  WEBP,
  type Upload,
  type Uploaded,
} from '../support/uploads.ts';

let dataDir: string;
let world: TestServer;
let ada: Person;
let grace: Person;
let eve: Person;
let aheadMs = 0;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-uploads-'));
  world = await startServer({ DATA_DIR: dataDir }, { now: () => Date.now() + aheadMs });
  [ada, grace, eve] = await Promise.all([world.person('Ada'), world.person('Grace'), world.person('Eve')]);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
});

const refused = async (what: Upload, path = '/api/attachments') => {
  const { status, body } = await post(world, path, ada, formOf(what));
  return { status, code: (body as unknown as { error: { code: string } }).error?.code };
};
const get = (url: string, headers: Record<string, string> = {}) => fetch(world.url + url, { headers });
const getAs = (person: Person, id: string, headers: Record<string, string> = {}) =>
  get(`/api/attachments/${id}`, { authorization: `Bearer ${person.accessToken}`, ...headers });
const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
const stored = async (): Promise<number> => (await blobFiles(dataDir)).blobs.length;

describe('uploading', () => {
  test.each([
    ['image/png', PNG, 3, 2],
    ['image/jpeg', JPEG, 3, 2],
    ['image/webp', WEBP, 3, 2],
    ['image/gif', GIF, 1, 1],
    ['image/avif', AVIF, 30, 20],
  ])('[AT-1] an image is what its content says: %s', async (mime, content, width, height) => {
    const lying = { content, name: 'page.html', type: 'text/html' };
    for (const fields of [{ kind: 'image' }, {}]) {
      const { attachmentId, url, urlExpiresAt, ...rest } = await upload(world, ada, { ...lying, fields });
      expect(rest).toEqual({ kind: 'image', mime, width, height, sizeBytes: content.length, name: 'page.html' });
      expect(attachmentId).toMatch(/^[0-9a-f]{24}$/);
      expect(url).toContain(`/api/attachments/${attachmentId}?`);
      expect(Date.parse(urlExpiresAt) - Date.now()).toBeLessThanOrEqual(LIMITS.attachmentUrlMs);
    }
  });

  test('[AT-5] a picture has the size in which it is shown', async () => {
    expect(await upload(world, ada, { content: turnedJpeg() })).toMatchObject({ width: 2, height: 3 });
  });

  test.each([
    ['audio/webm', VOICE_WEBM, 600, 1_400],
    ['audio/mp4', VOICE_MP4, 600, 1_400],
    ['audio/wav', wav(), 1_000, 1_000],
    ['audio/mpeg', mp3(), 1_306, 1_306],
  ])('[AT-5] a voice message has its length: %s', async (mime, content, least, most) => {
    const { durationMs, ...voice } = await upload(world, ada, { content, fields: { kind: 'voice' } });
    expect(voice).toMatchObject({ kind: 'voice', mime, sizeBytes: content.length });
    expect(durationMs).toBeGreaterThanOrEqual(least);
    expect(durationMs).toBeLessThanOrEqual(most);
  });

  test('[AT-2] another type than the kind wants is unsupported, and nothing of it is kept', async () => {
    const before = await stored();
    const text = Buffer.from('just words');
    const svg = Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>');
    for (const content of [text, svg, wav(), VIDEO_WEBM, PNG.subarray(0, 20)]) {
      expect(await refused({ content, fields: { kind: 'image' } })).toEqual({ status: 415, code: 'unsupported' });
    }
    for (const content of [
      text,
      PNG,
      VIDEO_WEBM,
      VIDEO_MP4,
      Buffer.concat([Buffer.from('ID3'), Buffer.alloc(5_000)]),
    ]) {
      expect(await refused({ content, fields: { kind: 'voice' } })).toEqual({ status: 415, code: 'unsupported' });
    }
    await expect.poll(stored).toBe(before);
  });

  test('[AT-2] more than the kind allows is too_large, and nothing of it is kept', async () => {
    const before = await stored();
    const image = pngOf(LIMITS.imageBytes + 1);
    expect(await refused({ content: image, fields: { kind: 'image' } })).toEqual({ status: 413, code: 'too_large' });
    expect(await refused({ content: image }, '/api/attachments?kind=image')).toMatchObject({ code: 'too_large' });
    const voice = Buffer.concat([wav(), Buffer.alloc(LIMITS.voiceBytes)]);
    expect(await refused({ content: voice, fields: { kind: 'voice' } })).toMatchObject({ code: 'too_large' });
    const file = Buffer.alloc(LIMITS.fileBytes + 1);
    expect(await refused({ content: file })).toMatchObject({ code: 'too_large' });
    expect(await refused({ content: Buffer.alloc(LIMITS.fileBytes + 1_000_000) })).toMatchObject({ code: 'too_large' });
    await expect.poll(stored).toBe(before);

    const largest = await upload(world, ada, { content: pngOf(LIMITS.imageBytes), fields: { kind: 'image' } });
    expect(largest).toMatchObject({ kind: 'image', sizeBytes: LIMITS.imageBytes });
    // Without a kind, a picture that is too large for an image is a file.
    const asFile = await upload(world, ada, { content: image });
    expect(asFile).toMatchObject({ kind: 'file', mime: 'image/png', sizeBytes: image.length });
  });

  test('[AT-2] the kind may come after the file, and counts all the same', async () => {
    const before = await stored();
    const form = formOf({ content: wav() });
    form.append('kind', 'image');
    expect(await post(world, '/api/attachments', ada, form)).toMatchObject({ status: 415 });
    await expect.poll(stored).toBe(before);
    const good = formOf({ content: wav() });
    good.append('kind', 'voice');
    expect(await post(world, '/api/attachments', ada, good)).toMatchObject({ body: { data: { kind: 'voice' } } });
  });

  test('[AT-9] what could be shown as a document is a file of unknown type', async () => {
    for (const content of ['<html><script>1</script></html>', '<?xml version="1.0"?><svg xmlns="x"/>', 'words']) {
      const { mime, kind, url } = await upload(world, ada, {
        content: Buffer.from(content),
        name: 'x.svg',
        type: 'image/svg+xml',
      });
      expect({ mime, kind }).toEqual({ mime: 'application/octet-stream', kind: 'file' });
      const answer = await get(url);
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'application/octet-stream',
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'; sandbox",
        'content-disposition': `attachment; filename="x.svg"; filename*=UTF-8''x.svg`,
      });
      expect(await answer.text()).toBe(content);
    }
  });

  test.each([
    ['../../etc/passwd', 'passwd'],
    ['C:\\Users\\ada\\cv.pdf', 'cv.pdf'],
    ['Ünïcode 日本語.txt', 'Ünïcode 日本語.txt'],
    ['cod\u202egpj.exe', 'codgpj.exe'],
    [`${'x'.repeat(300)}.jpeg`, `${'x'.repeat(195)}.jpeg`],
    ['a"b\\c;d.txt', 'c;d.txt'],
  ])('[AT-1] the name %s is kept as %s', async (name, kept) => {
    const uploaded = await upload(world, ada, { content: Buffer.from('x'), name });
    expect(uploaded.name).toBe(kept);
    const disposition = (await get(uploaded.url)).headers.get('content-disposition') ?? '';
    expect(decodeURIComponent(disposition.split("UTF-8''")[1] ?? '')).toBe(kept);
  });

  test('[AT-3] a form without a file, with two, with strange fields or cut short is invalid, and nothing of it is kept', async () => {
    const before = await stored();
    const empty = new FormData();
    empty.append('kind', 'file');
    const two = formOf({ content: PNG });
    two.append('file', new Blob(['second']), 'second');
    const twice = formOf({ content: PNG, fields: { kind: 'image' } });
    twice.append('kind', 'file');
    const many = new FormData();
    for (let i = 0; i < 20; i++) many.append(`field${i}`, 'x');
    many.append('file', new Blob(['x']), 'x');
    for (const form of [
      empty,
      two,
      twice,
      many,
      formOf({ content: PNG, field: 'other' }),
      formOf({ content: PNG, fields: { kind: 'movie' } }),
      formOf({ content: PNG, fields: { 'kind[a][b]': 'image' } }),
      formOf({ content: PNG, fields: { __proto__x: 'y'.repeat(5_000) } }),
    ]) {
      expect(await post(world, '/api/attachments', ada, form)).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid' } },
      });
    }
    const head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n';
    for (const [contentType, body] of [
      ['multipart/form-data; boundary=b', `${head}cut short`],
      ['multipart/form-data; boundary=b', 'nothing of a form'],
      ['multipart/form-data; boundary=b', ''],
      ['multipart/form-data', `${head}x\r\n--b--`],
    ] as const) {
      const answer = await world.request('POST', '/api/attachments', {
        as: ada,
        body,
        headers: { 'content-type': contentType },
      });
      expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid' } } });
    }
    expect(await world.request('POST', '/api/attachments', { as: ada, body: {} })).toMatchObject({ status: 415 });
    expect(await world.request('POST', '/api/attachments', { body: {} })).toMatchObject({ status: 401 });
    await expect.poll(stored).toBe(before);
  });

  test('[AT-3] an upload that is broken off leaves nothing', async () => {
    const before = await stored();
    const { hostname, port } = new URL(world.url);
    for (let i = 0; i < 3; i++) {
      const socket = connect({ host: hostname, port: Number(port) });
      await once(socket, 'connect');
      socket.write(
        `POST /api/attachments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ada.accessToken}\r\n` +
          'Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n' +
          '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
      );
      socket.write(Buffer.alloc(1_000_000));
      await expect.poll(async () => (await blobFiles(dataDir)).drafts.length).toBe(1);
      socket.destroy();
      await expect.poll(async () => (await blobFiles(dataDir)).drafts.length).toBe(0);
    }
    expect(await stored()).toBe(before);
  });

  test('[AT-3] a refused upload is answered while it is still sent, and cut off in the end', async () => {
    const { hostname, port } = new URL(world.url);
    const socket = connect({ host: hostname, port: Number(port) });
    await once(socket, 'connect');
    socket.write(
      `POST /api/attachments?kind=image HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ada.accessToken}\r\n` +
        'Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const chunk = (content: Buffer): Buffer =>
      Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from('\r\n')]);
    socket.write(chunk(Buffer.from('--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n')));
    const answered = once(socket, 'data');
    const closed = new Promise((resolve) => socket.once('close', resolve).on('error', () => {}));
    const piece = chunk(Buffer.alloc(1_000_000));
    const send = (error?: Error | null): void => {
      if (!error && !socket.destroyed) socket.write(piece, send);
    };
    send();
    expect(String((await answered)[0])).toContain('HTTP/1.1 415');
    await closed;
  });
});

describe('in messages', () => {
  let chatId: string;
  beforeAll(async () => {
    chatId = await world.chat([ada, grace]);
  });

  const send = (as: Person, attachmentIds: string[], more: object = {}) =>
    world.request('POST', `/api/chats/${chatId}/messages`, {
      as,
      body: { clientId: `c${Math.random()}`, type: 'image', attachmentIds, ...more },
    });
  const messagesOf = async (as: Person): Promise<Message[]> => {
    const { body } = await world.request('GET', `/api/chats/${chatId}/messages`, { as });
    return (body as unknown as { data: { items: Message[] } }).data.items;
  };

  test('[AT-6] uploaded, sent, downloaded by members, unknown to others, gone with its message', async () => {
    const before = await stored();
    const { attachmentId } = await upload(world, ada, { content: PNG, name: 'cat.png' });
    expect((await getAs(ada, attachmentId)).status).toBe(200);
    expect((await getAs(grace, attachmentId)).status).toBe(404);

    const heard = (await world.client(grace)).once('message:created');
    const { status, body } = await send(ada, [attachmentId]);
    expect(status).toBe(200);
    const messageId = (body as unknown as { data: { id: string } }).data.id;
    const [attachment] = (await heard).message.attachments;
    expect(attachment).toMatchObject({ id: attachmentId, kind: 'image', name: 'cat.png', width: 3, height: 2 });
    const byUrl = await get(attachment?.url ?? '');
    expect((await bytesOf(byUrl)).equals(PNG)).toBe(true);
    expect((await getAs(grace, attachmentId)).status).toBe(200);
    const unknown = await getAs(eve, attachmentId);
    expect(await unknown.json()).toMatchObject({ error: { code: 'not_found' } });
    expect((await get(`/api/attachments/${attachmentId}`)).status).toBe(401);
    expect((await messagesOf(grace)).at(-1)?.attachments[0]?.url).toContain(attachmentId);

    await world.request('DELETE', `/api/chats/${chatId}/messages/${messageId}`, { as: ada });
    await expect.poll(async () => (await getAs(ada, attachmentId)).status).toBe(404);
    expect((await getAs(grace, attachmentId)).status).toBe(404);
    expect((await get(attachment?.url ?? '')).status).toBe(404);
    expect((await messagesOf(grace)).at(-1)?.attachments).toEqual([]);
    await expect.poll(stored).toBe(before);
  });

  test("[AT-10] a message takes its sender's own uploads, each once; a retry takes the same again", async () => {
    const { attachmentId: mine } = await upload(world, ada, { content: PNG });
    const { attachmentId: hers } = await upload(world, grace, { content: PNG });
    expect(await send(ada, [hers])).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } });
    expect(await send(ada, ['f'.repeat(24)])).toMatchObject({ status: 404 });
    const clientId = 'the-same';
    const first = await send(ada, [mine], { clientId });
    expect(first.status).toBe(200);
    expect(await send(ada, [mine], { clientId })).toEqual(first);
    expect(await send(ada, [mine])).toMatchObject({ status: 400, body: { error: { code: 'invalid' } } });
    expect(await send(ada, [mine], { clientId: 'other', content: 'again' })).toMatchObject({ status: 400 });
  });

  test('[AT-10] a retry of a message that has been deleted gets the first outcome, too', async () => {
    const { attachmentId } = await upload(world, ada, { content: PNG });
    const clientId = 'deleted-since';
    const first = await send(ada, [attachmentId], { clientId });
    const { id } = (first.body as unknown as { data: { id: string } }).data;
    await world.request('DELETE', `/api/chats/${chatId}/messages/${id}`, { as: ada });
    expect(await send(ada, [attachmentId], { clientId })).toMatchObject({ status: 200, body: { data: { id } } });
  });

  test('[AT-10] attachments of another kind than the message are invalid, and still free', async () => {
    const { attachmentId } = await upload(world, ada, { content: wav(), fields: { kind: 'voice' } });
    expect(await send(ada, [attachmentId])).toMatchObject({ status: 400, body: { error: { code: 'invalid' } } });
    expect(await send(ada, [attachmentId], { type: 'voice' })).toMatchObject({ status: 200 });
  });

  test('[AT-7] a signed address serves without a token until it expires, and only as it was signed', async () => {
    const { attachmentId, url } = await upload(world, ada, { content: PNG });
    const { attachmentId: other } = await upload(world, ada, { content: PNG });
    const { searchParams } = new URL(url, world.url);
    const [expires, signature] = [searchParams.get('expires') ?? '', searchParams.get('signature') ?? ''];
    const at = (id: string, e: string, s: string) => get(`/api/attachments/${id}?expires=${e}&signature=${s}`);
    expect((await at(attachmentId, expires, signature)).status).toBe(200);
    for (const [id, e, s] of [
      [other, expires, signature],
      ['f'.repeat(24), expires, signature],
      [attachmentId, String(Number(expires) + 1), signature],
      [attachmentId, `${expires}.0`, signature],
      [attachmentId, expires, `${signature.slice(1)}${signature[0]}`],
      [attachmentId, expires, ''],
      [attachmentId, `${expires}&expires=${expires}`, signature],
    ] as const) {
      const answer = await at(id, e, s);
      expect(await answer.json()).toMatchObject({ error: { code: 'unauthenticated' } });
    }
    aheadMs += LIMITS.attachmentUrlMs;
    expect((await at(attachmentId, expires, signature)).status).toBe(401);
    aheadMs = 0;
  });
});

test('[AT-7] the log has the route of a download, never its address', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'atelier-logged-'));
  const lines: string[] = [];
  const write = (message: string, fields: object = {}): void => void lines.push(JSON.stringify({ message, ...fields }));
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  const server = await createServer(loadConfig({ ...testEnvironment(directory) }), { log });
  await server.listen();
  const people = openWorld(() => server.url);
  try {
    const person = await people.person();
    const { attachmentId, url } = await upload(people, person, { content: PNG, name: 'secret name' });
    expect((await fetch(server.url + url)).status).toBe(200);
    expect((await fetch(`${server.url}${url}x`)).status).toBe(401);
    expect((await fetch(server.url + url.replace('/attachments/', '/nothing/'))).status).toBe(404);
    await expect.poll(() => lines.filter((line) => line.includes('"/api/attachments/:id"'))).toHaveLength(2);
    const [signature] = /[^=]+$/.exec(url) ?? [''];
    for (const hidden of [signature, 'signature', attachmentId, 'secret name', person.accessToken]) {
      expect(lines.filter((line) => line.includes(hidden))).toEqual([]);
    }
  } finally {
    await people[Symbol.asyncDispose]();
    await server.close();
    await rm(directory, { recursive: true, force: true });
  }
});

describe('downloading', () => {
  const content = Buffer.from(Array.from({ length: 1_000 }, (_, i) => i % 256));
  let uploaded: Uploaded;
  beforeAll(async () => {
    uploaded = await upload(world, ada, { content, name: 'bytes.bin' });
  });

  test.each([
    ['bytes=0-9', 0, 10],
    ['bytes=990-', 990, 1_000],
    ['bytes=-10', 990, 1_000],
    ['bytes=999-5000', 999, 1_000],
    ['bytes=0-0', 0, 1],
  ])('[AT-8] %s gives that part', async (range, start, end) => {
    const answer = await get(uploaded.url, { range });
    expect(answer.status).toBe(206);
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/1000`);
    expect(answer.headers.get('content-length')).toBe(String(end - start));
    expect((await bytesOf(answer)).equals(content.subarray(start, end))).toBe(true);
  });

  test.each(['bytes=1000-', 'bytes=2000-3000', 'bytes=-0'])('[AT-8] %s is 416', async (range) => {
    const answer = await get(uploaded.url, { range });
    expect(answer.status).toBe(416);
    expect(answer.headers.get('content-range')).toBe('bytes */1000');
  });

  test.each(['bytes=0-9,20-29', 'lines=1-2', 'nonsense'])('[AT-8] %s is answered whole', async (range) => {
    const answer = await get(uploaded.url, { range });
    expect(answer.status).toBe(200);
    expect((await bytesOf(answer)).equals(content)).toBe(true);
  });

  test('[AT-8] who has the content hears 304; another version than If-Range is answered whole', async () => {
    const first = await get(uploaded.url);
    expect(first.headers.get('accept-ranges')).toBe('bytes');
    expect(first.headers.get('cache-control')).toContain('private');
    const etag = first.headers.get('etag') ?? '';
    expect((await bytesOf(first)).equals(content)).toBe(true);
    const again = await supertest(world.url).get(uploaded.url).set('if-none-match', etag);
    expect(again.status).toBe(304);
    expect((await get(uploaded.url, { range: 'bytes=0-9', 'if-range': etag })).status).toBe(206);
    expect((await get(uploaded.url, { range: 'bytes=0-9', 'if-range': '"other"' })).status).toBe(200);
    const head = await fetch(world.url + uploaded.url, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(head.headers.get('content-length')).toBe('1000');
  });

  test('[AT-8] an empty file can be had', async () => {
    const empty = await upload(world, ada, { content: Buffer.alloc(0), name: 'empty' });
    expect(empty.sizeBytes).toBe(0);
    const answer = await get(empty.url);
    expect(answer.status).toBe(200);
    expect((await bytesOf(answer)).length).toBe(0);
  });

  test('[AT-9] images and voice are shown in place, also by pages of other origins', async () => {
    const image = await upload(world, ada, { content: PNG, name: 'cat.png' });
    const answer = await get(image.url);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': `inline; filename="cat.png"; filename*=UTF-8''cat.png`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cross-origin-resource-policy': 'cross-origin',
    });
  });

  test('[AT-8] a reader who leaves in the middle disturbs nobody', async () => {
    const large = await upload(world, ada, { content: Buffer.alloc(20_000_000) });
    for (let i = 0; i < 3; i++) {
      const stop = new AbortController();
      const answer = await fetch(world.url + large.url, { signal: stop.signal });
      await answer.body?.getReader().read();
      stop.abort();
    }
    expect((await get(large.url, { range: 'bytes=0-0' })).status).toBe(206);
  });
});

describe('avatars', () => {
  const pictureOf = (person: Person) => get(`/api/users/${person.id}/avatar`);
  const avatarUrlOf = async (person: Person): Promise<string> => {
    const { body } = await world.request('GET', '/api/users/profile', { as: person });
    return (body as unknown as { data: { user: { avatarUrl: string } } }).data.user.avatarUrl;
  };

  test('[AT-12] an uploaded picture is shown in place of the drawn one, until it is removed', async () => {
    const drawnUrl = await avatarUrlOf(grace);
    const answer = await post(world, '/api/users/avatar', grace, formOf({ content: PNG, type: 'image/svg+xml' }));
    expect(answer).toMatchObject({ status: 200, body: { data: { user: { id: grace.id } } } });
    const shown = await pictureOf(grace);
    expect(shown.headers.get('content-type')).toBe('image/png');
    expect(shown.headers.get('x-content-type-options')).toBe('nosniff');
    expect((await bytesOf(shown)).equals(PNG)).toBe(true);
    const etag = shown.headers.get('etag') ?? '';
    expect((await supertest(world.url).get(`/api/users/${grace.id}/avatar`).set('if-none-match', etag)).status).toBe(
      304,
    );
    const firstUrl = await avatarUrlOf(grace);
    expect(firstUrl).not.toBe(drawnUrl);

    await post(world, '/api/users/avatar', grace, formOf({ content: WEBP }));
    expect((await pictureOf(grace)).headers.get('content-type')).toBe('image/webp');
    expect(await avatarUrlOf(grace)).not.toBe(firstUrl);

    const before = await stored();
    expect(await world.request('DELETE', '/api/users/avatar', { as: grace })).toMatchObject({ status: 200 });
    expect((await pictureOf(grace)).headers.get('content-type')).toContain('image/svg+xml');
    expect(await avatarUrlOf(grace)).toBe(drawnUrl);
    expect(await stored()).toBe(before - 1);
    expect(await world.request('DELETE', '/api/users/avatar', { as: grace })).toMatchObject({ status: 200 });
  });

  test('[AT-12] a picture is an image of at most 2 MiB', async () => {
    const before = await stored();
    const put = (content: Uint8Array) => refused({ content }, '/api/users/avatar');
    expect(await put(Buffer.from('words'))).toEqual({ status: 415, code: 'unsupported' });
    expect(await put(PNG.subarray(0, 20))).toEqual({ status: 415, code: 'unsupported' });
    expect(await put(pngOf(LIMITS.avatarBytes + 1))).toEqual({ status: 413, code: 'too_large' });
    expect(await stored()).toBe(before);
    expect(await post(world, '/api/users/avatar', ada, formOf({ content: pngOf(LIMITS.avatarBytes) }))).toMatchObject({
      status: 200,
    });
  });
});

test('[AT-3] nothing of all this was an error of the server', () => {
  expect(world.errors).toEqual([]);
});
