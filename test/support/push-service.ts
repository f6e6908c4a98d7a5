/**
 * A push service and the browsers that are registered with it, as the specifications have them: it checks the server's
 * signature (RFC 8292: ES256 by the key in `k`, audience, expiry, subject), takes the message with its TTL, urgency and
 * topic (RFC 8030), and the browser decrypts it with its keys (RFC 8291, aes128gcm of RFC 8188). What it answers is the
 * test's choice.
 */
import { createDecipheriv, createECDH, createHmac, createPublicKey, randomBytes, verify, type ECDH } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PushDevice {
  /** What `PushSubscription.toJSON()` gives. */
  subscription: { endpoint: string; expirationTime: null; keys: { p256dh: string; auth: string } };
  /** What it has shown, oldest first. */
  shown: Delivery[];
}

export interface Delivery {
  payload: { type: string; chatId: string; messageId: string; title: string; body?: string };
  payloadBytes: number;
  ttlSeconds: number;
  urgency: string;
  topic: string | undefined;
  subject: string;
}

export type PushAnswer =
  | { status: number; retryAfter?: string }
  /** The request arrives, the answer never does. */
  | 'hang'
  /** The connection ends in the middle. */
  | 'reset';

export interface PushService extends AsyncDisposable {
  url: string;
  /** A browser that asks for the server's key. */
  device(applicationServerKey: string): PushDevice;
  /** The answers to the next requests, then 201 again. */
  answer(...answers: PushAnswer[]): void;
  /** Requests of any outcome, also refused ones, by the device's endpoint. */
  attempts(device: PushDevice): number;
  /** What was wrong with requests. */
  complaints: string[];
}

interface Registered {
  device: PushDevice;
  pair: ECDH;
  auth: Buffer;
  serverKey: string;
}

export async function startPushService(): Promise<PushService> {
  const registered = new Map<string, Registered>();
  const attempts = new Map<string, number>();
  const complaints: string[] = [];
  const answers: PushAnswer[] = [];
  let origin = '';

  const server = createServer((request, response) => {
    void serve(request, response).catch((error: unknown) => {
      complaints.push(String(error));
      response.writeHead(400).end();
    });
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const known = registered.get(path);
    attempts.set(path, (attempts.get(path) ?? 0) + 1);
    if (!known || request.method !== 'POST') return void response.writeHead(404).end();
    const answer = answers.shift() ?? { status: 201 };
    if (answer === 'hang') return;
    if (answer === 'reset') return void request.socket.destroy();
    if (answer.status === 201) known.device.shown.push(deliver(known, request, Buffer.concat(chunks)));
    const headers = answer.retryAfter === undefined ? {} : { 'Retry-After': answer.retryAfter };
    response.writeHead(answer.status, headers).end(answer.status === 201 ? '' : 'Not now');
  }

  function deliver({ pair, auth, serverKey }: Registered, request: IncomingMessage, body: Buffer): Delivery {
    const { headers } = request;
    demand(headers['content-encoding'] === 'aes128gcm', 'content encoding');
    demand(/^\d+$/.test(String(headers['ttl'])), 'TTL');
    const topic = headers['topic'];
    demand(topic === undefined || /^[A-Za-z0-9_-]{1,32}$/.test(String(topic)), 'topic');
    demand(['very-low', 'low', 'normal', 'high'].includes(String(headers['urgency'])), 'urgency');
    demand(body.length <= 4_096, 'size');
    const subject = checkVapid(String(headers.authorization), serverKey, origin);
    const plain = decrypt(body, pair, auth);
    return {
      payload: JSON.parse(plain.toString()) as Delivery['payload'],
      payloadBytes: plain.length,
      ttlSeconds: Number(headers['ttl']),
      urgency: String(headers['urgency']),
      topic: topic === undefined ? undefined : String(topic),
      subject,
    };
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: origin,
    complaints,
    device(serverKey) {
      const pair = createECDH('prime256v1');
      const p256dh = pair.generateKeys().toString('base64url');
      const auth = randomBytes(16);
      const path = `/push/${randomBytes(16).toString('base64url')}`;
      const keys = { p256dh, auth: auth.toString('base64url') };
      const device: PushDevice = {
        subscription: { endpoint: origin + path, expirationTime: null, keys },
        shown: [],
      };
      registered.set(path, { device, pair, auth, serverKey });
      return device;
    },
    answer: (...next) => void answers.push(...next),
    attempts: ({ subscription }) => attempts.get(new URL(subscription.endpoint).pathname) ?? 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function demand(fits: boolean, what: string): void {
  if (!fits) throw new Error(`The ${what} is wrong`);
}

/** `vapid t=<JWT>, k=<public key>`; returns who is responsible. */
function checkVapid(authorization: string, serverKey: string, audience: string): string {
  const match = /^vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), ?k=([\w-]+)$/.exec(authorization);
  const [, header = '', claims = '', signature = '', key = ''] = match ?? [];
  demand(key === serverKey, 'key of the server');
  const point = Buffer.from(key, 'base64url');
  demand(point.length === 65 && point[0] === 4, 'form of the key');
  const publicKey = createPublicKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: point.subarray(1, 33).toString('base64url'),
      y: point.subarray(33).toString('base64url'),
    },
  });
  const signed = Buffer.from(`${header}.${claims}`);
  const isSigned = verify(
    'sha256',
    signed,
    { key: publicKey, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  demand(isSigned, 'signature');
  const parse = (part: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
  demand(parse(header)['alg'] === 'ES256', 'algorithm');
  const { aud, exp, sub } = parse(claims);
  const inSeconds = Number(exp) - Date.now() / 1_000;
  demand(aud === audience, 'audience');
  demand(inSeconds > 0 && inSeconds <= 86_400, 'expiry');
  demand(/^(mailto|https):/.test(String(sub)), 'subject');
  return String(sub);
}

/** One record, as RFC 8291 asks. */
function decrypt(body: Buffer, pair: ECDH, authSecret: Buffer): Buffer {
  const salt = body.subarray(0, 16);
  const recordBytes = body.readUInt32BE(16);
  const keyBytes = body.readUInt8(20);
  demand(keyBytes === 65, 'key id');
  const senderKey = body.subarray(21, 21 + keyBytes);
  const record = body.subarray(21 + keyBytes);
  demand(record.length <= recordBytes, 'record size');

  const shared = pair.computeSecret(senderKey);
  const info = Buffer.concat([Buffer.from('WebPush: info\0'), pair.getPublicKey(), senderKey]);
  const keyMaterial = expand(hmac(authSecret, shared), info, 32);
  const prk = hmac(salt, keyMaterial);
  const key = expand(prk, Buffer.from('Content-Encoding: aes128gcm\0'), 16);
  const nonce = expand(prk, Buffer.from('Content-Encoding: nonce\0'), 12);

  const decipher = createDecipheriv('aes-128-gcm', key, nonce);
  decipher.setAuthTag(record.subarray(-16));
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()]);
  const end = padded.findLastIndex((byte) => byte !== 0);
  demand(padded[end] === 2, 'delimiter of the last record');
  return padded.subarray(0, end);
}

const hmac = (key: Buffer, data: Buffer): Buffer => createHmac('sha256', key).update(data).digest();
const expand = (prk: Buffer, info: Buffer, bytes: number): Buffer =>
  hmac(prk, Buffer.concat([info, Buffer.from([1])])).subarray(0, bytes);
