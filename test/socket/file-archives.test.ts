/** Whole projects through a whole server: archives in and out, snapshots, and what is left of what is gone. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openArchive } from '../../src/features/files/zip-in.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { archiveOf, SYMLINK, type Archived } from '../support/archives.ts';
import { call, codeOf, heard } from '../support/calls.ts';
import { startServer, type HttpAnswer, type Person, type TestServer } from '../support/server.ts';
import { blobFiles, formOf, PNG, pngOf, post } from '../support/uploads.ts';

let dataDir: string;
let world: TestServer;
let ada: Person;
let ben: Person;
let eve: Person;
let a: Socket;
let b: Socket;
let e: Socket;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-archives-'));
  world = await startServer({ DATA_DIR: dataDir });
  [ada, ben, eve] = await Promise.all([world.person('Ada'), world.person('Ben'), world.person('Eve')]);
  [a, b, e] = await Promise.all([world.socket(ada), world.socket(ben), world.socket(eve)]);
});
afterAll(async () => {
  const { errors } = world;
  await world[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

interface Answer {
  status: number;
  files: { id: string; path: string; kind: string; sizeBytes: number }[];
  code: string | undefined;
  detail: string;
}

const answerOf = ({ status, body }: HttpAnswer): Answer => {
  const { data, error } = body as unknown as {
    data?: Pick<Answer, 'files'>;
    error?: { code: string; detail?: unknown };
  };
  return { status, files: data?.files ?? [], code: error?.code, detail: JSON.stringify(error?.detail) };
};
const project = async (): Promise<string> =>
  (await call(a, 'project:create', { name: 'A project', template: 'empty' })).project.id;
const shared = async (role: 'editor' | 'viewer'): Promise<string> => {
  const projectId = await project();
  await call(a, 'project:add-member', { projectId, userId: ben.id, role });
  return projectId;
};
const send = async (projectId: string, archive: Buffer, as = ada): Promise<Answer> =>
  answerOf(await post(world, `/api/projects/${projectId}/zip`, as, formOf({ content: archive, name: 'a.zip' })));
const fetchAs = (path: string, as: Person) =>
  fetch(world.url + path, { headers: { authorization: `Bearer ${as.accessToken}` } });
const stored = async (): Promise<number> => (await blobFiles(dataDir)).blobs.length;
const spooled = (): Promise<string[]> => readdir(join(dataDir, 'spool'));
const pathsOf = async (projectId: string): Promise<string[]> =>
  (await call(a, 'file:tree', { projectId })).files.map(({ path }) => path);

/** Contents as text, a character for each byte: comparing megabytes one by one takes minutes. */
const shown = (contents: Record<string, Buffer>): Record<string, string> =>
  Object.fromEntries(Object.entries(contents).map(([path, content]) => [path, content.toString('latin1')]));

/** All files of a project, by its archive. */
async function contentsOf(projectId: string, as = ada): Promise<Record<string, string>> {
  const answer = await fetchAs(`/api/projects/${projectId}/zip`, as);
  expect(answer.status).toBe(200);
  const file = join(dataDir, 'out.zip');
  await writeFile(file, Buffer.from(await answer.arrayBuffer()));
  const archive = await openArchive(file);
  const all = new Map<string, Buffer>();
  for (const each of archive.files) all.set(each.path, await buffer(archive.content(each)));
  await archive.close();
  return shown(Object.fromEntries(all));
}

