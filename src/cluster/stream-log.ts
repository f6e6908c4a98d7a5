/** Bounded, offset-addressed text that is still growing (AI streams). Offsets are UTF-16 units. */
export interface StreamLog {
  /** Adds text at `offset`; text that is already there is not added twice. */
  append(streamId: string, offset: number, text: string): Promise<void>;
  /** The text from `offset` on, or undefined when the stream is not (or no longer) kept. */
  read(streamId: string, offset: number): Promise<{ text: string; offset: number } | undefined>;
  /** Forgets a stream; it would also go by itself an hour after its last text. */
  remove(streamId: string): Promise<void>;
  close(): Promise<void>;
}
