/**
 * Turns a model's small pieces of text into deltas: the first at once, later ones gathered for a window that grows with
 * the room. Every delta is put into the stream log before it is emitted, so that whoever reads the log finds at least
 * what was emitted; a log that fails or hangs delays a delta and never stops it. Surrogate pairs are never split, and
 * lone surrogates become U+FFFD, as they would on their way into UTF-8 anyway.
 */
import { within, type Clock } from './clock.ts';

/** The longest text of one delta in UTF-16 units: with it a packet stays under the 64 KiB of a message between nodes. */
const DELTA_UNITS = 16_384;
/** How long a delta waits for the stream log, in milliseconds. */
const LOG_MS = 1_000;

export interface DeltaWriterDeps {
  clock: Clock;
  /** The longest text in all, in UTF-16 units. */
  limit: number;
  /** The present window, in milliseconds. */
  windowMs: () => number;
  /** Resolves with how much of the text the log has now. */
  append: (offset: number, text: string) => Promise<number>;
  emit: (offset: number, text: string) => void;
  /** The log or the room did not take a delta; the stream goes on. */
  onFailure: (error: unknown) => void;
}

export class DeltaWriter {
  readonly #deps: DeltaWriterDeps;
  #emitted = '';
  #pending = '';
  /** The first half of a surrogate pair whose second has not come yet. */
  #half = '';
  /** How much the log has for certain. */
  #logged = 0;
  #lastAt: number | undefined;
  #cancelTimer: (() => void) | undefined;
  #flushing: Promise<void> | undefined;

  constructor(deps: DeltaWriterDeps) {
    this.#deps = deps;
  }

  /** The text that has been emitted. */
  get text(): string {
    return this.#emitted;
  }

  /** Takes more text; false when the limit is reached and the rest was left out. */
  push(text: string): boolean {
    let incoming = this.#half + text;
    this.#half = /[\ud800-\udbff]$/.exec(incoming)?.[0] ?? '';
    if (this.#half) incoming = incoming.slice(0, -1);
    const fits = this.#take(incoming);
    this.#schedule();
    return fits;
  }

  /** Emits what is left; resolves with the whole text. */
  async end(): Promise<string> {
    this.#take(this.#half);
    this.#half = '';
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    while (this.#pending !== '' || this.#flushing) await (this.#flushing ?? this.#flush());
    return this.#emitted;
  }

  #take(text: string): boolean {
    const room = this.#deps.limit - this.#emitted.length - this.#pending.length;
    const whole = text.replace(LONE_SURROGATE, '\ufffd');
    this.#pending += whole.slice(0, pairSafe(whole, room));
    return whole.length <= room;
  }

  #schedule(): void {
    if (this.#pending === '' || this.#cancelTimer || this.#flushing) return;
    const { clock, windowMs } = this.#deps;
    const window = windowMs();
    const waitMs = this.#lastAt === undefined ? 0 : Math.min(window, this.#lastAt + window - clock.now());
    if (waitMs <= 0) void this.#flush();
    else {
      this.#cancelTimer = clock.after(waitMs, () => {
        this.#cancelTimer = undefined;
        void this.#flush();
      });
    }
  }

  #flush(): Promise<void> {
    this.#flushing ??= this.#emitPending().finally(() => {
      this.#flushing = undefined;
      this.#lastAt = this.#deps.clock.now();
      this.#schedule();
    });
    return this.#flushing;
  }

  async #emitPending(): Promise<void> {
    let left = this.#pending.length;
    while (left > 0) {
      const text = this.#pending.slice(0, pairSafe(this.#pending, Math.min(left, DELTA_UNITS)));
      await this.#log(text);
      const offset = this.#emitted.length;
      this.#pending = this.#pending.slice(text.length);
      this.#emitted += text;
      left -= text.length;
      try {
        this.#deps.emit(offset, text);
      } catch (error) {
        this.#deps.onFailure(error);
      }
    }
  }

  async #log(text: string): Promise<void> {
    const { clock, onFailure } = this.#deps;
    try {
      this.#logged = await within(clock, LOG_MS, this.#append(text), () => new Error('The stream log is late'));
    } catch (error) {
      onFailure(error);
    }
  }

  /** After a failure the log also gets what it missed, and all of it when it has lost the stream; it keeps nothing twice. */
  async #append(text: string): Promise<number> {
    const { append } = this.#deps;
    const whole = this.#emitted + text;
    const offset = this.#logged;
    const kept = await append(offset, whole.slice(offset));
    return kept < offset ? append(kept, whole.slice(kept)) : kept;
  }
}

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** The greatest end of a slice of at most `length` units that splits no surrogate pair. */
export function pairSafe(text: string, length: number): number {
  const splits =
    length > 0 && length < text.length && /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(length - 1, length + 1));
  return splits ? length - 1 : Math.max(0, length);
}

/** How long deltas are gathered for a room with so many sockets, in milliseconds: 33 in small ones, at most 250. */
export const windowFor = (sockets: number): number => Math.min(250, 33 + Math.floor(sockets / 10));
