/**
 * Web push: encrypted for the device (RFC 8291), signed with the server's key (RFC 8292), posted to the device's push
 * service. That address comes from a client, so it must be public: the name is resolved and checked for each connection.
 */
import { ECDH } from 'node:crypto';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS } from '../../protocol/index.ts';
import { guardedLookup, hostOf, isLoopback, isPublicAddress, NotPublic } from './public-address.ts';
import type { PushMessage, PushOutcome, PushSender, PushTarget } from './push-sender.ts';

export interface WebPushOptions {
  publicKey: string;
  privateKey: string;
  /** Who is responsible, for the operators of push services: an https: or mailto: URL. */
  subject: string;
  /** For development: push services on this machine, also without TLS. */
  allowLoopback: boolean;
  timeoutMs?: number;
  log: Log;
}

type WebPushLibrary = Pick<typeof import('web-push'), 'generateRequestDetails'>;

/** Sockets to one push service. */
const SOCKETS = 20;

export function createWebPushSender(options: WebPushOptions): PushSender {
  const { publicKey, privateKey, subject, allowLoopback, timeoutMs = LIMITS.pushTimeoutMs, log } = options;
  const mayReach = (address: string): boolean => isPublicAddress(address) || (allowLoopback && isLoopback(address));
  const lookup = guardedLookup(mayReach);
  const secure = new HttpsAgent({ keepAlive: true, maxSockets: SOCKETS });
  const plain = new HttpAgent({ keepAlive: true, maxSockets: SOCKETS });
  // Loaded when the first notification is sent.
  let library: Promise<WebPushLibrary> | undefined;

  function mayUse(url: URL): boolean {
    const host = hostOf(url);
    const isLocal = allowLoopback && (host === 'localhost' || (isIP(host) !== 0 && isLoopback(host)));
    if (url.username !== '' || url.password !== '') return false;
    if (isLocal) return url.protocol === 'https:' || url.protocol === 'http:';
    return url.protocol === 'https:' && (isIP(host) === 0 || mayReach(host));
  }

  async function prepare({ endpoint, p256dh, auth }: PushTarget, message: PushMessage) {
    const webPush = await (library ??= load());
    return webPush.generateRequestDetails({ endpoint, keys: { p256dh, auth } }, message.payload, {
      vapidDetails: { subject, publicKey, privateKey },
      contentEncoding: 'aes128gcm',
      TTL: message.ttlSeconds,
      urgency: message.urgency,
      topic: message.topic,
    });
  }

  function post(url: URL, headers: object, body: Buffer, signal: AbortSignal): Promise<IncomingMessage> {
    const isSecure = url.protocol === 'https:';
    return new Promise((answered, failed) => {
      const request = (isSecure ? httpsRequest : httpRequest)(
        url,
        { method: 'POST', headers: { ...headers }, agent: isSecure ? secure : plain, lookup, signal },
        answered,
      );
      request.on('error', failed);
      request.end(body);
    });
  }

  return {
    publicKey,

    check({ endpoint, p256dh }) {
      if (!mayUse(new URL(endpoint))) throw notUsable('subscription.endpoint', 'must be a public https address');
      try {
        ECDH.convertKey(p256dh, 'prime256v1', 'base64url', 'hex');
      } catch {
        throw notUsable('subscription.keys.p256dh', 'must be a point of the curve P-256');
      }
    },

    async send(target, message, signal) {
      const url = new URL(target.endpoint);
      if (!mayUse(url)) return { kind: 'gone' };
      try {
        const { headers, body } = await prepare(target, message);
        const deadline = startDeadline(signal, timeoutMs);
        const response = await post(url, headers, body, deadline.signal).catch((error: unknown) => {
          deadline.clear();
          throw error;
        });
        // What it says besides is not wanted; the deadline also ends one that never stops.
        response.on('error', () => {}).on('close', deadline.clear);
        response.resume();
        return outcomeOf(response);
      } catch (error) {
        // Nothing can be sent to an address of this network, or with a key that is none.
        if (error instanceof NotPublic || isKeyError(error)) return { kind: 'gone' };
        if (!signal.aborted) log.debug('A push service did not answer', { host: url.host, error });
        return { kind: 'later', retryAfterMs: undefined };
      }
    },

    close() {
      secure.destroy();
      plain.destroy();
    },
  };
}

/**
 * Aborts with `signal`, or after `timeoutMs`. Node 20 may collect an `AbortSignal.any` of a timeout while a request still
 * waits for it, and the request never ends then.
 */
function startDeadline(signal: AbortSignal, timeoutMs: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  const stop = (): void => controller.abort(signal.reason);
  const timer = setTimeout(() => controller.abort(new Error(`No answer within ${timeoutMs} ms`)), timeoutMs);
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  return {
    signal: controller.signal,
    clear: () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    },
  };
}

/** It is a CommonJS module, whose names an import may find as its default only. */
async function load(): Promise<WebPushLibrary> {
  const module = (await import('web-push')) as WebPushLibrary & { default?: WebPushLibrary };
  return module.default ?? module;
}

function outcomeOf({ statusCode: status = 0, headers }: IncomingMessage): PushOutcome {
  if (status >= 200 && status < 300) return { kind: 'sent' };
  if (status === 404 || status === 410) return { kind: 'gone' };
  if (status === 429 || status === 408 || status >= 500) {
    return { kind: 'later', retryAfterMs: retryAfterMs(headers['retry-after']) };
  }
  return { kind: 'refused', status };
}

/** Seconds, or a date. */
function retryAfterMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

const isKeyError = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ERR_CRYPTO_ECDH_INVALID_PUBLIC_KEY';

const notUsable = (path: string, message: string): Fault =>
  new Fault('invalid', 'The subscription cannot be used', { detail: [{ path, message }] });
