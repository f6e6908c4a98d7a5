/** Binds every operation that declares an HTTP route, and the route that resumes a stream. */
import type { Express, Request, Response } from 'express';
import { Fault, Id, type Caller, type Session } from '../protocol/index.ts';
import type { RestDeps } from './deps.ts';
import { sendAnswer } from './envelope.ts';
import { createEventStreams } from './event-stream.ts';
import { bearerOf, inputOf, jsonBody } from './input.ts';
import { requestIdOf } from './request-log.ts';
import { originOf, requireSession } from './session.ts';
import { twinsOf, takesBody, type Twin } from './twins.ts';

type Deps = Pick<
  RestDeps,
  'contract' | 'call' | 'authenticate' | 'limits' | 'streams' | 'closing' | 'heartbeatMs' | 'log'
>;

export function bindOperations(app: Express, deps: Deps): void {
  const { admit, follow } = createEventStreams({
    ...deps,
    onBug: (error) => deps.log.error('An event stream broke', { error }),
  });

  const serve = async (twin: Twin, request: Request, response: Response): Promise<void> => {
    const session = await sessionFor(twin, request, deps);
    const input = inputOf(request);
    const { bearer, stream, flat } = twin.http;
    if (bearer !== undefined && input[bearer] === undefined) input[bearer] = bearerOf(request);
    const asEvents = stream === true && wantsEvents(request);
    // A stream's end is told by its last event: waiting for it first would hold the stream back.
    if (asEvents) delete input['wait'];
    if (!session && twin.operation.auth !== 'public') deps.limits.take('anonymous', originOf(request).ip);
    // Before the operation: what it makes would be there although its stream is refused.
    if (asEvents && session) admit(session.userId);
    const answer = await deps.call(twin.name, input, callerOf(request, response, session));
    if (!answer.ok || !asEvents) return sendAnswer(response, answer, flat);
    await follow(response, streamIdOf(answer.data), (session as Session).userId, 0);
  };

  for (const twin of twinsOf(deps.contract)) {
    const method = twin.method.toLowerCase() as Lowercase<Twin['method']>;
    const steps = takesBody(twin.method) || twin.method === 'DELETE' ? [jsonBody(twin.operation)] : [];
    app[method](twin.path, ...steps, (request, response) => serve(twin, request, response));
  }

  app.get('/api/streams/:streamId', async (request, response, next) => {
    if (request.method === 'HEAD') return next();
    const session = await requireSession(request, response, 'reads', deps);
    const streamId = Id.safeParse(request.params.streamId).data;
    if (streamId === undefined) throw new Fault('not_found', 'There is no such stream');
    await follow(response, streamId, session.userId, offsetOf(request, streamId));
  });
}

/**
 * Who asks. A token that is not good is refused where one is needed and counts as none where it is not: somebody whose
 * old token is still attached to every request must be able to log in or refresh. A token that cannot be checked now is
 * an error everywhere.
 */
async function sessionFor(twin: Twin, request: Request, deps: Deps): Promise<Session | undefined> {
  const token = twin.http.bearer === undefined ? bearerOf(request) : undefined;
  if (token === undefined) return undefined;
  try {
    return await deps.authenticate(token);
  } catch (error) {
    const isRefused = error instanceof Fault && error.code === 'unauthenticated';
    if (!isRefused) throw error;
    if (twin.operation.auth === 'public') return undefined;
    deps.limits.take('anonymous', originOf(request).ip);
    throw error;
  }
}

function callerOf(request: Request, response: Response, session: Session | undefined): Caller {
  response.locals['userId'] = session?.userId;
  return {
    session,
    origin: originOf(request),
    requestId: requestIdOf(response),
    onGone: (listener) => {
      const onClose = (): void => {
        if (!response.writableFinished) listener();
      };
      response.once('close', onClose);
      if (response.destroyed) onClose();
      return () => response.off('close', onClose);
    },
  };
}

const wantsEvents = (request: Request): boolean =>
  request.accepts(['application/json', 'text/event-stream']) === 'text/event-stream';

/** Where to go on: `Last-Event-ID: <streamId>:<offset>`, else `?offset=`, else the beginning. */
function offsetOf(request: Request, streamId: string): number {
  const last = request.get('Last-Event-ID');
  const text = last === undefined ? (request.query['offset'] ?? '0') : /^([0-9a-f]{24}):(\d+)$/.exec(last)?.[2];
  const offset = typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  const isOther = last !== undefined && !last.startsWith(`${streamId}:`);
  if (offset === undefined || isOther) {
    throw new Fault('invalid', 'The position is not valid', {
      detail: [{ path: last === undefined ? 'offset' : 'Last-Event-ID', message: 'must be a position in this stream' }],
    });
  }
  return offset;
}

function streamIdOf(data: unknown): string {
  return (data as { streamId: string }).streamId;
}
