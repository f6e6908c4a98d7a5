/**
 * Gets things from a registry and from where it says its files are. Nothing that it is told leads to this machine or its
 * networks, unless the registry itself is there because whoever runs this server put it there.
 */
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { networkInterfaces } from 'node:os';
import { isIP } from 'node:net';
import { pipeline, Transform, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Fault } from '../../protocol/index.ts';
import { guardedLookup, hostOf, isPublicAddress } from '../push/public-address.ts';
import type { Registry } from './registry.ts';
import { UpstreamAgents } from './upstream-agent.ts';

export interface UpstreamRequest {
  url: URL;
  accept: string;
  /** Of what is here already. */
  etag?: string | undefined;
  lastModified?: string | undefined;
  maxBytes: number;
  /** For all of it. */
  deadlineMs: number;
}

export interface UpstreamAnswer {
  /** Where it came from in the end. */
  url: URL;
  /** Undefined: what is here is still right. */
  body: Readable | undefined;
  etag: string | undefined;
  lastModified: string | undefined;
  contentType: string | undefined;
  /** Seconds for which it need not be asked for again; undefined where nothing is said of it. */
  maxAgeSeconds: number | undefined;
}

const REDIRECTS = 5;
/** A registry or a proxy that says nothing for so long is gone. */
const SILENCE_MS = 30_000;
const AGENT_NAME = 'atelier-packages';

export class Upstream {
  readonly #registry: Registry;
  readonly #agents: UpstreamAgents;

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#agents = new UpstreamAgents(registry);
  }

  close(): void {
    this.#agents.close();
  }

  /** Rejects with `not_found`, or `upstream` where the registry cannot be asked. The body fails where it is cut off or too long. */
  async get(wanted: UpstreamRequest): Promise<UpstreamAnswer> {
    const signal = AbortSignal.timeout(wanted.deadlineMs);
    let { url } = wanted;
    for (let redirects = 0; redirects <= REDIRECTS; redirects++) {
      const response = await this.#ask(url, wanted, signal);
      const { statusCode = 0, headers } = response;
      const { location } = headers;
      if (statusCode >= 300 && statusCode < 400 && statusCode !== 304 && location !== undefined) {
        response.destroy();
        if (!URL.canParse(location, url.href)) throw new Fault('upstream', 'The registry redirects to no address');
        url = new URL(location, url);
        continue;
      }
      if (statusCode === 304 || statusCode === 200) return this.#answer(url, response, wanted.maxBytes);
      response.destroy();
      if (statusCode === 404 || statusCode === 410) throw new Fault('not_found', 'The registry has no such package');
      throw new Fault('upstream', `The registry answered ${statusCode}`);
    }
    throw new Fault('upstream', 'The registry redirects without end');
  }

  async #ask(url: URL, wanted: UpstreamRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const isOwn = url.origin === this.#registry.baseUrl.origin;
    if (!isOwn) assertElsewhere(url);
    const { authorization } = this.#registry;
    const { proxyHeaders, ...options } = this.#agents.optionsFor(url, isOwn ? {} : { lookup: guardedLookup(mayReach) });
    const headers = {
      host: url.host,
      accept: wanted.accept,
      'accept-encoding': 'gzip',
      'user-agent': AGENT_NAME,
      ...(isOwn && authorization !== undefined ? { authorization } : {}),
      ...(wanted.etag === undefined ? {} : { 'if-none-match': wanted.etag }),
      ...(wanted.lastModified === undefined ? {} : { 'if-modified-since': wanted.lastModified }),
      ...(proxyHeaders as Record<string, string> | undefined),
    };
    const target = { protocol: url.protocol, hostname: hostOf(url), port: url.port, path: url.pathname + url.search };
    const send = (): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const request = url.protocol === 'https:' ? requestHttps : requestHttp;
        const asked = request({ ...target, ...options, headers, signal, timeout: SILENCE_MS });
        asked.once('response', resolve);
        asked.on('error', (error) => reject(asked.reusedSocket ? new OldConnection(error) : error));
        asked.once('timeout', () => asked.destroy(new Error('The registry does not answer')));
        asked.end();
      });
    try {
      // A connection that was kept may have been closed in the same moment.
      return await send().catch((error: unknown) => {
        if (error instanceof OldConnection && !signal.aborted) return send();
        throw error;
      });
    } catch (cause) {
      throw new Fault('upstream', 'The registry cannot be reached', { cause });
    }
  }

  #answer(url: URL, response: IncomingMessage, maxBytes: number): UpstreamAnswer {
    const { statusCode, headers } = response;
    const [, maxAge] = /(?:^|[\s,])max-age=(\d{1,9})(?![\d.])/.exec(headers['cache-control'] ?? '') ?? [];
    const answer = {
      url,
      etag: headers.etag,
      lastModified: headers['last-modified'],
      contentType: headers['content-type'],
      maxAgeSeconds: maxAge === undefined ? undefined : Number(maxAge),
    };
    if (statusCode === 304) {
      response.resume();
      return { ...answer, body: undefined };
    }
    const encoding = headers['content-encoding'] ?? 'identity';
    const isKnown = ['identity', 'gzip', 'x-gzip'].includes(encoding);
    if (!isKnown || Number(headers['content-length']) > maxBytes) {
      response.destroy();
      throw isKnown ? tooLarge() : new Fault('upstream', 'The registry answers in an encoding that was not asked for');
    }
    const ignored = (): void => {};
    const unpacked = encoding === 'identity' ? response : pipeline(response, createGunzip(), ignored);
    return { ...answer, body: pipeline(unpacked, atMost(maxBytes), ignored) };
  }
}

class OldConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

const tooLarge = (): Fault => new Fault('too_large', 'The package is larger than sandboxes may get');

function atMost(maxBytes: number): Transform {
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) done(tooLarge());
      else done(null, chunk);
    },
  });
}

/** What a registry names: files on another host, a redirect. */
function assertElsewhere(url: URL): void {
  const host = hostOf(url).toLowerCase();
  const isLocal =
    isIP(host) === 0 ? !host.includes('.') || /(^|\.)(localhost|local|internal)\.?$/.test(host) : !mayReach(host);
  if (isLocal || !/^https?:$/.test(url.protocol))
    throw new Fault('upstream', 'The registry leads to an address that is not public');
}

function mayReach(address: string): boolean {
  const own = Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === address));
  return isPublicAddress(address) && !own;
}
