/** A file of the data directory that is made once: processes that start for the first time together agree on its content. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';

export interface OnceFile<T> {
  dataDir: string;
  /** As `secrets.json`. */
  name: string;
  schema: z.ZodType<T>;
  make: () => T;
  /** What is lost with the file, for whoever has to remove a damaged one. */
  meaning: string;
}

/** Rejects when the directory cannot be written or the file is damaged; a damaged one is never replaced. */
export async function readOrMake<T>(once: OnceFile<T>): Promise<T> {
  return (await read(once)) ?? (await write(once));
}

async function read<T>({ dataDir, name, schema, meaning }: OnceFile<T>): Promise<T | undefined> {
  const file = join(dataDir, name);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // Without the cause: its text may hold a part of the file.
    throw new Error(`${file} is damaged; restore it, or remove it and with it ${meaning}`);
  }
}

async function write<T>(once: OnceFile<T>): Promise<T> {
  const { dataDir, name } = once;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const draft = join(dataDir, `.${randomBytes(6).toString('hex')}-${name}`);
  const content = once.make();
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(content, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // The file appears whole or not at all, and only the first of several starters succeeds.
    await link(draft, join(dataDir, name));
    return content;
  } catch (error) {
    const first = hasCode(error, 'EEXIST') ? await read(once) : undefined;
    if (first) return first;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
