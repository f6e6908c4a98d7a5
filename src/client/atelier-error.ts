/** The one kind of error that the SDK rejects with: what the server answered, or why no answer came. */
import type { ErrorBody, FaultCode } from '../protocol/fault.ts';

export class AtelierError extends Error {
  override readonly name = 'AtelierError';
  readonly code: FaultCode;
  /** With `invalid`: `[{ path, message }]`. */
  readonly detail: unknown;
  /** When another try makes sense, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** The operation was sent and no answer came: it may or may not have happened. */
  readonly outcomeUnknown: boolean;

  constructor(
    code: FaultCode,
    message: string,
    options: { detail?: unknown; retryAfterMs?: number | undefined; outcomeUnknown?: boolean; cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.detail = options.detail;
    this.retryAfterMs = options.retryAfterMs;
    this.outcomeUnknown = options.outcomeUnknown ?? false;
  }

  static of(body: ErrorBody): AtelierError {
    return new AtelierError(body.code, body.message, {
      detail: body.detail,
      retryAfterMs: body.retryAfterMs,
      // The server's own deadline passed: it cannot say either.
      outcomeUnknown: body.code === 'timeout',
    });
  }
}
