/** What operators ask: is it alive, ready, healthy, how is it doing; and, in development, what it would have sent. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Express, Request } from 'express';
import { Fault } from '../protocol/index.ts';
import type { RestDeps } from './deps.ts';
import { sendAnswer } from './envelope.ts';
import { bearerOf } from './input.ts';

type Deps = Pick<
  RestDeps,
  'health' | 'isReady' | 'metricsText' | 'metricsToken' | 'outbox' | 'production' | 'serverId'
>;

export function bindProbes(app: Express, deps: Deps): void {
  const { serverId } = deps;

  app.get('/livez', (_request, response) => {
    response.json({ status: 'ok', serverId });
  });

  app.get('/readyz', async (_request, response) => {
    const isReady = await deps.isReady();
    response.status(isReady ? 200 : 503).json({ status: isReady ? 'ok' : 'unavailable', serverId });
  });

  app.get('/health', async (_request, response) => {
    const health = await deps.health();
    response.status(health.status === 'down' ? 503 : 200).json(health);
  });

  app.get('/metrics', async (request, response) => {
    if (deps.metricsToken !== undefined) {
      if (!isSame(bearerOf(request) ?? '', deps.metricsToken))
        throw new Fault('unauthenticated', 'Wrong metrics token');
    } else if (!isThisMachine(request)) {
      throw new Fault('forbidden', 'Without METRICS_TOKEN only this machine may read the metrics');
    }
    const { contentType, body } = await deps.metricsText();
    response.set('Content-Type', contentType).send(body);
  });

  const { outbox } = deps;
  if (deps.production || !outbox) return;
  app.get('/dev/outbox', (request, response, next) => {
    if (!isThisMachine(request)) return next();
    sendAnswer(response, { ok: true, data: { items: outbox() } });
  });
}

/**
 * Asked from this machine itself: not through a proxy that runs here, and not by a page whose name was made to point
 * here (its Host header betrays it).
 */
function isThisMachine(request: Request): boolean {
  const address = request.socket.remoteAddress ?? '';
  const isLoopback = address === '::1' || /^(::ffff:)?127\./.test(address);
  const isForwarded = ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'].some((name) => name in request.headers);
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  return isLoopback && !isForwarded && /^(localhost|\[::1\]|127(\.\d{1,3}){3})$/i.test(host);
}

/** Compares in constant time, whatever the lengths. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
