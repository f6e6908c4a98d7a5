import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { generated } from '../../src/docs/generated.ts';

test.each(Object.entries(generated()))('%s is what `npm run docs` writes', async (path, text) => {
  const stored = await readFile(path, 'utf8');
  expect(stored === text, `${path} is not current: run \`npm run docs\``).toBe(true);
});
