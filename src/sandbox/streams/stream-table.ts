/** The streams of one connection by their numbers, of which each end gives its own, in rising order. */
import { FIRST_AGENT_STREAM, ProtocolError, type StreamMessage } from '../agent-protocol/index.ts';
import { ByteStream, type Half, type StreamOwner } from './byte-stream.ts';
import type { Source } from './sender.ts';

/** What a table needs of the connection's sender. */
export interface StreamSender {
  answer(message: StreamMessage): void;
  wake(source: Source<StreamMessage>): void;
  forget(source: Source<StreamMessage>): void;
}

export class StreamTable {
  readonly #sender: StreamSender;
  readonly #streams = new Map<number, ByteStream>();
  readonly #owner: StreamOwner;
  /** The highest numbers that there have been, of both ends. */
  #highest = { server: 0, agent: FIRST_AGENT_STREAM - 1 };

  constructor(sender: StreamSender) {
    this.#sender = sender;
    this.#owner = {
      wake: (stream) => this.#sender.wake(stream),
      over: (stream, isReset) => {
        this.#streams.delete(stream.number);
        this.#sender.forget(stream);
        if (isReset) this.#sender.answer({ type: 'reset', stream: stream.number });
      },
    };
  }

  /** How many of that end's are not over. */
  count(of: 'server' | 'agent'): number {
    return [...this.#streams.keys()].filter((number) => endOf(number) === of).length;
  }

  /** Throws where there has been such a number, or a higher one. */
  add(number: number, half: Half): ByteStream {
    const end = endOf(number);
    if (number <= this.#highest[end]) throw new ProtocolError('message', 'The number of another stream');
    this.#highest[end] = number;
    const stream = new ByteStream(number, half, this.#owner);
    this.#streams.set(number, stream);
    return stream;
  }

  /** What comes for a stream that is over was sent before the other end knew. */
  handle(message: StreamMessage): void {
    const { stream: number } = message;
    if (number === 0 || number > this.#highest[endOf(number)]) {
      throw new ProtocolError('message', 'A stream that does not exist');
    }
    this.#streams.get(number)?.receive(message);
  }

  /** The connection has ended. */
  fail(error: Error): void {
    for (const stream of this.#streams.values()) stream.fail(error);
  }
}

const endOf = (number: number): 'server' | 'agent' => (number < FIRST_AGENT_STREAM ? 'server' : 'agent');
