/**
 * The application's operations as promises. They are sent in the order of their calls, wait while there is no
 * connection, and those that may be sent twice are sent again until their deadline when no answer came.
 */
import { LIMITS } from '../protocol/limits.ts';
import { outcomeOf, type Send } from './answer.ts';
import { AtelierError } from './atelier-error.ts';
import { answersLate, isRepeatable, LONG_ANSWER_MS } from './operations.ts';

/** Leaves room under the server's limit for what the SDK itself asks. */
export const UNDER_WAY_MAX = LIMITS.operationsUnderWay - 16;
/** Calls that wait, mostly while offline; more are refused, so that a page that was left open does not grow. */
export const WAITING_MAX = 1_000;

export interface CallOptions {
  /** Rejects after this many milliseconds, repeats included. */
  timeoutMs?: number;
  /** Rejects with the signal's reason; what was sent may still happen. */
  signal?: AbortSignal;
}

export interface RequestsDeps {
  send: Send;
  /** Told of every success before its promise resolves. */
  onAnswer: (name: string, input: object, data: unknown) => void;
  /** How long one attempt waits for its answer; `LONG_ANSWER_MS` where the input says `wait: true`. */
  requestTimeoutMs: number;
  /** How long a repeatable operation goes on by default; at least one attempt. */
  retryForMs: number;
}

export interface Requests {
  call(name: string, input: object, options?: CallOptions): Promise<unknown>;
  /** The connection takes operations: sends what waits. */
  up(): void;
  /** The connection is gone: what was under way is sent again later or rejected. */
  down(): void;
  /** Rejects everything, now and from now on. */
  close(error: Error): void;
}

interface Pending {
  name: string;
  input: object;
  repeatable: boolean;
  attemptMs: number;
  /** Counts the times it was sent; answers of earlier ones count too. */
  attempts: number;
  underWay: boolean;
  attemptTimer?: ReturnType<typeof setTimeout>;
  resolve(data: unknown): void;
  reject(error: unknown): void;
}

export function createRequests(deps: RequestsDeps): Requests {
  /** In the order of the calls. */
  const pending = new Set<Pending>();
  let open = false;
  let underWay = 0;
  let closed: Error | undefined;

  const rest = (request: Pending): void => {
    clearTimeout(request.attemptTimer);
    if (request.underWay) underWay--;
    request.underWay = false;
  };

  const attempt = (request: Pending): void => {
    const number = ++request.attempts;
    request.underWay = true;
    underWay++;
    if (request.repeatable) {
      request.attemptTimer = setTimeout(() => {
        rest(request);
        flush();
      }, request.attemptMs);
    }
    deps.send(request.name, request.input, (answer) => {
      if (!pending.has(request)) return;
      const outcome = outcomeOf(answer);
      if (outcome.ok) {
        deps.onAnswer(request.name, request.input, outcome.data);
        request.resolve(outcome.data);
      } else if (outcome.error.code !== 'timeout' || !request.repeatable) {
        request.reject(outcome.error);
      } else if (number === request.attempts) {
        // The server does not know how it ended. The same clientId again finds out.
        rest(request);
        flush();
      }
    });
  };

  const flush = (): void => {
    if (!open) return;
    for (const request of pending) {
      if (underWay >= UNDER_WAY_MAX) return;
      if (!request.underWay) attempt(request);
    }
  };

  return {
    call(name, input, options = {}) {
      if (closed) return Promise.reject(closed);
      if (pending.size >= WAITING_MAX) {
        return Promise.reject(new AtelierError('rate_limited', `More than ${WAITING_MAX} operations wait`));
      }
      const { signal } = options;
      if (signal?.aborted) return Promise.reject(signal.reason as Error);
      const repeatable = isRepeatable(name, input);
      const attemptMs = answersLate(input) ? LONG_ANSWER_MS : deps.requestTimeoutMs;
      const timeoutMs = options.timeoutMs ?? (repeatable ? Math.max(attemptMs, deps.retryForMs) : attemptMs);
      return new Promise((resolve, reject) => {
        const settle = (): boolean => {
          clearTimeout(deadline);
          signal?.removeEventListener('abort', onAbort);
          rest(request);
          return pending.delete(request);
        };
        const request: Pending = {
          name,
          input,
          repeatable,
          attemptMs,
          attempts: 0,
          underWay: false,
          resolve(data) {
            if (settle()) resolve(data);
            flush();
          },
          reject(error) {
            if (settle()) reject(error);
            flush();
          },
        };
        const onAbort = (): void => request.reject(signal?.reason);
        const deadline = setTimeout(() => request.reject(lateError(request, timeoutMs)), timeoutMs);
        signal?.addEventListener('abort', onAbort);
        pending.add(request);
        flush();
      });
    },
    up() {
      open = true;
      flush();
    },
    down() {
      open = false;
      for (const request of Array.from(pending)) {
        if (!request.underWay) continue;
        if (request.repeatable) rest(request);
        else request.reject(lostError(request));
      }
    },
    close(error) {
      open = false;
      closed = error;
      for (const request of Array.from(pending)) {
        request.reject(request.attempts > 0 ? lostError(request, error) : error);
      }
    },
  };
}

function lateError(request: Pending, timeoutMs: number): AtelierError {
  return request.attempts > 0
    ? new AtelierError('timeout', `${request.name}: no answer within ${timeoutMs} ms; the outcome is unknown`, {
        outcomeUnknown: true,
      })
    : new AtelierError('unavailable', `${request.name}: no connection within ${timeoutMs} ms; it was not sent`);
}

function lostError(request: Pending, cause?: Error): AtelierError {
  return new AtelierError(
    'unavailable',
    `${request.name}: the connection ended before the answer; the outcome is unknown`,
    { outcomeUnknown: true, ...(cause ? { cause } : {}) },
  );
}
