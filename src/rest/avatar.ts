/** A user's picture. Needs no token, because an `<img>` sends none. */
import { createHash } from 'node:crypto';
import type { Express } from 'express';
import { Fault, Id } from '../protocol/index.ts';
import type { RestDeps } from './deps.ts';

export function bindAvatar(app: Express, deps: Pick<RestDeps, 'avatar' | 'limits'>): void {
  app.get('/api/users/:id/avatar', async (request, response) => {
    deps.limits.take('reads', request.ip ?? '');
    const userId = Id.safeParse(request.params.id).data;
    const svg = userId === undefined ? undefined : await deps.avatar(userId);
    if (svg === undefined) throw new Fault('not_found', 'There is no such user');
    response.set({
      'Content-Type': 'image/svg+xml; charset=utf-8',
      // Opened by itself an SVG is a document: it may run nothing and load nothing.
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      'Cross-Origin-Resource-Policy': 'cross-origin',
      'Cache-Control': 'public, max-age=300',
      ETag: `"${createHash('sha256').update(svg).digest('base64url').slice(0, 22)}"`,
    });
    response.send(svg);
  });
}
