/** Uploading and downloading attachments. */
import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { Fault, Id, LIMITS, type RateClass, type Session } from '../../protocol/index.ts';
import type { Limits } from '../../cluster/limits.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { receiveFile } from '../uploads/index.ts';
import type { AttachmentStore } from './attachment-store.ts';
import type { Arrived, Intake } from './intake.ts';
import { infoOf, type StoredAttachment } from './model.ts';
import { serveAttachment } from './serve.ts';
import type { SignedUrls } from './signed-urls.ts';

/** What the REST side lends to a feature's own routes. */
export interface RouteTools {
  /** The signed-in caller, who pays a point of the rate. Rejects with `unauthenticated`. */
  session: (request: Request, response: Response, rate: RateClass) => Promise<Session>;
  /** Sends data in the envelope. */
  answer: (response: Response, data: unknown) => void;
}

export interface AttachmentRoutesDeps {
  store: AttachmentStore;
  intake: Intake;
  blobs: Blobs;
  urls: SignedUrls;
  limits: Pick<Limits, 'take'>;
  /** Rejects with `not_found`. */
  requireMember: (chatId: string, userId: string) => Promise<unknown>;
}

const Kind = z.enum(['image', 'file', 'voice']).optional();
const Signed = z.object({ expires: z.string(), signature: z.string() });

export function createAttachmentRoutes(deps: AttachmentRoutesDeps): (tools: RouteTools) => Router {
  const { store, intake, blobs, urls, limits, requireMember } = deps;

  return ({ session, answer }) => {
    const router = Router();

    router.post('/api/attachments', async (request, response) => {
      const { userId } = await session(request, response, 'uploads');
      const { kind: inQuery } = request.query;
      const { stored, fields } = await receiveFile<Arrived>(request, response, {
        maxBytes: LIMITS.fileBytes,
        store: (file) => intake.store(userId, file, kindOf(inQuery ?? file.fields['kind'])),
        discard: (arrived) => intake.discard(arrived),
      });
      const kind = await orDiscard(stored, () => kindOf(inQuery ?? fields['kind']));
      const { id, ...info } = infoOf(await intake.finish(stored, kind));
      answer(response, { attachmentId: id, ...info, ...urls.sign(id) });
    });

    router.get('/api/attachments/:id', async (request, response) => {
      const id = Id.safeParse(request.params.id).data ?? '';
      const isSigned = isGoodAddress(request, id);
      if (isSigned) limits.take('downloads', request.ip ?? '');
      const caller = isSigned ? undefined : await session(request, response, 'downloads');
      const attachment = id === '' ? undefined : await store.find(id);
      if (!attachment) throw new Fault('not_found', 'There is no such attachment');
      if (caller) await requireReader(attachment, caller.userId);
      await serveAttachment(request, response, { attachment, blobs });
    });

    return router;
  };

  async function orDiscard<T>(arrived: Arrived, step: () => T): Promise<T> {
    try {
      return step();
    } catch (error) {
      await intake.discard(arrived);
      throw error;
    }
  }

  function isGoodAddress(request: Request, id: string): boolean {
    const signed = Signed.safeParse(request.query).data;
    return signed !== undefined && urls.isGood(id, signed);
  }

  /** Before it is sent, its uploader; then the members of its chat. */
  async function requireReader({ userId, chatId }: StoredAttachment, callerId: string): Promise<void> {
    const missing = new Fault('not_found', 'There is no such attachment');
    if (!chatId) {
      if (userId.toHexString() !== callerId) throw missing;
      return;
    }
    await requireMember(chatId.toHexString(), callerId).catch((error: unknown) => {
      throw error instanceof Fault && error.code === 'not_found' ? missing : error;
    });
  }
}

function kindOf(value: unknown): z.output<typeof Kind> {
  const kind = Kind.safeParse(value);
  if (kind.success) return kind.data;
  throw new Fault('invalid', 'There is no such kind', {
    detail: [{ path: 'kind', message: 'must be image, file or voice' }],
  });
}
