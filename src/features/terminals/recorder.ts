/** What a terminal shows from now on, as asciicast version 2: a header, then one line for each thing that happens. */
import { LIMITS } from '../../protocol/index.ts';
import type { Size } from './contract.ts';
import type { TerminalFrame } from './owner.ts';

export class Recorder {
  readonly startedAtMs: number;
  readonly #now: () => number;
  readonly #lines: string[] = [];
  /** Characters may come in two pieces. */
  readonly #decoder = new TextDecoder();
  #sizeBytes = 0;

  constructor(size: Size, now: () => number) {
    this.#now = now;
    this.startedAtMs = now();
    this.#add({
      version: 2,
      width: size.cols,
      height: size.rows,
      timestamp: Math.floor(this.startedAtMs / 1_000),
      env: { TERM: 'xterm-256color', SHELL: '/bin/bash' },
    });
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Nothing more fits. */
  get isFull(): boolean {
    return this.#sizeBytes >= LIMITS.terminalRecordingBytes;
  }

  take(frame: TerminalFrame): void {
    if (frame.type === 'exited') return;
    const text = this.#decoder.decode(frame.data, { stream: true });
    // A screen in the middle replaces what was shown, as it does for viewers.
    this.#event('o', frame.type === 'snapshot' ? `\x1bc${text}` : text);
  }

  resized({ cols, rows }: Size): void {
    this.#event('r', `${cols}x${rows}`);
  }

  content(): Buffer {
    return Buffer.from(this.#lines.join(''));
  }

  #event(kind: 'o' | 'r', data: string): void {
    if (data === '' || this.isFull) return;
    const seconds = Math.max(0, this.#now() - this.startedAtMs) / 1_000;
    this.#add([Number(seconds.toFixed(6)), kind, data]);
  }

  #add(value: unknown): void {
    const line = `${JSON.stringify(value)}\n`;
    this.#lines.push(line);
    this.#sizeBytes += Buffer.byteLength(line);
  }
}
