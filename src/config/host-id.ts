/** Which machine's sandboxes those of a folder are; nodes that share the folder are on one. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { readOrMake } from './once-file.ts';

/** Rejects when the folder cannot be written or its `host.json` is damaged; a damaged one is never replaced. */
export async function loadHostId(sandboxDir: string): Promise<string> {
  const { id } = await readOrMake({
    dataDir: sandboxDir,
    name: 'host.json',
    schema: z.object({ id: z.string().min(8) }),
    make: () => ({ id: randomBytes(8).toString('hex') }),
    meaning: 'which volumes are on this machine',
  });
  return id;
}
