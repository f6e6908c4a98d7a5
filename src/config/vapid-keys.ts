/** The pair of keys that push services know a server by: a point and a number of the curve P-256, base64url. */
import { createECDH } from 'node:crypto';

export interface VapidKeys {
  publicKey: string;
  privateKey: string;
}

const CURVE = 'prime256v1';
const PRIVATE_BYTES = 32;

export function makeVapidKeys(): VapidKeys {
  const pair = createECDH(CURVE);
  const publicKey = pair.generateKeys();
  // A number that begins with zeros comes shorter.
  const privateKey = Buffer.alloc(PRIVATE_BYTES);
  const bytes = pair.getPrivateKey();
  bytes.copy(privateKey, PRIVATE_BYTES - bytes.length);
  return { publicKey: publicKey.toString('base64url'), privateKey: privateKey.toString('base64url') };
}

/** Whether the keys are a pair. */
export function arePair({ publicKey, privateKey }: VapidKeys): boolean {
  try {
    const pair = createECDH(CURVE);
    pair.setPrivateKey(Buffer.from(privateKey, 'base64url'));
    return pair.getPublicKey().equals(Buffer.from(publicKey, 'base64url'));
  } catch {
    return false;
  }
}
