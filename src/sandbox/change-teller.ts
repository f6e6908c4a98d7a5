/** Passes on what a file helper tells, no faster than whoever looks at the files can bear: a sandbox may tell without end. */
import { performance } from 'node:perf_hooks';
import { FrameBudget } from './agent-protocol/index.ts';

/** More at once are looked for as fast as they are named. */
const PATHS_PER_SECOND = 10_000;
/** Looking at everything takes about as long in a large workspace. */
const OVERFLOW_MS = 1_000;

export interface DiskWatcher {
  /** These may have changed, come or gone. */
  changed: (paths: string[]) => void;
  /** Any may have: told when watching begins, when it begins again, and when changes were not told. */
  overflow: () => void;
}

export class ChangeTeller {
  readonly #watcher: DiskWatcher;
  readonly #budget = new FrameBudget(PATHS_PER_SECOND, performance.now());
  #toldAtMs = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(watcher: DiskWatcher) {
    this.#watcher = watcher;
  }

  changed(paths: string[]): void {
    const nowMs = performance.now();
    if (paths.every(() => this.#budget.take(nowMs))) this.#watcher.changed(paths);
    else this.overflow();
  }

  /** At once if it was not told of late, else once for all that come meanwhile. */
  overflow(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        this.#toldAtMs = performance.now();
        this.#watcher.overflow();
      },
      Math.max(0, this.#toldAtMs + OVERFLOW_MS - performance.now()),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
