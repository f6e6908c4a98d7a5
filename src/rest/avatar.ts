/** A user's picture. Needs no token, because an `<img>` sends none. */
import { pipeline } from 'node:stream/promises';
import type { Express } from 'express';
import { Fault, Id } from '../protocol/index.ts';
import type { RestDeps } from './deps.ts';

export function bindAvatar(app: Express, deps: Pick<RestDeps, 'avatar' | 'limits'>): void {
  app.get('/api/users/:id/avatar', async (request, response) => {
    deps.limits.take('downloads', request.ip ?? '');
    const userId = Id.safeParse(request.params.id).data;
    const avatar = userId === undefined ? undefined : await deps.avatar(userId);
    if (avatar === undefined) throw new Fault('not_found', 'There is no such user');
    response.set({ ETag: `"${avatar.etag}"`, 'Cache-Control': 'public, max-age=300' });
    if (request.fresh) {
      response.status(304).end();
      return;
    }
    const content = await avatar.open();
    response.set({
      'Content-Type': avatar.contentType,
      // Opened by itself an SVG is a document: it may run nothing and load nothing.
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      'Cross-Origin-Resource-Policy': 'cross-origin',
    });
    if (typeof content === 'string') {
      response.send(content);
    } else if (request.method === 'HEAD') {
      content.destroy();
      response.end();
    } else {
      // A reader who leaves is no error.
      await pipeline(content, response).catch(() => response.destroy());
    }
  });
}
