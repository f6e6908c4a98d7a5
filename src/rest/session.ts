/** Who asks, for the routes that are no operation's twin. */
import type { Request, Response } from 'express';
import { Fault, type Caller, type RateClass, type Session } from '../protocol/index.ts';
import type { RestDeps } from './deps.ts';
import { bearerOf } from './input.ts';

/** The caller of a bearer token, who pays a point of the rate; else `unauthenticated`, which the address pays for. */
export async function requireSession(
  request: Request,
  response: Response,
  rate: RateClass,
  deps: Pick<RestDeps, 'authenticate' | 'limits'>,
): Promise<Session> {
  const token = bearerOf(request);
  let session: Session;
  try {
    if (token === undefined) throw new Fault('unauthenticated', 'Sign in first');
    session = await deps.authenticate(token);
  } catch (error) {
    deps.limits.take('anonymous', originOf(request).ip);
    throw error;
  }
  response.locals['userId'] = session.userId;
  deps.limits.take(rate, session.userId);
  return session;
}

export const originOf = (request: Request): Caller['origin'] => ({
  ip: request.ip ?? '',
  userAgent: (request.headers['user-agent'] ?? '').slice(0, 256),
});
