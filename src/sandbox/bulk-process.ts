/** A process in a sandbox, seen from the server. */
import { withResolvers } from '../protocol/index.ts';
import type { Exit, SignalName } from './agent-protocol/index.ts';
import type { SandboxProcess } from './agent-streams.ts';
import type { ByteStream } from './streams/byte-stream.ts';

export interface ProcessStreams {
  stdin: ByteStream;
  stdout: ByteStream;
  stderr: ByteStream;
}

export class BulkProcess implements SandboxProcess {
  readonly stdin: ByteStream;
  readonly stdout: ByteStream;
  readonly stderr: ByteStream;
  readonly #kill: (signal: SignalName) => void;
  readonly #exited = withResolvers<Exit>();

  constructor({ stdin, stdout, stderr }: ProcessStreams, kill: (signal: SignalName) => void) {
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.#kill = kill;
    // Who asks hears of it.
    this.#exited.promise.catch(() => {});
  }

  get exited(): Promise<Exit> {
    return this.#exited.promise;
  }

  kill(signal: SignalName): void {
    this.#kill(signal);
  }

  /** Nobody wants it. */
  abandon(): void {
    this.#kill('SIGKILL');
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.destroy();
  }

  /** It has ended, and all of its output has come, if not been read. */
  onEnded(exit: Exit): void {
    this.stdin.destroy();
    void Promise.all([this.stdout, this.stderr].map(closed)).then(() => this.#exited.resolve(exit));
  }

  /** It is not known what becomes of it. */
  fail(error: Error): void {
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.fail(error);
    this.#exited.reject(error);
  }
}

const closed = (stream: ByteStream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.closed) resolve();
    else stream.once('close', resolve);
  });
