/**
 * The entries of many logs, each in its order. For every log that is wanted on this node it keeps the last delivered
 * rev and delivers strictly upwards: what comes early waits, what is missing for `LIMITS.gapFillMs` is read from the
 * log, and from time to time the logs' ends are compared, so that a lost notice costs time but never an entry.
 */
import type { Log } from '../observability/log.ts';
import { LIMITS } from '../protocol/index.ts';

interface State<T> {
  /** Undefined until the baseline has been read. */
  lastRev: number | undefined;
  ready: Promise<void>;
  /** What came before its turn. */
  early: Map<number, T>;
  /** The highest rev that is known to exist. */
  headRev: number;
  gapTimer: NodeJS.Timeout | undefined;
  /** A read of what is missing that is under way. */
  filling: Promise<void> | undefined;
}

export interface SequencerDeps<T> {
  /** The rev of a log's end, read from the log. */
  head: (logId: string) => Promise<number>;
  /** What stands after a rev, ascending, at most `LIMITS.syncMax`: fewer are the last ones. */
  after: (logId: string, rev: number) => Promise<{ rev: number; entry: T }[]>;
  deliver: (logId: string, rev: number, entry: T) => void;
  /** Whether anybody here needs the log's entries now. */
  isWanted: (logId: string) => boolean;
  /** Resolves when what other nodes tell of the log from now on is heard. Never rejects. */
  listening: (logId: string) => Promise<void>;
  /** How often ends are compared, about; `LIMITS.headCompareMs` if not given. */
  compareMs?: number;
  log: Log;
}

/** Heads that are read at once when positions are compared. */
const COMPARED_AT_ONCE = 16;

