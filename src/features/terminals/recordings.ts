/** Where recordings are kept: the last one of each terminal, until its project goes. */
import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Limits } from '../../cluster/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { createSignedAddresses, serveBlob, type SignedAddresses } from '../uploads/index.ts';
import { TerminalId } from './contract.ts';
import { projectOf } from './terminal-id.ts';

const FOLDER = 'terminal-recordings';
const CONTENT_TYPE = 'application/x-asciicast';

export interface RecordingsDeps {
  blobs: Blobs;
  limits: Pick<Limits, 'take'>;
  secret: string;
  now: () => number;
}

const Signed = z.object({ expires: z.string(), signature: z.string() });
const keyOf = (terminalId: string): string => `${FOLDER}/${projectOf(terminalId)}/${terminalId}.cast`;

export class Recordings {
  readonly #blobs: Blobs;
  readonly #limits: Pick<Limits, 'take'>;
  readonly #addresses: SignedAddresses;

  constructor({ blobs, limits, secret, now }: RecordingsDeps) {
    this.#blobs = blobs;
    this.#limits = limits;
    this.#addresses = createSignedAddresses({
      secret,
      purpose: 'terminal-recordings',
      lifetimeMs: LIMITS.terminalRecordingUrlMs,
      now,
    });
  }

  async store(terminalId: string, content: Uint8Array): Promise<void> {
    await this.#blobs.put(keyOf(terminalId), content, { contentType: CONTENT_TYPE });
  }

  /** The last one that has ended, if there is one. */
  async find(terminalId: string): Promise<{ sizeBytes: number; url: string; urlExpiresAt: string } | undefined> {
    const stat = await this.#blobs.stat(keyOf(terminalId));
    if (!stat) return undefined;
    const { query, expiresAt } = this.#addresses.sign(terminalId);
    const url = `/api/terminals/${terminalId}/recording?${query}`;
    return { sizeBytes: stat.sizeBytes, url, urlExpiresAt: expiresAt };
  }

  /** For good. Repeatable. */
  async removeOfProject(projectId: string): Promise<void> {
    for (;;) {
      const { items, next } = await this.#blobs.list(`${FOLDER}/${projectId}/`);
      for (const { key } of items) await this.#blobs.remove(key);
      if (next === null) return;
    }
  }

  /** `GET /api/terminals/:terminalId/recording`, by a signed address only. */
  routes(): Router {
    const router = Router();
    router.get('/api/terminals/:terminalId/recording', (request, response) => this.#serve(request, response));
    return router;
  }

  async #serve(request: Request<{ terminalId: string }>, response: Response): Promise<void> {
    const missing = (): Fault => new Fault('not_found', 'There is no such recording');
    const terminalId = TerminalId.safeParse(request.params.terminalId).data;
    const signed = Signed.safeParse(request.query).data;
    if (terminalId === undefined || !signed || !this.#addresses.isGood(signed, terminalId)) throw missing();
    this.#limits.take('downloads', request.ip ?? '');
    const key = keyOf(terminalId);
    const stat = await this.#blobs.stat(key);
    if (!stat) throw missing();
    await serveBlob(request, response, {
      contentType: CONTENT_TYPE,
      disposition: 'attachment',
      name: 'terminal.cast',
      sizeBytes: stat.sizeBytes,
      etag: stat.etag,
      open: async (range) => (await this.#blobs.get(key, range))?.body,
      missing,
    });
  }
}
