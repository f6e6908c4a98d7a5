/**
 * Every error that may reach a client has one of these codes; the HTTP status follows from the code.
 * Anything thrown that is not a `Fault` is a bug: it is logged with its cause and answered as `internal`.
 */
export const STATUS_BY_CODE = {
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  invalid: 400,
  conflict: 409,
  too_large: 413,
  rate_limited: 429,
  quota_exceeded: 402,
  unsupported: 415,
  timeout: 504,
  upstream: 502,
  unavailable: 503,
  internal: 500,
} as const;

export type FaultCode = keyof typeof STATUS_BY_CODE;

/** One complaint about one place in an input: `path` in dots, empty for the input itself. */
export interface Issue {
  path: string;
  message: string;
}

/** The error half of an answer, on both transports. `invalid` carries `detail: Issue[]`. */
export interface ErrorBody {
  code: FaultCode;
  message: string;
  detail?: unknown;
  retryAfterMs?: number;
}

export type Answer<T> = { ok: true; data: T } | { ok: false; error: ErrorBody };

/** An expected error: told to the client as it is. Never put a secret or a cause's text into `message` or `detail`. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  readonly detail: unknown;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: FaultCode,
    message: string,
    options: { detail?: unknown; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.detail = options.detail;
    this.retryAfterMs = options.retryAfterMs;
  }

  toBody(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }
}

/** What a client may see of any thrown value: a Fault as it is, everything else as `internal` without a word of its text. */
export function toFault(error: unknown): Fault {
  return error instanceof Fault ? error : new Fault('internal', 'Something went wrong on our side', { cause: error });
}
