/**
 * A server as a process, which a test kills: reads the terminal `t` from a position on and prints what it is given, each
 * piece as a line `seq base64`. Arguments: the directory, the fence, the position.
 */
import { createAgentLink } from '../../src/sandbox/agent-link.ts';
import { silentLog } from '../support/log.ts';
import { SECRET, shell } from './agent-process.ts';

const [directory = '', fence = '', after = '', line = ''] = process.argv.slice(2);
const link = await createAgentLink({ directory, secret: SECRET, fence: Number(fence), log: silentLog });
await link.open(shell('t', line));
const attachment = link.attach(
  't',
  { after: Number(after), creditBytes: 8_192 },
  {
    onOutput: (data, seq) => {
      process.stdout.write(`${seq} ${Buffer.from(data).toString('base64')}\n`);
      // Slowly, so that it is killed amid it.
      setTimeout(() => attachment.grant(data.length), 5);
    },
    onSnapshot: () => process.stdout.write('snapshot\n'),
    onExit: () => process.stdout.write('exit\n'),
    onLost: () => process.stdout.write('lost\n'),
  },
);
