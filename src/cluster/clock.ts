/** Time as the cluster parts see it: given, so that tests need not wait. */
import { performance } from 'node:perf_hooks';

export interface Clock {
  /** Milliseconds of a clock that is never set back or forth; only differences mean something. */
  now(): number;
  /** Calls again and again until the returned function is called. Does not keep the process alive. */
  every(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  every(ms, callback) {
    const timer = setInterval(callback, ms).unref();
    return () => clearInterval(timer);
  },
};
