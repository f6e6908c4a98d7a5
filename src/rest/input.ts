/** From an HTTP request to an operation's input: path, query and JSON body merged, the path winning. */
import express, { type Request, type RequestHandler } from 'express';
import { Fault, LIMITS, type Operation } from '../protocol/index.ts';

/**
 * JSON text may be three times what it holds (`\u0416` for two bytes of UTF-8, as many clients write it), so this only
 * bounds what is read; the operation's own limit is checked on the decoded input.
 */
const bodyLimit = ({ http, maxBytes = LIMITS.operationBytes }: Operation): number =>
  3 * (http?.maxBytes ?? maxBytes) + 4_096;

/** Reads a JSON body up to the operation's limit; any other content type is `unsupported`. A request without a body passes. */
export function jsonBody(operation: Operation): RequestHandler {
  const parse = express.json({ limit: bodyLimit(operation), type: 'application/json' });
  return (request, response, next) => {
    if (!hasBody(request)) return next();
    if (!request.is('application/json')) throw new Fault('unsupported', 'Send the body as application/json');
    parse(request, response, next);
  };
}

/**
 * The raw input. Spreading defines properties and never calls a setter, so a key `__proto__` stays an unknown key that
 * the strict schema refuses; a repeated query parameter stays an array, which no schema of a single value takes.
 */
export function inputOf(request: Request): Record<string, unknown> {
  const body: unknown = request.body ?? {};
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new Fault('invalid', 'The body must be a JSON object', {
      detail: [{ path: '', message: 'must be an object' }],
    });
  }
  return { ...request.query, ...body, ...request.params };
}

/** The token of `Authorization: Bearer`, if there is one. */
export const bearerOf = (request: Request): string | undefined =>
  /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];

function hasBody(request: Request): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}
