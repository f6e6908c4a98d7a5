/** The end of the road for a request: what nobody answered, and whatever was thrown on the way. */
import type { ErrorRequestHandler, Request, RequestHandler } from 'express';
import { Fault, LIMITS, toFault } from '../protocol/index.ts';
import type { RestDeps } from './deps.ts';
import { sendFault } from './envelope.ts';
import { requestIdOf } from './request-log.ts';

/** A wrong method on a known path answers the same: that path has nothing there for it. */
export const nothingHere: RequestHandler = (request) => {
  throw new Fault('not_found', `There is no ${request.method} ${request.path.slice(0, 200)}`);
};

/** Answers faults as they are; a bug is logged with its cause and answered without a word of it. */
export function errorBoundary({
  log,
  explain = (error) => error,
}: Pick<RestDeps, 'log' | 'explain'>): ErrorRequestHandler {
  // Express knows an error handler by its four parameters.
  return (error: unknown, request, response, _next) => {
    if (response.destroyed) return;
    const fault = faultOf(explain(error));
    if (fault.code === 'internal') {
      log.error('A request broke', { error, requestId: requestIdOf(response), method: request.method });
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    sendFault(response, fault);
    if (!request.complete) discardRest(request);
  };
}

/**
 * A client that still sends may not read its answer before it is done. What is left of its body is thrown away, but not
 * for ever.
 */
function discardRest(request: Request): void {
  const cut = (): void => void request.socket.destroy();
  const timer = setTimeout(cut, LIMITS.refusedBodyMs).unref();
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LIMITS.refusedBodyBytes) cut();
  });
  request.once('close', () => clearTimeout(timer));
  request.resume();
}

/** Express and its body parser throw errors with a `status` and a `type`; their messages may quote the request. */
function faultOf(error: unknown): Fault {
  if (error instanceof Fault || typeof error !== 'object' || error === null) return toFault(error);
  const { status, type } = error as { status?: unknown; type?: unknown };
  if (type === 'entity.too.large') return new Fault('too_large', 'The body is too large');
  if (type === 'entity.parse.failed') {
    return new Fault('invalid', 'The body is not valid JSON', {
      detail: [{ path: '', message: 'must be valid JSON' }],
    });
  }
  if (status === 415) return new Fault('unsupported', 'This encoding or charset is not supported');
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Fault('invalid', 'The request is malformed', { detail: [] });
  }
  return toFault(error);
}
