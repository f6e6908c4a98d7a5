/**
 * One live connection, as the SDK's own questions see it: they are asked again while it lives and the server cannot
 * answer now, a few at a time, and end with it. The next connection asks anew from the positions reached.
 */
import type { FaultCode } from '../protocol/fault.ts';
import { outcomeOf, type Outcome, type Send } from './answer.ts';
import { AtelierError } from './atelier-error.ts';
import type { OperationInput, OperationName, OperationOutput } from './operations.ts';
import { pauseMs, type Timings } from './timings.ts';

/** Questions under way at once; with the application's operations they stay under the server's limit. */
const ASKING_MAX = 8;
/** `unauthenticated`: the token has just run out; the server ends the connection, and the next one has a new token. */
const PASSING: ReadonlySet<FaultCode> = new Set([
  'rate_limited',
  'timeout',
  'unavailable',
  'upstream',
  'internal',
  'unauthenticated',
]);

export interface LinkDeps {
  send: Send;
  requestTimeoutMs: number;
  timings: Timings;
  /** A task failed although the connection lives: the server does not speak as expected. */
  onBroken: (error: Error) => void;
}

export interface Link {
  /** Resolves with the answer; rejects with the server's lasting refusals, or when the link ends. */
  ask<K extends OperationName>(name: K, input: OperationInput<K>): Promise<OperationOutput<K>>;
  /** Runs a task that may end with the link without anyone minding. */
  run(task: () => Promise<void>): void;
  readonly alive: boolean;
  end(): void;
}

class LinkEnded extends Error {}

/** The thing asked for is gone or was never the caller's. */
export const isGone = (error: unknown): boolean =>
  error instanceof AtelierError && (error.code === 'not_found' || error.code === 'forbidden');

export function createLink(deps: LinkDeps): Link {
  const ending = new Set<() => void>();
  const queue: (() => void)[] = [];
  let asking = 0;
  let alive = true;

  /** A promise that also settles when the link ends; `start` returns what to undo then. */
  const whileAlive = <T>(start: (resolve: (value: T) => void) => () => void): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!alive) {
        reject(new LinkEnded());
        return;
      }
      const onEnd = (): void => {
        undo();
        reject(new LinkEnded());
      };
      ending.add(onEnd);
      const undo = start((value) => {
        ending.delete(onEnd);
        resolve(value);
      });
    });

  const pause = (ms: number): Promise<void> =>
    whileAlive((resolve) => {
      const timer = setTimeout(resolve, ms);
      return () => clearTimeout(timer);
    });

  const turn = (): Promise<void> =>
    whileAlive((resolve) => {
      if (asking < ASKING_MAX) {
        asking++;
        resolve();
      } else queue.push(resolve);
      return () => {};
    });
  /** Hands the place on, or gives it back. */
  const leave = (): void => {
    const next = queue.shift();
    if (next) next();
    else asking--;
  };

  const attempt = (name: string, input: object): Promise<Outcome> =>
    whileAlive((resolve) => {
      const timer = setTimeout(() => {
        resolve({ ok: false, error: new AtelierError('timeout', `${name}: no answer`) });
      }, deps.requestTimeoutMs);
      deps.send(name, input, (answer) => {
        clearTimeout(timer);
        resolve(outcomeOf(answer));
      });
      return () => clearTimeout(timer);
    });

  const link: Link = {
    get alive() {
      return alive;
    },
    async ask<K extends OperationName>(name: K, input: OperationInput<K>) {
      for (let tries = 0; ; tries++) {
        await turn();
        const outcome = await attempt(name, input).finally(leave);
        if (outcome.ok) return outcome.data as OperationOutput<K>;
        if (!PASSING.has(outcome.error.code)) throw outcome.error;
        await pause(outcome.error.retryAfterMs ?? pauseMs(deps.timings, tries));
      }
    },
    run(task) {
      task().catch((error: unknown) => {
        if (alive && !(error instanceof LinkEnded)) deps.onBroken(error as Error);
      });
    },
    end() {
      alive = false;
      for (const onEnd of Array.from(ending)) onEnd();
      ending.clear();
      queue.length = 0;
    },
  };
  return link;
}
