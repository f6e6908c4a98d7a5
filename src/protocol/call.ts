/**
 * One way in for every operation, whichever transport it came by:
 * authenticate → rate-limit → size and depth → parse → in order → authorize → handle → parse the output → answer.
 * It always answers exactly once and never rejects.
 */
import type { z } from 'zod';
import { Fault, toFault, type Answer, type Issue } from './fault.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { LIMITS, type RateClass } from './limits.ts';
import { checkShape } from './measure.ts';
import type { Context, Contract, Handlers, Operation, Origin, Session, UserContext } from './operation.ts';

/** Who calls. A socket passes its `queue`, so that its operations keep their order. */
export interface Caller {
  session: Session | undefined;
  connectionId?: string;
  origin: Origin;
  requestId: string;
  /** Registers what to do when the caller vanishes; returns how to forget it. */
  onGone?: (listener: () => void) => () => void;
  queue?: KeyedQueue;
  renewSession?: (session: Session) => void;
}

/** What is told of every finished operation. */
export interface CallRecord {
  operation: string;
  userId: string | undefined;
  requestId: string;
  /** `ok` or the error's code. */
  outcome: string;
  durationMs: number;
}

export interface CallDeps {
  /** Takes one point of the class for the caller or throws `rate_limited`. */
  limit: (rate: RateClass, key: string) => void;
  /** Rejects with `forbidden` who is not an administrator now; asked before every operation of theirs. */
  requireAdmin?: (operation: string, context: UserContext) => Promise<void>;
  observe: (record: CallRecord) => void;
  /** What a part behind means by its error, a `Fault` where it is expected; else the error as it is. */
  explain?: (error: unknown) => unknown;
  /** The one error boundary: a bug in a handler, with what was under way. */
  onBug: (error: unknown, record: CallRecord) => void;
}

export type Call = (name: string, rawInput: unknown, caller: Caller) => Promise<Answer<unknown>>;

type AnyHandler = (input: unknown, context: Context) => Promise<unknown>;

export function createCall<C extends Contract>(contract: C, handlers: Handlers<C>, deps: CallDeps): Call {
  const handlerOf = guarded(contract, handlers as unknown as Record<string, AnyHandler>, deps);

  return (name, rawInput, caller) => {
    const startedAt = performance.now();
    const known = Object.hasOwn(contract, name);
    const cancellation = new Cancellation();
    return new Promise((resolve) => {
      let settled = false;
      const finish = (answer: Answer<unknown>, cause?: unknown): void => {
        const record: CallRecord = {
          operation: known ? name : 'unknown',
          userId: caller.session?.userId,
          requestId: caller.requestId,
          outcome: answer.ok ? 'ok' : answer.error.code,
          durationMs: performance.now() - startedAt,
        };
        // A handler that breaks after its deadline is still a bug worth a log line.
        if (!answer.ok && answer.error.code === 'internal') deps.onBug(cause, record);
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        forget?.();
        deps.observe(record);
        resolve(answer);
      };
      const fail = (error: unknown): void => {
        const fault = toFault(deps.explain ? deps.explain(error) : error);
        finish({ ok: false, error: fault.toBody() }, fault.cause ?? error);
      };

      const timeoutMs = (known ? contract[name]?.timeoutMs : undefined) ?? LIMITS.operationTimeoutMs;
      const timer = setTimeout(() => {
        const late = new Fault('timeout', `No answer within ${timeoutMs} ms; the outcome is unknown`);
        cancellation.cancel(late);
        fail(late);
      }, timeoutMs);
      const forget = caller.onGone?.(() => cancellation.cancel(new Fault('timeout', 'The caller has gone')));

      try {
        if (!known) throw new Fault('not_found', `There is no operation ${printable(name)}`);
        const definition = contract[name] as Operation;
        const input = admit(definition, rawInput, caller, deps);
        const context = new CallContext(caller, cancellation);
        const handle = handlerOf[name] as AnyHandler;
        const work =
          definition.orderKey && caller.queue
            ? caller.queue.run(definition.orderKey(input as never), (release) => {
                context.release = release;
                return handle(input, context);
              })
            : handle(input, context);
        work.then((data) => finish({ ok: true, data: definition.output.parse(data) })).catch(fail);
      } catch (error) {
        fail(error);
      }
    });
  };
}

/** A class, as one is made for every operation. */
class CallContext implements Context {
  readonly session: Session | undefined;
  readonly connectionId: string | undefined;
  readonly origin: Origin;
  readonly requestId: string;
  readonly renewSession: ((session: Session) => void) | undefined;
  release: () => void = nothing;
  readonly #cancellation: Cancellation;

  constructor({ session, connectionId, origin, requestId, renewSession }: Caller, cancellation: Cancellation) {
    this.session = session;
    this.connectionId = connectionId;
    this.origin = origin;
    this.requestId = requestId;
    this.renewSession = renewSession;
    this.#cancellation = cancellation;
  }

  get signal(): AbortSignal {
    return this.#cancellation.signal;
  }
}

const nothing = (): void => {};

/** Makes its signal only for those who ask: most handlers never do, and a signal costs more than all else of a call. */
class Cancellation {
  #controller: AbortController | undefined;
  #reason: Fault | undefined;

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  cancel(reason: Fault): void {
    this.#reason ??= reason;
    this.#controller?.abort(reason);
  }
}

/** The handlers, those of administrators behind the check who they are. */
function guarded(
  contract: Contract,
  handlers: Record<string, AnyHandler>,
  { requireAdmin }: CallDeps,
): Record<string, AnyHandler> {
  const guard = ([name, handle]: [string, AnyHandler]): [string, AnyHandler] => {
    if (contract[name]?.auth !== 'admin') return [name, handle];
    if (!requireAdmin) throw new Error(`${name} is for administrators, and nothing says who they are`);
    const asAdmin: AnyHandler = async (input, context) => {
      await requireAdmin(name, context as UserContext);
      return handle(input, context);
    };
    return [name, asAdmin];
  };
  return Object.fromEntries(Object.entries(handlers).map(guard));
}

/** The checks before a handler, all synchronous: two operations sent in a row reach their queue in that order. */
function admit(definition: Operation, rawInput: unknown, caller: Caller, deps: CallDeps): unknown {
  if (definition.auth !== 'public' && !caller.session) throw new Fault('unauthenticated', 'Sign in first');
  deps.limit(definition.rate, caller.session?.userId ?? caller.origin.ip);
  checkSize(definition, rawInput, caller);
  const parsed = definition.input.safeParse(rawInput ?? {});
  if (!parsed.success) throw new Fault('invalid', 'The input is not valid', { detail: issuesOf(parsed.error) });
  return parsed.data;
}

/** Depth and size; a socket is told when HTTP takes more. */
function checkSize({ http, maxBytes = LIMITS.operationBytes }: Operation, rawInput: unknown, caller: Caller): void {
  const overHttp = http?.maxBytes ?? maxBytes;
  if (caller.connectionId === undefined) return checkShape(rawInput, LIMITS.jsonDepth, overHttp);
  try {
    checkShape(rawInput, LIMITS.jsonDepth, maxBytes);
  } catch (error) {
    if (!http || overHttp <= maxBytes || !(error instanceof Fault && error.code === 'too_large')) throw error;
    throw new Fault('too_large', `${error.message}; ${http.route} takes ${overHttp} bytes`);
  }
}

/** The complaints of a validation, in the wire's shape. */
export function issuesOf(error: z.ZodError): Issue[] {
  return error.issues.slice(0, 20).map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
}

const printable = (name: string): string => JSON.stringify(name.slice(0, 64));
