/**
 * A server as a process, which a test kills: reads the terminal `t` from a position on and prints what it is given, each
 * piece as a line `seq base64`. Arguments: the directory, the fence, the position.
 */
import { createAgentLink } from '../../src/sandbox/agent-link.ts';
import { silentLog } from '../support/log.ts';
import { SECRET, shell } from './agent-process.ts';
import { printOutput } from './printed-output.ts';

const [directory = '', fence = '', after = '', line = ''] = process.argv.slice(2);
const link = await createAgentLink({ directory, secret: SECRET, fence: Number(fence), log: silentLog });
await link.open(shell('t', line));
printOutput(link, Number(after));
