/** What a server's process, which a test kills, is given of a terminal: each piece as a line `seq base64` on its stdout. */
import type { AgentLink } from '../../src/sandbox/agent-link.ts';

/** Reads the terminal `t` from a position on, slowly, so that the process is killed amid it. */
export function printOutput(link: AgentLink, after: number): void {
  const attachment = link.attach(
    't',
    { after, creditBytes: 8_192 },
    {
      onOutput: (data, seq) => {
        process.stdout.write(`${seq} ${Buffer.from(data).toString('base64')}\n`);
        setTimeout(() => attachment.grant(data.length), 5);
      },
      onSnapshot: () => process.stdout.write('snapshot\n'),
      onExit: () => process.stdout.write('exit\n'),
      onLost: () => process.stdout.write('lost\n'),
    },
  );
}
