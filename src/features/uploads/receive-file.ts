/** One file of a multipart form, streamed to whoever stores it. Of a form that fails in any way nothing is kept. */
import type { Request, Response } from 'express';
import multer, { MulterError, type StorageEngine } from 'multer';
import { Fault, withResolvers } from '../../protocol/index.ts';
import { fileNameOf } from './file-name.ts';

/** The form field of the file. */
const FIELD = 'file';
/** What a form may have besides: `kind`, say. */
const FIELDS = 8;
const FIELD_BYTES = 1_024;
/** Boundaries, headers and fields around the file. */
const ENVELOPE_BYTES = 64 * 1_024;

const FORM_LIMITS = {
  fields: FIELDS,
  fieldSize: FIELD_BYTES,
  fieldNameSize: 100,
  fieldNestingDepth: 0,
  files: 1,
  parts: FIELDS + 1,
  headerPairs: 32,
};

export interface IncomingFile {
  /** The last part of its path, without what is not to be shown. */
  name: string;
  content: AsyncIterable<Uint8Array>;
  /** The form's fields that came before the file. */
  fields: Fields;
  /** The size of the whole form, where the client says it. */
  formBytes: number | undefined;
  /** Aborts when the client is gone. */
  signal: AbortSignal;
}

/** As they came: a field that is given twice is a list. */
export type Fields = Readonly<Record<string, unknown>>;

export interface FileReceiver<Stored> {
  /** The largest file that may come; `store` may know a lower limit. */
  maxBytes: number;
  /** Reads the content to its end, or rejects and leaves nothing. */
  store: (file: IncomingFile) => Promise<Stored>;
  /** Removes what `store` has made: the form has failed after it. */
  discard: (stored: Stored) => Promise<void>;
}

/**
 * Rejects with what `store` rejects with; `unsupported` if it is no form, `invalid` if it is malformed or has not exactly
 * one file, `too_large` beyond `maxBytes`. It may do so while the client still sends.
 */
export async function receiveFile<Stored>(
  request: Request,
  response: Response,
  { maxBytes, store, discard }: FileReceiver<Stored>,
): Promise<{ stored: Stored; fields: Fields }> {
  if (!request.is('multipart/form-data')) throw new Fault('unsupported', 'Send the file as multipart/form-data');
  const gone = new AbortController();
  const form = withResolvers();
  let stored: { result: Stored } | undefined;
  let isOver = false;

  const drop = async (): Promise<void> => {
    const dropped = stored;
    stored = undefined;
    if (dropped) await discard(dropped.result);
  };
  // Here a bug of the storing side, too, rejects: thrown into the parser it would end the process.
  const keep = async (file: IncomingFile): Promise<Stored> => store(file);
  const onClose = (): void => {
    if (!request.complete) gone.abort(new Error('The client is gone'));
  };
  let bytes = 0;
  const onData = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > maxBytes + ENVELOPE_BYTES) form.reject(tooLarge(maxBytes));
  };
  const storage: StorageEngine = {
    _handleFile(_request, file, done) {
      const incoming = {
        name: fileNameOf(file.originalname),
        // A store that gives up must not destroy it: to multer that would be a broken form.
        content: { [Symbol.asyncIterator]: () => file.stream.iterator({ destroyOnReturn: false }) },
        fields: fieldsOf(request),
        formBytes: declaredBytes(request),
        signal: gone.signal,
      };
      keep(incoming).then(
        (result) => {
          stored = { result };
          if (isOver) drop().then(() => done(null, {}), done);
          else done(null, {});
        },
        (error: unknown) => {
          // At once: multer waits until the client has sent everything. A file cut short is the form's fault.
          if (error !== file.stream.errored) form.reject(error);
          done(error);
        },
      );
    },
    _removeFile: (_request, _file, done) => void drop().then(() => done(null), done),
  };

  request.once('close', onClose).on('data', onData);
  try {
    const receive = multer({ storage, limits: FORM_LIMITS, defParamCharset: 'utf8' }).single(FIELD);
    void receive(request, response, (error: unknown) => {
      if (error) form.reject(malformed(error));
      else form.resolve();
    });
    await form.promise;
    if (!stored) throw wrongForm('must be one file');
    return { stored: stored.result, fields: fieldsOf(request) };
  } catch (error) {
    isOver = true;
    await drop();
    throw error;
  } finally {
    request.off('close', onClose).off('data', onData);
  }
}

/** The answer to more than `maxBytes` of a file. */
export const tooLarge = (maxBytes: number): Fault =>
  new Fault('too_large', `The file may have at most ${sizeText(maxBytes)}`);

const sizeText = (bytes: number): string =>
  bytes < 1_048_576 ? `${bytes} bytes` : `${Math.floor(bytes / 1_048_576)} MiB`;

/** The content, or `too_large` as soon as there is more. */
export async function* atMost(content: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(maxBytes);
    yield chunk;
  }
}

/** What multer or its parser has found wrong; their messages may quote the form. */
function malformed(error: unknown): unknown {
  if (error instanceof Fault) return error;
  if (error instanceof MulterError) {
    return error.code === 'LIMIT_UNEXPECTED_FILE' || error.code === 'LIMIT_FILE_COUNT'
      ? wrongForm('must be one file, and the only one')
      : new Fault('invalid', 'The form has too many or too large fields', { detail: [], cause: error });
  }
  return new Fault('invalid', 'The form is malformed', { detail: [], cause: error });
}

const wrongForm = (message: string): Fault =>
  new Fault('invalid', 'The form is not as it should be', { detail: [{ path: FIELD, message }] });

const fieldsOf = (request: Request): Fields => ({ ...(request.body as Fields | undefined) });

function declaredBytes(request: Request): number | undefined {
  const length = request.headers['content-length'];
  return length === undefined ? undefined : Number(length);
}
