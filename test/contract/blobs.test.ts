import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDiskBlobs } from '../../src/storage/blobs/index.ts';
import { describeBlobs } from './blobs.contract.ts';

const freshDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'atelier-blobs-'));

describeBlobs('disk', async () => {
  const directory = await freshDirectory();
  return {
    here: await createDiskBlobs({ directory }),
    there: await createDiskBlobs({ directory }),
    close: () => rm(directory, { recursive: true }),
  };
});

describe('the blob store on disk', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await freshDirectory();
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('[ST-85] leaves no draft and no empty folder behind', async () => {
    const blobs = await createDiskBlobs({ directory });
    await blobs.put('a/b/c', Buffer.from('x'), { contentType: 'text/plain' });
    const failing = async function* () {
      yield Buffer.from('x');
      throw new Error('broken');
    };
    await expect(blobs.put('a/b/d', failing(), { contentType: 'text/plain' })).rejects.toThrow('broken');
    await blobs.remove('a/b/c');
    expect(await readdir(directory, { recursive: true })).toEqual(['drafts']);
  });

  test('[ST-86] a process killed while it puts leaves the blob as it was, and its draft goes after a day', async () => {
    const blobs = await createDiskBlobs({ directory });
    await blobs.put('doc', Buffer.from('first'), { contentType: 'text/plain' });
    const script = `
      import { createDiskBlobs } from ${JSON.stringify(join(process.cwd(), 'src/storage/blobs/index.ts'))};
      const blobs = await createDiskBlobs({ directory: ${JSON.stringify(directory)} });
      await blobs.put('doc', (async function* () {
        yield Buffer.alloc(1_000_000);
        process.stdout.write('half');
        await new Promise((resolve) => setTimeout(resolve, 60_000));
      })(), { contentType: 'text/plain' });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');

    expect(await blobs.stat('doc')).toMatchObject({ sizeBytes: 5 });
    const drafts = join(directory, 'drafts');
    const [left] = await readdir(drafts);
    expect(left).toBeDefined();
    const draft = join(drafts, String(left));
    await createDiskBlobs({ directory });
    expect((await stat(draft)).isFile()).toBe(true);
    const twoDaysAgo = new Date(Date.now() - 2 * 86_400_000);
    await utimes(draft, twoDaysAgo, twoDaysAgo);
    await createDiskBlobs({ directory });
    expect(await readdir(drafts)).toEqual([]);
  });

  test('[ST-87] says that a file is damaged rather than give a part of it', async () => {
    const blobs = await createDiskBlobs({ directory });
    await writeFile(join(directory, 'doc.b'), 'not one of ours');
    await expect(blobs.get('doc')).rejects.toThrow('damaged');
  });

  test('[ST-88] other files in the directory are nobody', async () => {
    const blobs = await createDiskBlobs({ directory });
    await blobs.put('a', Buffer.from('x'), { contentType: 'text/plain' });
    await writeFile(join(directory, 'note.txt'), 'by hand');
    expect((await blobs.list('')).items.map(({ key }) => key)).toEqual(['a']);
  });
});