describe('archives', () => {
  const tree: Record<string, Buffer> = {
    'README.md': Buffer.from('# Über\r\n'),
    'empty.txt': Buffer.alloc(0),
    'logo.png': PNG,
    'src/a/b/c.ts': Buffer.from('export {};\n'),
    'src/large.bin': pngOf(3_000_000),
    'src/日本.json': Buffer.from('{}'),
  };
  const treeArchive = archiveOf(Object.entries(tree).map(([name, content]) => ({ name, content })));

  test('[FL-54] [FL-55] what goes in comes out', async () => {
    const projectId = await project();
    const { status, files } = await send(projectId, treeArchive);
    expect(status).toBe(200);
    expect(files.map(({ path, kind, sizeBytes }) => [path, kind, sizeBytes])).toEqual(
      Object.entries(tree).map(([path, content]) => [path, /png|bin/.test(path) ? 'blob' : 'text', content.length]),
    );
    expect(await contentsOf(projectId)).toEqual(shown(tree));
    expect(await spooled()).toEqual([]);
    // An archive of it is one that can be put elsewhere, as a body of its own too.
    const other = await project();
    const archive = await (await fetchAs(`/api/projects/${projectId}/zip`, ada)).arrayBuffer();
    const answer = await fetch(`${world.url}/api/projects/${other}/zip`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ada.accessToken}`, 'content-type': 'application/zip' },
      body: archive,
    });
    expect(answer.status).toBe(200);
    expect(await contentsOf(other)).toEqual(shown(tree));
  });

  test('[FL-54] onto what is there: texts are edited, blobs get versions, the rest stays', async () => {
    const projectId = await shared('editor');
    const create = async (path: string, content: string): Promise<string> =>
      (await call(a, 'file:create', { projectId, path, content })).file.id;
    const text = await create('README.md', '# Unter\r\n');
    await create('stays.txt', 'as it is');
    const first = answerOf(
      await post(
        world,
        `/api/projects/${projectId}/files/upload`,
        ada,
        formOf({ content: pngOf(2_000), fields: { path: 'logo.png' } }),
      ),
    );
    expect(first.status).toBe(200);
    const { docId } = await call(b, 'doc:open', { fileId: text });
    const updates = heard(b, 'doc:updated');
    const { files } = await send(projectId, treeArchive, ben);
    expect(files.find(({ path }) => path === 'README.md')?.id).toBe(text);
    await expect.poll(() => updates.some((update) => update.docId === docId)).toBe(true);
    expect(await contentsOf(projectId)).toEqual({ ...shown(tree), 'stays.txt': 'as it is' });
    const logo = files.find(({ path }) => path === 'logo.png')?.id ?? '';
    expect((await call(a, 'file:history', { fileId: logo })).items.map(({ sizeBytes }) => sizeBytes)).toEqual([
      PNG.length,
      2_000,
    ]);
  });

  test('[FL-54] many files are told once', async () => {
    const projectId = await shared('viewer');
    await call(b, 'project:get', { projectId });
    const [created, changed] = [heard(b, 'file:created'), heard(b, 'file:tree-changed')];
    const count = LIMITS.fileEventsPerChange + 1;
    const many = Array.from({ length: count }, (_, i): Archived => ({ name: `src/${i}.ts`, content: `let x = ${i};` }));
    expect((await send(projectId, archiveOf(many))).files).toHaveLength(count);
    await expect.poll(() => changed).toEqual([{ projectId }]);
    expect(created).toEqual([]);
  });

  test('[FL-51] [FL-52] [FL-53] [FL-54] of one that cannot be, nothing is put into the project, and nothing is kept', async () => {
    const projectId = await project();
    await call(a, 'file:create', { projectId, path: 'a.txt', content: 'mine' });
    const before = await stored();
    const good: Archived[] = [
      { name: 'good.txt', content: 'good' },
      { name: 'good.png', content: PNG },
    ];
    const bad: [string, Archived][] = [
      ['invalid', { name: '../evil', content: 'x' }],
      ['invalid', { name: '/etc/passwd', content: 'x' }],
      ['invalid', { name: 'a\\b', content: 'x' }],
      ['invalid', { name: 'link', content: '/etc/passwd', mode: SYMLINK }],
      ['invalid', { name: 'GOOD.txt', content: 'x' }],
      ['conflict', { name: 'A.TXT', content: 'x' }],
      ['conflict', { name: 'a.txt/below', content: 'x' }],
      ['conflict', { name: 'a.txt', content: PNG }],
      ['unsupported', { name: 'secret', content: 'x', flags: 0x801 }],
      ['invalid', { name: 'last', content: PNG, crc: 7 }],
      ['invalid', { name: 'last', content: 'words', sizeBytes: 4 }],
      ['invalid', { name: 'bomb', content: Buffer.alloc(30_000_000) }],
    ];
    for (const [code, file] of bad) {
      expect(await send(projectId, archiveOf([...good, file]))).toMatchObject({ code });
    }
    expect(await send(projectId, Buffer.from('no archive'))).toMatchObject({ code: 'invalid' });
    const tooMany = Array.from({ length: LIMITS.filesPerProject }, (_, i): Archived => ({
      name: `${i}.txt`,
      method: 0,
    }));
    expect(await send(projectId, archiveOf(tooMany))).toMatchObject({ code: 'quota_exceeded' });
    expect(await contentsOf(projectId)).toEqual({ 'a.txt': 'mine' });
    await expect.poll(stored).toBe(before);
    expect(await spooled()).toEqual([]);
  });

  test('[FL-54] [FL-55] by whom: writers put in, readers take out', async () => {
    const projectId = await shared('viewer');
    expect(await send(projectId, treeArchive, ben)).toMatchObject({ code: 'forbidden' });
    expect(await send(projectId, treeArchive, eve)).toMatchObject({ code: 'not_found' });
    await send(projectId, treeArchive);
    expect(await contentsOf(projectId, ben)).toEqual(shown(tree));
    expect((await fetchAs(`/api/projects/${projectId}/zip`, eve)).status).toBe(404);
    await call(a, 'project:update', { projectId, visibility: 'public' });
    expect(await contentsOf(projectId, eve)).toEqual(shown(tree));
    const { headers } = await fetchAs(`/api/projects/${projectId}/zip`, ada);
    expect(headers.get('content-type')).toBe('application/zip');
    expect(headers.get('content-disposition')).toBe(`attachment; filename="project-${projectId}.zip"`);
  });

  test('[FL-54] two archives at once both arrive whole', async () => {
    const projectId = await shared('editor');
    const of = (name: string): Archived[] =>
      Array.from({ length: 30 }, (_, i) => ({ name: `${name}/${i}.txt`, content: `${name} ${i}` }));
    const answers = await Promise.all([
      send(projectId, archiveOf([...of('a'), { name: 'both.txt', content: 'a' }]), ada),
      send(projectId, archiveOf([...of('b'), { name: 'both2.txt', content: 'b' }]), ben),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(Object.keys(await contentsOf(projectId))).toHaveLength(62);
  });
});

describe('snapshots', () => {
  test('[FL-56] all files are copied under names that say what they are, in place of the earlier ones', async () => {
    const projectId = await shared('viewer');
    const long = `${'x'.repeat(150)}/${'y'.repeat(150)}/${'z'.repeat(150)}/a.txt`;
    const files: Archived[] = [
      { name: 'src/index.html', content: '<h1>Hi</h1>' },
      { name: 'logo.png', content: PNG },
      { name: 'weird %?#.txt', content: 'weird' },
      { name: long, content: 'long' },
    ];
    await send(projectId, archiveOf(files));
    const snapshot = await call(b, 'project:snapshot', { projectId });
    expect(snapshot.files.map(({ path }) => path).sort()).toEqual(files.map(({ name }) => String(name)).sort());
    for (const { path, key, url } of snapshot.files) {
      const prefix = `users/${ben.id}/projects/${projectId}/`;
      const isLong = path === long;
      expect(isLong ? key.slice(0, prefix.length) : key).toBe(isLong ? prefix : prefix + path);
      const answer = await fetch(world.url + url);
      expect(Buffer.from(await answer.arrayBuffer())).toEqual(
        Buffer.from(files.find(({ name }) => name === path)?.content ?? ''),
      );
      expect(answer.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
      expect((await fetch(world.url + url.replace(/signature=./, 'signature=_'))).status).toBe(403);
    }
    const count = await stored();
    await call(a, 'file:delete', { projectId, path: 'logo.png' });
    expect((await call(b, 'project:snapshot', { projectId })).files).toHaveLength(3);
    expect(await stored()).toBe(count - 1);
    expect(await codeOf(call(e, 'project:snapshot', { projectId }))).toBe('not_found');
  });

  test('[FL-57] it is written back as edits; what is not in it stays', async () => {
    const projectId = await shared('viewer');
    await send(
      projectId,
      archiveOf([
        { name: 'a.txt', content: 'first' },
        { name: 'logo.png', content: PNG },
        { name: 'gone.txt', content: 'gone' },
      ]),
    );
    expect(await codeOf(call(a, 'project:restore-snapshot', { projectId }))).toBe('not_found');
    await call(a, 'project:snapshot', { projectId });
    await call(a, 'file:write', { projectId, path: 'a.txt', content: 'second' });
    await call(a, 'file:delete', { projectId, path: 'gone.txt' });
    await call(a, 'file:create', { projectId, path: 'new.txt', content: 'new' });
    expect(await codeOf(call(b, 'project:restore-snapshot', { projectId }))).toBe('forbidden');
    const { files } = await call(a, 'project:restore-snapshot', { projectId });
    expect(files.map(({ path }) => path).sort()).toEqual(['a.txt', 'gone.txt', 'logo.png']);
    expect(await contentsOf(projectId)).toEqual({
      'a.txt': 'first',
      'gone.txt': 'gone',
      'logo.png': PNG.toString('latin1'),
      'new.txt': 'new',
    });
  });
});

test('[FL-46] a project of an account that ends leaves no content behind', async () => {
  const before = await stored();
  const gone = await world.person('Gone');
  const g = await world.socket(gone);
  const own = (await call(g, 'project:create', { name: 'Their own', template: 'empty' })).project.id;
  await send(
    own,
    archiveOf([
      { name: 'a.png', content: PNG },
      { name: 'b.txt', content: 'b' },
    ]),
    gone,
  );
  await call(g, 'project:snapshot', { projectId: own });
  const projectId = await project();
  await call(a, 'project:add-member', { projectId, userId: gone.id, role: 'viewer' });
  await send(projectId, archiveOf([{ name: 'a.txt', content: 'a' }]));
  await call(g, 'project:snapshot', { projectId });
  expect(await stored()).toBe(before + 4);
  // Over HTTP: its sockets end with the account.
  const ended = await world.request('DELETE', '/api/users/me', { as: gone, body: { password: gone.password } });
  expect(ended.status).toBe(200);
  await expect.poll(stored, { timeout: 30_000 }).toBe(before);
  expect(await pathsOf(projectId)).toEqual(['a.txt']);
});
