/**
 * Streams as server-sent events. What may refuse (not_found) does so as an ordinary answer before the first byte; a slow
 * reader is waited for, not buffered for; a reader that leaves ends the watch, never the stream.
 */
import type { Response } from 'express';
import { Fault, LIMITS, toFault } from '../protocol/index.ts';
import type { RestDeps, StreamItem } from './deps.ts';

/** Headers go out after this even when the stream has nothing to say yet, so that clients know they are connected. */
const SILENT_START_MS = 1_000;
const HEARTBEAT_MS = 15_000;
/** A reader that takes nothing for so long is gone or stuck. */
const STUCK_READER_MS = 60_000;

export interface EventStreams {
  /** Throws `rate_limited` when the user has too many streams open, `unavailable` when the server is stopping. */
  admit: (userId: string) => void;
  /** Resolves when the response has ended; rejects (with nothing sent) when the watch refuses at its start. */
  follow: (response: Response, streamId: string, userId: string, offset: number) => Promise<void>;
}

type Deps = Pick<RestDeps, 'streams' | 'closing' | 'heartbeatMs'> & { onBug: (error: unknown) => void };

export function createEventStreams(deps: Deps): EventStreams {
  const open = new Map<string, number>();
  const ends = new Set<() => void>();
  deps.closing?.addEventListener('abort', () => ends.forEach((end) => end()), { once: true });

  const admit = (userId: string): void => {
    if (deps.closing?.aborted) throw new Fault('unavailable', 'The server is stopping', { retryAfterMs: 1_000 });
    if ((open.get(userId) ?? 0) >= LIMITS.connectionsPerUser) {
      throw new Fault('rate_limited', 'Too many event streams are open', { retryAfterMs: 10_000 });
    }
  };

  const follow: EventStreams['follow'] = async (response, streamId, userId, offset) => {
    admit(userId);
    open.set(userId, (open.get(userId) ?? 0) + 1);
    const ending = endingOf(response, ends);
    const items = deps.streams.watch(streamId, userId, offset, ending.signal)[Symbol.asyncIterator]();
    try {
      const first = items.next();
      const opening = await Promise.race([first, silence(SILENT_START_MS, ending.signal)]);
      if (deps.closing?.aborted) admit(userId);
      // 204 tells an EventSource not to come back.
      if (opening?.done) response.status(204).end();
      else await pump(response, streamId, first, items, ending, deps);
    } finally {
      const left = (open.get(userId) ?? 1) - 1;
      if (left > 0) open.set(userId, left);
      else open.delete(userId);
      ending.forget();
      // Not awaited: an iterator that waits for text returns only once it has some.
      Promise.resolve(items.return?.()).catch(deps.onBug);
      if (response.headersSent && !response.writableEnded) response.end();
    }
  };
  return { admit, follow };
}

async function pump(
  response: Response,
  streamId: string,
  first: Promise<IteratorResult<StreamItem>>,
  items: AsyncIterator<StreamItem>,
  ending: Ending,
  deps: Deps,
): Promise<void> {
  response.status(200).set({
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store, no-transform',
    // nginx would collect the whole stream otherwise.
    'X-Accel-Buffering': 'no',
  });
  response.flushHeaders();
  const beat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(':\n\n');
  }, deps.heartbeatMs ?? HEARTBEAT_MS);
  beat.unref();
  try {
    let next = first;
    for (;;) {
      const step = await Promise.race([next, ending.reached]);
      if (step === undefined || step.done) return;
      const { id, event, data } = step.value;
      const hasRoom = response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (!hasRoom) await drained(response, ending);
      next = items.next();
    }
  } catch (error) {
    if (ending.signal.aborted) return;
    const fault = toFault(error);
    if (fault.code === 'internal') deps.onBug(error);
    response.write(`event: failed\ndata: ${JSON.stringify({ streamId, ...fault.toBody() })}\n\n`);
  } finally {
    clearInterval(beat);
  }
}

interface Ending {
  signal: AbortSignal;
  /** Resolves when the client has gone or the server drains. */
  reached: Promise<undefined>;
  forget: () => void;
}

function endingOf(response: Response, ends: Set<() => void>): Ending {
  const controller = new AbortController();
  const end = (): void => controller.abort();
  const reached = new Promise<undefined>((resolve) => {
    controller.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  response.once('close', end);
  ends.add(end);
  if (response.destroyed) end();
  const forget = (): void => {
    response.off('close', end);
    ends.delete(end);
    controller.abort();
  };
  return { signal: controller.signal, reached, forget };
}

async function drained(response: Response, ending: Ending): Promise<void> {
  let onDrain = (): void => {};
  const ready = new Promise<undefined>((resolve) => {
    onDrain = () => resolve(undefined);
    response.once('drain', onDrain);
  });
  const stuck = setTimeout(() => response.destroy(), STUCK_READER_MS);
  stuck.unref();
  await Promise.race([ready, ending.reached]);
  clearTimeout(stuck);
  response.off('drain', onDrain);
}

function silence(ms: number, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), ms);
    timer.unref();
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
