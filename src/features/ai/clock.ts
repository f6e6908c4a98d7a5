/** Time, as far as this feature needs it; tests turn it by hand. */
export interface Clock {
  /** Milliseconds since 1970. */
  now: () => number;
  /** Calls back once after `ms`; returns how to cancel. */
  after: (ms: number, callback: () => void) => () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  let cancel: (() => void) | undefined;
  const elapsed = new Promise<void>((resolve) => {
    cancel = clock.after(ms, resolve);
  });
  return abortable(elapsed, signal).finally(() => cancel?.());
}

/** What `work` gives, or the signal's reason as soon as it aborts; `work` itself goes on unheard then. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** What `work` gives if it does so within `ms`; else calls `onLate` and rejects with the error that it returns. */
export function within<T>(clock: Clock, ms: number, work: Promise<T>, onLate: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(onLate()));
    work.then(resolve, reject).finally(cancel);
  });
}
