/** Runs one stream from its start to its end: pulls the provider, writes deltas, and hands the text to the ending. */
import type { Log } from '../../observability/log.ts';
import { chatRoom, Fault, LIMITS, type Rooms } from '../../protocol/index.ts';
import type { StreamLog } from '../../cluster/stream-log.ts';
import { abortable, type Clock } from './clock.ts';
import type { aiEvents, Usage } from './contract.ts';
import { DeltaWriter, windowFor } from './delta-writer.ts';
import type { Outcome, StreamFailure, StreamRow } from './model.ts';
import { NO_USAGE, type AiProvider, type AiRequest } from './provider.ts';
import { INTERRUPTED, type EndStream } from './stream-ending.ts';

export interface RunnerDeps {
  provider: AiProvider;
  rooms: Pick<Rooms<typeof aiEvents>, 'emit' | 'size'>;
  streamLog: StreamLog;
  end: EndStream;
  log: Log;
  clock: Clock;
  /** The longest answer in UTF-16 units; `LIMITS.streamChars` if not given. */
  maxChars?: number;
}

/** No answer takes longer than this, in milliseconds: a service that only sends pings would never end. */
const STREAM_MS = 30 * 60_000;

export class StreamRunner {
  readonly #deps: RunnerDeps;
  readonly #row: StreamRow;
  readonly #writer: DeltaWriter;
  readonly #controller = new AbortController();
  #usage: Usage = NO_USAGE;
  #listeners: (() => void)[] = [];
  #ended = false;
  /** Resolves when the end is stored and emitted; never rejects. */
  readonly done: Promise<void>;

  /** Starts at once. `request` is built while the stream already counts as running. */
  constructor(deps: RunnerDeps, row: StreamRow, request: () => Promise<AiRequest>) {
    const { rooms, streamLog, clock, log, maxChars = LIMITS.streamChars } = deps;
    const { streamId, chatId, messageId } = row;
    const room = chatRoom(chatId);
    this.#deps = deps;
    this.#row = row;
    this.#writer = new DeltaWriter({
      clock,
      limit: maxChars,
      windowMs: () => windowFor(rooms.size(room)),
      append: (offset, text) => streamLog.append(streamId, offset, text),
      emit: (offset, text) => {
        rooms.emit(room, 'ai:delta', { streamId, offset, text });
        this.#notify();
      },
      onFailure: (error) => log.warn('A delta was not taken', { streamId, error }),
    });
    rooms.emit(room, 'ai:started', { streamId, messageId, chatId });
    this.done = this.#run(request);
  }

  /** The text that has been emitted; it ends where a delta ends. */
  get text(): string {
    return this.#writer.text;
  }

  /** From here on its row says how it ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Resolves at the next delta or at the end. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#listeners.push(resolve));
  }

  /** Ends the stream with the text so far: `stopped` because somebody wanted it, `interrupted` because the server ends. */
  stop(how: 'stopped' | 'interrupted'): Promise<void> {
    this.#controller.abort(new Ended(how === 'stopped' ? { status: 'finished', stopReason: 'stopped' } : INTERRUPTED));
    return this.done;
  }

  async #run(request: () => Promise<AiRequest>): Promise<void> {
    const outcome = await this.#pull(request).catch((error: unknown) => this.#outcomeOf(error));
    const text = await this.#writer.end();
    await this.#deps.end(this.#row, text, this.#usage, outcome);
    this.#ended = true;
    this.#notify();
  }

  async #pull(request: () => Promise<AiRequest>): Promise<Outcome> {
    const { clock, provider } = this.#deps;
    const { signal } = this.#controller;
    const tooLong = new Fault('timeout', `The answer took longer than ${STREAM_MS / 60_000} minutes`);
    const cancelLimit = clock.after(STREAM_MS, () => this.#controller.abort(tooLong));
    try {
      const parts = provider.stream(await abortable(request(), signal), signal)[Symbol.asyncIterator]();
      try {
        for (;;) {
          // Not left to the provider alone: one that ignores its signal must not hold up the end.
          const next = await abortable(parts.next(), signal);
          if (next.done) throw new Fault('upstream', 'The AI service broke off its answer');
          const part = next.value;
          switch (part.type) {
            case 'text':
              if (!this.#writer.push(part.text)) return { status: 'finished', stopReason: 'max_tokens' };
              break;
            case 'usage':
              this.#usage = part.usage;
              break;
            case 'stop':
              return { status: 'finished', stopReason: part.reason };
          }
        }
      } finally {
        this.#controller.abort();
        parts.return?.().catch(() => {});
      }
    } finally {
      cancelLimit();
    }
  }

  #outcomeOf(error: unknown): Outcome {
    if (error instanceof Ended) return error.outcome;
    const { streamId, chatId } = this.#row;
    const isBug = !(error instanceof Fault);
    const fields = { streamId, chatId, provider: this.#deps.provider.name, error };
    if (isBug) this.#deps.log.error('A stream broke on our side', fields);
    else this.#deps.log.warn('A stream failed', { ...fields, code: error.code });
    return { status: 'failed', failure: isBug ? OUR_FAULT : failureOf(error) };
  }

  #notify(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}

/** Why a stream was aborted, when it was we who did it. */
class Ended extends Error {
  override readonly name = 'Ended';
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super('The stream was ended');
    this.outcome = outcome;
  }
}

const OUR_FAULT: StreamFailure = { code: 'unavailable', message: 'Something went wrong on our side' };

const failureOf = ({ code, message }: Fault): StreamFailure => ({
  code: code === 'timeout' || code === 'unavailable' ? code : 'upstream',
  message,
});
