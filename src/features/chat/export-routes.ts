/** `GET /api/chats/:chatId/export`: the chat as a file, for its members. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import type { Audit } from '../../observability/audit.ts';
import { Fault, Id, type RateClass, type Session } from '../../protocol/index.ts';
import { exportChat, type ExportDeps, type ExportFormat } from './export.ts';
import type { Memberships } from './memberships.ts';
import type { Views } from './views.ts';

/** What the REST side lends to a feature's own routes. */
export interface RouteTools {
  session: (request: Request, response: Response, rate: RateClass) => Promise<Session>;
}

export interface ExportRoutesDeps extends Omit<ExportDeps, 'check'> {
  memberships: Pick<Memberships, 'require' | 'userIds'>;
  views: Pick<Views, 'record'>;
  audit: Audit;
}

const Format = z.enum(['json', 'markdown']);
const FILES: Record<ExportFormat, { contentType: string; suffix: string }> = {
  json: { contentType: 'application/json; charset=utf-8', suffix: 'json' },
  markdown: { contentType: 'text/markdown; charset=utf-8', suffix: 'md' },
};

export function createExportRoutes(deps: ExportRoutesDeps): (tools: RouteTools) => Router {
  const { memberships, views, audit } = deps;

  return ({ session }) => {
    const router = Router();
    router.get('/api/chats/:chatId/export', async (request, response) => {
      const { userId } = await session(request, response, 'downloads');
      const chatId = Id.safeParse(request.params.chatId).data;
      if (chatId === undefined) throw new Fault('not_found', 'There is no such chat');
      await memberships.require(chatId, userId);
      const format = formatOf(request.query['format'] ?? 'json');
      const chat = await views.record(chatId);
      const memberIds = await memberships.userIds(chat._id);
      audit.record({ action: 'chat.export', userId, target: chatId, ok: true, detail: { format } });

      const { contentType, suffix } = FILES[format];
      response.set({
        'Content-Type': contentType,
        'Content-Disposition': `attachment; filename="chat-${chatId}.${suffix}"`,
      });
      const leaving = new AbortController();
      response.once('close', () => leaving.abort());
      const check = (): Promise<unknown> => memberships.require(chatId, userId);
      const text = exportChat(chat, memberIds, format, leaving.signal, { ...deps, check });
      // Whoever leaves ends it; what breaks in the middle breaks the connection, so that no part passes for the whole.
      await pipeline(Readable.from(text, { objectMode: false }), response).catch((error: unknown) => {
        if (!response.headersSent) throw error;
      });
    });
    return router;
  };
}

function formatOf(value: unknown): ExportFormat {
  const { success, data } = Format.safeParse(value);
  if (success) return data;
  const message = 'must be json or markdown';
  throw new Fault('invalid', `The format ${message}`, { detail: [{ path: 'format', message }] });
}
