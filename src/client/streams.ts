/**
 * Assistant streams: text without gaps or repeats across reconnects, and exactly one end each, also of those that ended
 * while the client was away.
 */
import { AtelierError } from './atelier-error.ts';
import type { Link } from './link.ts';
import type { ClientEvents, Message, ServerEvent } from './operations.ts';
import { StreamText } from './stream-text.ts';

/** Streams that have ended and are still known, so that what comes late of them is recognised. */
export const ENDED_MAX = 64;

export interface StreamsDeps {
  emit: <K extends keyof ClientEvents>(name: K, data: ClientEvents[K]) => void;
}

type End = { finished: ClientEvents['ai:finished'] } | { failed: ClientEvents['ai:failed'] };

export interface Streams {
  up(link: Link): void;
  down(): void;
  /** Ends every `read` with `error`. */
  close(error: Error): void;
  onStarted: (event: ServerEvent<'ai:started'>) => void;
  onDelta: (event: ServerEvent<'ai:delta'>) => void;
  onEnd: (streamId: string, end: End) => void;
  /** A stream that the server told of in an answer: its start and text so far are events like any other's. */
  onRunning: (event: ServerEvent<'ai:started'>) => void;
  /** The text from its beginning as it comes; returns the stored message, throws if the stream failed. */
  read(streamId: string): AsyncGenerator<string, Message, undefined>;
}

interface Stream {
  text: StreamText;
  started: boolean;
  filling: boolean;
  /** How it ended, kept until the text before the end is complete. */
  end?: End;
  /** The end was told. */
  over: boolean;
  wakes: Set<() => void>;
}

export function createStreams({ emit }: StreamsDeps): Streams {
  const running = new Map<string, Stream>();
  const ended = new Map<string, Stream>();
  let link: Link | undefined;
  let closed: Error | undefined;

  const streamOf = (streamId: string): Stream => {
    const known = running.get(streamId) ?? ended.get(streamId);
    if (known) return known;
    const stream: Stream = {
      text: new StreamText((offset, text) => {
        emit('ai:delta', { streamId, offset, text });
        wake(stream);
      }),
      started: false,
      filling: false,
      over: false,
      wakes: new Set(),
    };
    running.set(streamId, stream);
    return stream;
  };

  const wake = (stream: Stream): void => {
    for (const wakeUp of stream.wakes) wakeUp();
    stream.wakes.clear();
  };

  const finish = (streamId: string, stream: Stream, end: End): void => {
    if (stream.over) return;
    stream.over = true;
    stream.end = end;
    running.delete(streamId);
    ended.set(streamId, stream);
    for (const oldest of ended.keys()) {
      if (ended.size <= ENDED_MAX) break;
      ended.delete(oldest);
    }
    if ('finished' in end) emit('ai:finished', end.finished);
    else emit('ai:failed', end.failed);
    wake(stream);
  };

  /** Asks for the rest; it is needed whenever something may have been missed. */
  const fill = (streamId: string, stream: Stream): void => {
    const mine = link;
    if (!mine || stream.filling || stream.over) return;
    stream.filling = true;
    mine.run(async () => {
      try {
        const end = await readRest(mine, streamId, stream);
        if (end) finish(streamId, stream, end);
      } finally {
        stream.filling = false;
        // It may have come just after the answer.
        if (stream.end && mine.alive) finish(streamId, stream, stream.end);
      }
    });
  };

  const readRest = async (mine: Link, streamId: string, stream: Stream): Promise<End | undefined> => {
    try {
      for (;;) {
        const asked = stream.text.text.length;
        const rest = await mine.ask('ai:resume', { streamId, offset: asked });
        if (stream.over) return undefined;
        stream.text.receive(rest.offset, rest.text);
        if (rest.status !== 'running') return stream.end ?? endOf(streamId, rest.status, rest.message);
        if (stream.end) return stream.end;
        if (!stream.text.hasHole || stream.text.text.length === asked) return undefined;
      }
    } catch (error) {
      if (!(error instanceof AtelierError)) throw error;
      return stream.end ?? failure(streamId, 'unavailable', 'The stream is no longer known');
    }
  };

  const start = (event: ServerEvent<'ai:started'>): Stream => {
    const stream = streamOf(event.streamId);
    if (!stream.started && !stream.over) {
      stream.started = true;
      emit('ai:started', event);
    }
    return stream;
  };

  return {
    up(mine) {
      link = mine;
      for (const [streamId, stream] of running) fill(streamId, stream);
    },
    down() {
      link = undefined;
    },
    close(error) {
      closed = error;
      for (const stream of running.values()) wake(stream);
    },
    onStarted(event) {
      start(event);
    },
    onDelta({ streamId, offset, text }) {
      const stream = streamOf(streamId);
      if (stream.over) return;
      stream.text.receive(offset, text);
      if (stream.text.hasHole) fill(streamId, stream);
    },
    onEnd(streamId, end) {
      const stream = streamOf(streamId);
      if (stream.over) return;
      const heard = stream.started || stream.text.text !== '';
      const missing = heard && 'finished' in end && stream.text.text.length < end.finished.message.content.length;
      if (!stream.filling && !stream.text.hasHole && !missing) {
        finish(streamId, stream, end);
        return;
      }
      stream.end = end;
      fill(streamId, stream);
    },
    onRunning(event) {
      fill(event.streamId, start(event));
    },
    async *read(streamId) {
      const stream = streamOf(streamId);
      fill(streamId, stream);
      for (let seen = 0; ;) {
        const piece = stream.text.text.slice(seen);
        if (piece !== '') {
          seen += piece.length;
          yield piece;
        } else if (stream.over && stream.end) {
          if ('finished' in stream.end) return stream.end.finished.message;
          throw new AtelierError(stream.end.failed.code, stream.end.failed.message);
        } else if (closed) {
          throw closed;
        } else {
          await new Promise<void>((resolve) => {
            stream.wakes.add(resolve);
          });
        }
      }
    },
  };
}

/** The end of a stream that ended while nobody listened, as far as `ai:resume` tells it. */
function endOf(streamId: string, status: 'finished' | 'interrupted' | 'failed', message: Message | undefined): End {
  if (status === 'finished' && message) return { finished: { streamId, message } };
  return status === 'failed'
    ? failure(streamId, 'upstream', 'The answer broke off')
    : failure(streamId, 'unavailable', 'The answer was interrupted');
}

function failure(streamId: string, code: ClientEvents['ai:failed']['code'], message: string): End {
  return { failed: { streamId, code, message } };
}
