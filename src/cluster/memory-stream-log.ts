/** The stream log of a node that is alone. Bounded in all: those without new text for longest go first. */
import { LIMITS } from '../protocol/index.ts';
import { systemClock, type Clock } from './clock.ts';
import { STREAM_LOG_MS, type StreamLog } from './stream-log.ts';

export interface MemoryStreamLogOptions {
  clock?: Clock;
  /** Characters of all streams together. */
  maxChars?: number;
}

/** 32 streams of the longest kind, or thousands of common ones: about 64 MB. */
const MAX_CHARS = 32 * LIMITS.streamChars;
const SWEEP_MS = 60_000;

interface Kept {
  text: string;
  atMs: number;
}

export function createMemoryStreamLog({
  clock = systemClock,
  maxChars = MAX_CHARS,
}: MemoryStreamLogOptions = {}): StreamLog {
  /** In the order of their last texts. */
  const streams = new Map<string, Kept>();
  let chars = 0;

  const forget = (streamId: string): void => {
    chars -= streams.get(streamId)?.text.length ?? 0;
    streams.delete(streamId);
  };
  const trim = (): void => {
    for (const [streamId, { atMs }] of streams) {
      if (chars <= maxChars && clock.now() - atMs < STREAM_LOG_MS) return;
      forget(streamId);
    }
  };
  const stopSweep = clock.every(SWEEP_MS, trim);

  return {
    async append(streamId, offset, text) {
      trim();
      const before = streams.get(streamId)?.text ?? '';
      if (before.length === LIMITS.streamChars) return before.length;
      forget(streamId);
      if (offset > before.length) return 0;
      const after = (before + text.slice(before.length - offset)).slice(0, LIMITS.streamChars);
      chars += after.length;
      streams.set(streamId, { text: after, atMs: clock.now() });
      trim();
      return streams.get(streamId)?.text.length ?? 0;
    },

    async read(streamId, offset) {
      trim();
      const kept = streams.get(streamId);
      if (!kept) return undefined;
      const from = Math.max(0, Math.min(offset, kept.text.length));
      return { text: kept.text.slice(from), offset: from };
    },

    async remove(streamId) {
      forget(streamId);
    },

    async close() {
      stopSweep();
      streams.clear();
      chars = 0;
    },
  };
}
