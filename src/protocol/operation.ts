/**
 * What an operation and an event are. A feature's `contract.ts` defines them with `operation` and `event`;
 * `call` serves them on both transports, the documents are generated from them, and the SDK takes its types from them.
 */
import type { z } from 'zod';
import { Fault } from './fault.ts';
import type { RateClass } from './limits.ts';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface HttpBinding {
  /** Express path; `:name` parts, the query and the JSON body together are the input. */
  route: `${HttpMethod} /${string}`;
  /** A second path to the same operation. */
  alias?: `${HttpMethod} /${string}`;
  /** Also carry data's fields at the answer's top level, as earlier front ends of the auth routes expect. */
  flat?: true;
  /** The operation has no socket form. */
  only?: true;
  /** Largest input over HTTP, where that is another than on a socket. */
  maxBytes?: number;
  /** The request's bearer token is this field of the input (unless the body has it), not an access token. */
  bearer?: string;
  /** With `Accept: text/event-stream` the stream that data's `streamId` names follows as server-sent events. */
  stream?: true;
}

/** Who may call: anybody, somebody who is signed in, or an administrator of the whole server. */
export type Auth = 'public' | 'user' | 'admin';

export interface Operation<
  I extends z.ZodObject = z.ZodObject,
  O extends z.ZodType = z.ZodType,
  A extends Auth = Auth,
> {
  /** Use `z.strictObject`: an unknown key is an error. */
  input: I;
  output: O;
  auth: A;
  rate: RateClass;
  /** Operations of one socket with the same key are handled in the order they came. */
  orderKey?: (input: z.output<I>) => string;
  /** Largest input; `LIMITS.operationBytes` if not given. */
  maxBytes?: number;
  /** The answer's deadline; `LIMITS.operationTimeoutMs` if not given. */
  timeoutMs?: number;
  http?: HttpBinding;
  /** One paragraph for the documents: what it does, what it refuses. */
  doc: string;
}

export interface EventDefinition<D extends z.ZodType = z.ZodType> {
  data: D;
  doc: string;
}

export type Contract = Record<string, Operation>;
export type EventMap = Record<string, EventDefinition>;

export const operation = <I extends z.ZodObject, O extends z.ZodType, A extends Auth>(
  definition: Operation<I, O, A>,
): Operation<I, O, A> => definition;

export const event = <D extends z.ZodType>(definition: EventDefinition<D>): EventDefinition<D> => definition;

export type Input<O extends Operation> = z.input<O['input']>;
export type Output<O extends Operation> = z.output<O['output']>;
export type EventData<E extends EventDefinition> = z.output<E['data']>;

/** A signed-in caller. */
export interface Session {
  userId: string;
  sessionId: string;
  /** When the access token ends, in milliseconds since 1970. */
  expiresAtMs: number;
}

/** Where a request came from; what audit rows and limits need. */
export interface Origin {
  ip: string;
  userAgent: string;
}

/** What a handler knows of its caller. */
export interface Context {
  session: Session | undefined;
  /** The socket's id; undefined over HTTP. */
  connectionId: string | undefined;
  origin: Origin;
  /** Aborts when the caller is gone or the deadline has passed. */
  signal: AbortSignal;
  requestId: string;
  /**
   * Lets the next operation of the same `orderKey` begin. Call it once the order is fixed elsewhere (handed to the log);
   * it happens by itself when the handler ends.
   */
  release: () => void;
  /** Only on a socket: swaps the session of the live connection (`auth:refresh`). */
  renewSession?: ((session: Session) => void) | undefined;
}

export interface UserContext extends Context {
  session: Session;
}

/** The caller's socket, for operations that act on it; `unsupported` over HTTP. */
export function connectionOf({ connectionId }: Context): string {
  if (connectionId === undefined) throw new Fault('unsupported', 'This operation needs a socket');
  return connectionId;
}

export type ContextOf<O extends Operation> = O['auth'] extends 'public' ? Context : UserContext;

/** One function for each operation; a missing one does not compile. */
export type Handlers<C extends Contract> = {
  [K in keyof C]: (input: z.output<C[K]['input']>, context: ContextOf<C[K]>) => Promise<z.input<C[K]['output']>>;
};
