/** Bounded, offset-addressed text that is still growing (AI streams). Offsets are UTF-16 units. */
export interface StreamLog {
  /**
   * Adds text at `offset`; text that is already there is not added twice, and what goes over `LIMITS.streamChars` is
   * left out. A stream whose text before `offset` is not kept any more is forgotten: better nothing than a hole.
   * Resolves with how much of the stream is kept now; a writer with more than that appends from there again. Rejects
   * with `Fault('unavailable')` while out of reach; what was appended may be kept or not.
   */
  append(streamId: string, offset: number, text: string): Promise<number>;
  /**
   * The text from `offset` on, or undefined when the stream is not (or no longer) kept. An `offset` past its end gives
   * an empty text, and the end as `offset`. Rejects with `Fault('unavailable')` while out of reach.
   */
  read(streamId: string, offset: number): Promise<{ text: string; offset: number } | undefined>;
  /** Forgets a stream; it would also go by itself an hour after its last text. */
  remove(streamId: string): Promise<void>;
  close(): Promise<void>;
}

/** A stream is kept so long after its last text. */
export const STREAM_LOG_MS = 3_600_000;
