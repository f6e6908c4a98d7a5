/**
 * The two secrets of a deployment. Given ones are used as they are; missing ones (off production only, `loadConfig` sees
 * to that) are generated once into the data directory, and processes that start for the first time together agree on them.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

export interface Secrets {
  jwtSecret: string;
  authPepper: string;
}

export interface SecretsOptions {
  dataDir: string;
  jwtSecret?: string | undefined;
  authPepper?: string | undefined;
}

const Stored = z.object({ jwtSecret: z.string().min(32), authPepper: z.string().min(32) });

/** Rejects when the directory cannot be written or its `secrets.json` is damaged; a damaged one is never replaced. */
export async function loadSecrets({ dataDir, jwtSecret, authPepper }: SecretsOptions): Promise<Secrets> {
  if (jwtSecret !== undefined && authPepper !== undefined) return { jwtSecret, authPepper };
  const file = join(dataDir, 'secrets.json');
  const stored = (await read(file)) ?? (await generate(dataDir, file));
  return { jwtSecret: jwtSecret ?? stored.jwtSecret, authPepper: authPepper ?? stored.authPepper };
}

async function read(file: string): Promise<Secrets | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return Stored.parse(JSON.parse(text));
  } catch {
    // Without the cause: its text may hold a part of the file.
    throw new Error(`${file} is damaged; restore it, or remove it and with it all passwords and sessions`);
  }
}

async function generate(dataDir: string, file: string): Promise<Secrets> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const draft = join(dataDir, `.secrets-${randomBytes(6).toString('hex')}.json`);
  const secrets: Secrets = { jwtSecret: random(), authPepper: random() };
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${JSON.stringify(secrets, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // The file appears whole or not at all, and only the first of several starters succeeds.
    await link(draft, file);
    return secrets;
  } catch (error) {
    const first = hasCode(error, 'EEXIST') ? await read(file) : undefined;
    if (first) return first;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

const random = (): string => randomBytes(48).toString('base64url');

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
