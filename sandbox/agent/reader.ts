/** One attachment: what of a terminal's output has gone to it, and how much more it wants. */
import { AGENT_LIMITS, type AgentMessage } from '../../src/sandbox/agent-protocol/index.ts';
import type { Source } from '../../src/sandbox/streams/sender.ts';
import type { Terminal } from './terminal.ts';

export class Reader implements Source<AgentMessage> {
  readonly attachment: number;
  readonly terminal: Terminal;
  #position: number;
  /** A snapshot goes in one and may take more than there is. */
  #creditBytes: number;
  #isEnded = false;

  constructor(attachment: number, terminal: Terminal, after: number, creditBytes: number) {
    this.attachment = attachment;
    this.terminal = terminal;
    this.#position = after;
    this.#creditBytes = creditBytes;
  }

  /** Whether the terminal need not go on for this reader. */
  get isBehind(): boolean {
    return this.terminal.output.end - this.#position >= AGENT_LIMITS.lagBytes;
  }

  grant(bytes: number): void {
    this.#creditBytes = Math.min(AGENT_LIMITS.creditBytes, this.#creditBytes + bytes);
  }

  /** A piece of output, or all parts of a snapshot: parts of two are never mixed. */
  next(): AgentMessage[] {
    if (this.#isEnded) return [];
    const { output, exit } = this.terminal;
    const { attachment } = this;
    const seq = this.#position;
    if (exit && seq === output.end) {
      this.#isEnded = true;
      return [{ type: 'end', attachment, seq, exit }];
    }
    if (this.#creditBytes <= 0) return [];
    const data = output.read(seq, Math.min(this.#creditBytes, AGENT_LIMITS.chunkBytes));
    if (!data) return this.#snapshot();
    if (data.length === 0) return [];
    this.#moveTo(seq + data.length, data.length);
    return [{ type: 'output', attachment, seq, data }];
  }

  #snapshot(): AgentMessage[] {
    const { seq, bytes, size } = this.terminal.snapshot();
    this.#moveTo(seq, bytes.length);
    const parts: AgentMessage[] = [];
    let offset = 0;
    do {
      const data = bytes.subarray(offset, offset + AGENT_LIMITS.chunkBytes);
      parts.push({
        type: 'snapshot',
        attachment: this.attachment,
        seq,
        ...size,
        totalBytes: bytes.length,
        offset,
        data,
      });
      offset += data.length;
    } while (offset < bytes.length);
    return parts;
  }

  #moveTo(position: number, creditBytes: number): void {
    this.#position = position;
    this.#creditBytes -= creditBytes;
    this.terminal.govern();
  }
}
