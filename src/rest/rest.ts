/** The HTTP side: one twin for each operation that declares a route, streams, pictures, probes, and the generated documents. */
import compression from 'compression';
import cors from 'cors';
import express, { type Express } from 'express';
import helmet from 'helmet';
import { bindAvatar } from './avatar.ts';
import type { RestDeps, RouteTools } from './deps.ts';
import { bindDocuments } from './documents.ts';
import { sendAnswer } from './envelope.ts';
import { errorBoundary, nothingHere } from './errors.ts';
import { bindOperations } from './operations.ts';
import { bindProbes } from './probes.ts';
import { requestLog } from './request-log.ts';
import { requireSession } from './session.ts';

/** Builds the app; it listens on nothing and owns nothing but the open event streams, which end with `deps.closing`. */
export function createRest(deps: RestDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', deps.trustProxyHops === 0 ? false : deps.trustProxyHops);
  app.set('query parser', 'simple');
  // Only what may be cached has a tag, and sets it itself.
  app.set('etag', false);

  app.use(requestLog(deps));
  app.use(
    helmet({
      contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
      strictTransportSecurity: deps.production,
    }),
  );
  app.use((_request, response, next) => {
    response.vary('Origin');
    response.set('Cache-Control', 'no-store');
    next();
  });
  app.use(
    cors({
      origin: (origin, decide) => decide(null, origin === undefined || deps.allowedOrigins(origin)),
      methods: ['GET', 'POST', 'PUT', 'DELETE'],
      allowedHeaders: ['Authorization', 'Content-Type', 'Last-Event-ID', 'Range', 'X-Request-Id'],
      exposedHeaders: ['Content-Disposition', 'Content-Range', 'ETag', 'Retry-After', 'X-Request-Id'],
      maxAge: 600,
    }),
  );
  app.use(
    compression({
      filter: (request, response) =>
        !String(response.getHeader('Content-Type')).startsWith('text/event-stream') &&
        compression.filter(request, response),
    }),
  );

  bindProbes(app, deps);
  bindAvatar(app, deps);
  bindDocuments(app, deps);
  const tools: RouteTools = {
    session: (request, response, rate) => requireSession(request, response, rate, deps),
    answer: (response, data) => sendAnswer(response, { ok: true, data }),
  };
  for (const routes of deps.routes ?? []) app.use(routes(tools));
  bindOperations(app, deps);
  app.use(nothingHere);
  app.use(errorBoundary(deps));
  return app;
}
