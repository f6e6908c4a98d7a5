/** A terminal's output as the agent gives it, read as fast as its reader takes it. */
import { withResolvers } from '../../protocol/index.ts';
import type { AgentLink } from '../../sandbox/agent-link.ts';
import { endOf } from './exit.ts';
import type { TerminalEnd, TerminalFrame } from './owner.ts';

/**
 * What the agent may send before the reader has taken any of it. It hides the way there and back; the agent itself lets
 * programs run on until 64 KiB more wait.
 */
const CREDIT_BYTES = 128 * 1024;

export interface AgentOutputOptions {
  link: AgentLink;
  terminalId: string;
  after: number;
  /** Aborts when its reader goes. */
  signal: AbortSignal;
  /** Aborts when there is nothing to read here any more, with how the terminal ended or an error. */
  over: AbortSignal;
  /** How a terminal ended that the agent does not have any more. */
  endOfLost: () => TerminalEnd;
}

export async function* agentOutput(options: AgentOutputOptions): AsyncGenerator<TerminalFrame, void, undefined> {
  const { link, terminalId, after, signal, over, endOfLost } = options;
  const frames: TerminalFrame[] = [];
  let changed = withResolvers();
  const wake = (): void => {
    changed.resolve();
    changed = withResolvers();
  };
  const add = (frame: TerminalFrame): void => {
    frames.push(frame);
    wake();
  };
  const attachment = link.attach(
    terminalId,
    { after, creditBytes: CREDIT_BYTES },
    {
      onOutput: (data, offset) => add({ type: 'output', offset, data }),
      onSnapshot: ({ seq, columns, rows, data }) =>
        add({ type: 'snapshot', offset: seq, size: { cols: columns, rows }, data }),
      onExit: (exit) => add({ type: 'exited', end: endOf(exit) }),
      onLost: () => add({ type: 'exited', end: endOfLost() }),
    },
  );
  for (const ending of [signal, over]) ending.addEventListener('abort', wake);
  try {
    for (;;) {
      if (signal.aborted) return;
      const frame = frames.shift();
      if (frame) {
        yield frame;
        if (frame.type === 'exited') return;
        attachment.grant(frame.data.length);
      } else if (over.aborted) {
        if (over.reason instanceof Error) throw over.reason;
        yield { type: 'exited', end: over.reason as TerminalEnd };
        return;
      } else await changed.promise;
    }
  } finally {
    for (const ending of [signal, over]) ending.removeEventListener('abort', wake);
    attachment.detach();
  }
}
