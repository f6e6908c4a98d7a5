/** What an application loads with each entry of the SDK. */
import { build } from 'esbuild';
import { expect, test } from 'vitest';

/** Packages and folders of `src` in an entry's bundle. */
async function partsOf(entry: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
  });
  const parts = Object.keys(metafile.inputs).map((input) => /(?:node_modules|src)\/([^/]+)/.exec(input)?.[1] ?? input);
  return [...new Set(parts)];
}

test('who only chats loads no Yjs, and neither entry anything of the server', async () => {
  const chat = await partsOf('src/client/index.ts');
  expect(chat).toEqual(expect.arrayContaining(['client', 'protocol', 'socket.io-client']));
  const editing = await partsOf('src/client/yjs.ts');
  expect(editing).toEqual(expect.arrayContaining(['client', 'protocol', 'yjs', 'y-protocols', 'lib0']));
  for (const part of ['yjs', 'y-protocols', 'lib0']) expect(chat).not.toContain(part);
  for (const part of ['features', 'gateway', 'zod']) {
    expect(chat).not.toContain(part);
    expect(editing).not.toContain(part);
  }
});