export class Sequencer<T> {
  readonly #deps: SequencerDeps<T>;
  readonly #states = new Map<string, State<T>>();
  #compareTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: SequencerDeps<T>) {
    this.#deps = deps;
    this.#scheduleCompare();
  }

  /** Call it before a log is wanted: what was known while it was not may be old. */
  entering(logId: string): void {
    const state = this.#states.get(logId);
    if (state && !this.#deps.isWanted(logId)) this.#forget(logId, state);
  }

  /** Resolves when every entry above the log's present end will be delivered. Call it when the log is wanted. */
  open(logId: string): Promise<void> {
    const known = this.#states.get(logId);
    if (known) return known.ready;
    const state = newState<T>(undefined);
    this.#states.set(logId, state);
    state.ready = this.#baseline(logId, state).catch((error: unknown) => {
      this.#states.delete(logId);
      throw error;
    });
    return state.ready;
  }

  /** As `open`, with a baseline that is known: everything above `rev` will be delivered. */
  openAt(logId: string, rev: number): void {
    if (this.#states.has(logId)) return;
    const state = newState<T>(rev);
    this.#states.set(logId, state);
    // What was relayed before this node listened is read.
    this.#catchUp(logId, state).catch((error: unknown) => this.#warn(logId, error));
  }

  /** An entry stands at `rev`; here or from elsewhere, in any order and any number of times. */
  accept(logId: string, rev: number, entry: T): void {
    const state = this.#stateOf(logId, rev);
    if (!state) return;
    state.early.set(rev, entry);
    this.#advance(logId, state);
  }

  /** An entry stands at `rev`; unless it follows soon, it is read. */
  note(logId: string, rev: number): void {
    const state = this.#stateOf(logId, rev);
    if (state) this.#advance(logId, state);
  }

  /** Compares with the logs and delivers what is missing. Logs that nobody wants any more are forgotten. */
  async compare(): Promise<void> {
    const open = [...this.#states];
    const work = async (): Promise<void> => {
      for (let next = open.pop(); next; next = open.pop()) {
        const [logId, state] = next;
        if (!this.#deps.isWanted(logId)) this.#forget(logId, state);
        else await this.#catchUp(logId, state);
      }
    };
    await Promise.all(Array.from({ length: COMPARED_AT_ONCE }, work));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#compareTimer);
    for (const [logId, state] of this.#states) this.#forget(logId, state);
  }

  /** The state of a log that is wanted and of which `rev` has not been delivered yet. */
  #stateOf(logId: string, rev: number): State<T> | undefined {
    const state = this.#states.get(logId);
    if (!state) return undefined;
    if (!this.#deps.isWanted(logId)) {
      this.#forget(logId, state);
      return undefined;
    }
    if (state.lastRev !== undefined && rev <= state.lastRev) return undefined;
    state.headRev = Math.max(state.headRev, rev);
    return state;
  }

  async #baseline(logId: string, state: State<T>): Promise<void> {
    // Listening first, reading second: what is written in between is relayed.
    await this.#deps.listening(logId);
    const rev = await this.#deps.head(logId);
    state.lastRev = rev;
    this.#advance(logId, state);
  }

  /** Delivers what the log has beyond what was delivered; `open` comes first. */
  async catchUp(logId: string): Promise<void> {
    const state = this.#states.get(logId);
    if (state) await this.#catchUp(logId, state);
  }

  async #catchUp(logId: string, state: State<T>): Promise<void> {
    await state.ready;
    await this.#deps.listening(logId);
    const rev = await this.#deps.head(logId);
    state.headRev = Math.max(state.headRev, rev);
    // One that is under way may have read before the last entry was written; whatever begins from now on has not.
    if (rev > (state.lastRev ?? 0)) await state.filling;
    if (rev > (state.lastRev ?? 0)) await this.#fill(logId, state);
  }

  #advance(logId: string, state: State<T>): void {
    if (state.lastRev === undefined) return;
    while (state.early.has(state.lastRev + 1)) {
      state.lastRev++;
      const entry = state.early.get(state.lastRev) as T;
      state.early.delete(state.lastRev);
      this.#deps.deliver(logId, state.lastRev, entry);
    }
    for (const rev of state.early.keys()) if (rev <= state.lastRev) state.early.delete(rev);
    if (state.headRev <= state.lastRev) {
      clearTimeout(state.gapTimer);
      state.gapTimer = undefined;
    } else if (!state.gapTimer && !state.filling) {
      state.gapTimer = setTimeout(() => {
        state.gapTimer = undefined;
        this.#fill(logId, state).catch((error: unknown) => this.#warn(logId, error));
      }, LIMITS.gapFillMs).unref();
    }
  }

  #fill(logId: string, state: State<T>): Promise<void> {
    state.filling ??= this.#read(logId, state).finally(() => {
      state.filling = undefined;
      // An entry that came early while this read was under way has set no timer for its own gap.
      if (this.#states.get(logId) === state) this.#advance(logId, state);
    });
    return state.filling;
  }

  async #read(logId: string, state: State<T>): Promise<void> {
    for (;;) {
      const after = state.lastRev ?? 0;
      const missed = await this.#deps.after(logId, after);
      const [first] = missed;
      // What is gone from the log cannot be told any more.
      if (first && first.rev > (state.lastRev ?? 0) + 1) state.lastRev = first.rev - 1;
      for (const { rev, entry } of missed) if (rev > (state.lastRev ?? 0)) state.early.set(rev, entry);
      this.#advance(logId, state);
      if (missed.length < LIMITS.syncMax || this.#closed) break;
    }
  }

  #forget(logId: string, state: State<T>): void {
    clearTimeout(state.gapTimer);
    this.#states.delete(logId);
  }

  #warn(logId: string, error: unknown): void {
    this.#deps.log.warn('a gap in a log could not be filled yet', { logId, error });
  }

  #scheduleCompare(): void {
    if (this.#closed) return;
    const inMs = (this.#deps.compareMs ?? LIMITS.headCompareMs) * (0.75 + Math.random() * 0.5);
    this.#compareTimer = setTimeout(() => {
      this.compare()
        .catch((error: unknown) => this.#deps.log.warn('positions could not be compared', { error }))
        .finally(() => this.#scheduleCompare());
    }, inMs).unref();
  }
}

const newState = <T>(lastRev: number | undefined): State<T> => ({
  lastRev,
  ready: Promise.resolve(),
  early: new Map(),
  headRev: lastRev ?? 0,
  gapTimer: undefined,
  filling: undefined,
});
