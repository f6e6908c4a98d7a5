/** Gives every request an id and, when it has ended, one log line and one measurement: the route's pattern, never its address. */
import { randomUUID } from 'node:crypto';
import type { RequestHandler, Response } from 'express';
import type { RestDeps } from './deps.ts';

/** Probes come every few seconds and say nothing new. */
const QUIET = new Set(['/livez', '/readyz', '/metrics']);

export function requestLog(deps: Pick<RestDeps, 'log' | 'metrics'>): RequestHandler {
  return (request, response, next) => {
    const startedAt = performance.now();
    const given = request.get('x-request-id');
    const requestId = given !== undefined && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
    response.locals['requestId'] = requestId;
    response.set('x-request-id', requestId);
    response.once('close', () => {
      const route = routeOf(request.route);
      const { statusCode: status, writableFinished } = response;
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
      deps.metrics.httpRequest({ method: request.method, route, status, durationMs });
      const fields = {
        method: request.method,
        route,
        status,
        durationMs,
        requestId,
        userId: response.locals['userId'],
      };
      const level = QUIET.has(route) ? 'debug' : 'info';
      deps.log[level]('request', writableFinished ? fields : { ...fields, outcome: 'aborted' });
    });
    next();
  };
}

export const requestIdOf = (response: Response): string => String(response.locals['requestId']);

const routeOf = (route: unknown): string => {
  const path = (route as { path?: unknown } | undefined)?.path;
  return typeof path === 'string' ? path : 'unmatched';
};
