import type { Doc } from './bson/values.ts';

const NAMES: Readonly<Record<number, string>> = {
  1: 'InternalError',
  2: 'BadValue',
  9: 'FailedToParse',
  14: 'TypeMismatch',
  17: 'ProtocolError',
  20: 'IllegalOperation',
  22: 'InvalidBSON',
  26: 'NamespaceNotFound',
  27: 'IndexNotFound',
  28: 'PathNotViable',
  40: 'ConflictingUpdateOperators',
  43: 'CursorNotFound',
  48: 'NamespaceExists',
  52: 'DollarPrefixedFieldName',
  56: 'EmptyFieldName',
  59: 'CommandNotFound',
  66: 'ImmutableField',
  67: 'CannotCreateIndex',
  72: 'InvalidOptions',
  73: 'InvalidNamespace',
  85: 'IndexOptionsConflict',
  86: 'IndexKeySpecsConflict',
  171: 'CannotIndexParallelArrays',
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
  if (!(error instanceof MongoError)) {
    return { ok: 0, errmsg: 'internal error of the embedded store', code: 1, codeName: NAMES[1] };
  }
  const codeName = NAMES[error.code] ?? `Location${error.code}`;
  return { ok: 0, errmsg: error.message, code: error.code, codeName, ...error.extra };
}
