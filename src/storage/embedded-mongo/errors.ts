import type { Doc } from './bson/values.ts';

/** The names that clients know errors by; one without a name is called by its number, as in MongoDB. */
const NAMES: Readonly<Record<number, string>> = {
  1: 'InternalError',
  2: 'BadValue',
  26: 'NamespaceNotFound',
  59: 'CommandNotFound',
  238: 'NotImplemented',
  11000: 'DuplicateKey',
};

/** An error that a MongoDB server would answer; everything else that is thrown is a bug of the engine. */
export class MongoError extends Error {
  readonly code: number;
  /** Further fields of the answer, such as `keyPattern` of a duplicate key. */
  readonly extra: Doc;

  constructor(code: number, message: string, extra: Doc = {}) {
    super(message);
    this.name = 'MongoError';
    this.code = code;
    this.extra = extra;
  }
}

/** Throws a MongoDB error. */
export function fail(code: number, message: string, extra?: Doc): never {
  throw new MongoError(code, message, extra);
}

/** Throws the error for a MongoDB feature that this engine leaves out on purpose. */
export function refuse(what: string): never {
  return fail(238, `${what} is not supported by the embedded store`);
}

/** The answer to a command that failed. Only MongoDB errors show their text: others may hold private data. */
export function errorReply(error: unknown): Doc {
  const known = error instanceof MongoError ? error : new MongoError(1, 'internal error of the embedded store');
  const { code, message, extra } = known;
  return { ok: 0, errmsg: message, code, codeName: NAMES[code] ?? `Location${code}`, ...extra };
}
