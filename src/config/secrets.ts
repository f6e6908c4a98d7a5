/**
 * The secrets of a deployment. Given ones are used as they are; missing ones are generated once into the data directory
 * (off production only: `loadConfig` sees to that).
 */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { readOrMake } from './once-file.ts';
import { makeVapidKeys, type VapidKeys } from './vapid-keys.ts';

export interface Secrets {
  jwtSecret: string;
  authPepper: string;
}

export interface SecretsOptions {
  dataDir: string;
  jwtSecret?: string | undefined;
  authPepper?: string | undefined;
}

export interface VapidOptions {
  dataDir: string;
  production: boolean;
  vapidPublicKey?: string | undefined;
  vapidPrivateKey?: string | undefined;
}

const Stored = z.object({ jwtSecret: z.string().min(32), authPepper: z.string().min(32) });
const StoredPair = z.object({ publicKey: z.string().length(87), privateKey: z.string().length(43) });

/** Rejects when the directory cannot be written or its `secrets.json` is damaged; a damaged one is never replaced. */
export async function loadSecrets({ dataDir, jwtSecret, authPepper }: SecretsOptions): Promise<Secrets> {
  if (jwtSecret !== undefined && authPepper !== undefined) return { jwtSecret, authPepper };
  const stored = await readOrMake<Secrets>({
    dataDir,
    name: 'secrets.json',
    schema: Stored,
    make: () => ({ jwtSecret: random(), authPepper: random() }),
    meaning: 'all passwords and sessions',
  });
  return { jwtSecret: jwtSecret ?? stored.jwtSecret, authPepper: authPepper ?? stored.authPepper };
}

/** What push is signed with; undefined in production where it is not given: push is off. Rejects as `loadSecrets` does. */
export async function loadVapidKeys(options: VapidOptions): Promise<VapidKeys | undefined> {
  const { dataDir, production, vapidPublicKey: publicKey, vapidPrivateKey: privateKey } = options;
  if (publicKey !== undefined && privateKey !== undefined) return { publicKey, privateKey };
  if (production) return undefined;
  return readOrMake<VapidKeys>({
    dataDir,
    name: 'vapid.json',
    schema: StoredPair,
    make: makeVapidKeys,
    meaning: 'all push subscriptions',
  });
}

const random = (): string => randomBytes(48).toString('base64url');
