/** Typed events. A listener that throws stops neither the others nor the SDK: its error is thrown on its own, uncaught. */
import { AtelierError } from './atelier-error.ts';

interface Registration {
  listener: (data: never) => void;
}

export class Emitter<E extends object> {
  readonly #registered = new Map<keyof E, Set<Registration>>();
  readonly #waits = new Set<(error: Error) => void>();

  /** Calls `listener` for each event; returns how to stop that. */
  on<K extends keyof E>(name: K, listener: (data: E[K]) => void): () => void {
    const registration: Registration = { listener };
    const set = this.#registered.get(name) ?? new Set();
    this.#registered.set(name, set.add(registration));
    return () => {
      set.delete(registration);
    };
  }

  /**
   * The next event for which `predicate` holds. Rejects with `timeout` after `timeoutMs` (Infinity: never), or when the
   * client closes.
   */
  once<K extends keyof E>(name: K, predicate: (data: E[K]) => boolean, timeoutMs: number): Promise<E[K]> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#waits.delete(fail);
        off();
      };
      const fail = (error: Error): void => {
        end();
        reject(error);
      };
      const off = this.on(name, (data) => {
        try {
          if (!predicate(data)) return;
          end();
          resolve(data);
        } catch (error) {
          fail(error as Error);
        }
      });
      const late = (): void => fail(new AtelierError('timeout', `No ${String(name)} within ${timeoutMs} ms`));
      const timer = timeoutMs === Infinity ? undefined : setTimeout(late, timeoutMs);
      this.#waits.add(fail);
    });
  }

  emit<K extends keyof E>(name: K, data: E[K]): void {
    const set = this.#registered.get(name);
    if (!set) return;
    for (const registration of Array.from(set)) {
      if (!set.has(registration)) continue;
      guarded(() => registration.listener(data as never));
    }
  }

  /** Forgets every listener and rejects every `once` with `error`. */
  clear(error: Error): void {
    for (const fail of Array.from(this.#waits)) fail(error);
    for (const set of this.#registered.values()) set.clear();
    this.#registered.clear();
  }
}

/** Runs what belongs to the application: what it throws is thrown on its own, uncaught. */
export function guarded(run: () => void): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
