/**
 * A process that reads what a terminal prints, as fast as it comes: so that what it costs is not the one's who measures
 * something else meanwhile. Its parent sends it a `Task` and then `go`, and gets `ready` and the seconds that it took.
 */
import { once } from 'node:events';
import { withResolvers } from '../../src/protocol/index.ts';
import { closeSockets, openShell, type Computer } from './shell.ts';

export interface Task {
  computer: Computer;
  /** What prints, and how many bytes come of it. */
  command: string;
  bytes: number;
}

/** `ready` has the terminal's id, where it has one. */
export type Answer = { type: 'ready'; terminalId?: string } | { type: 'done'; seconds: number };

const tell = (answer: Answer): void => void process.send?.(answer);

const [task] = (await once(process, 'message')) as [Task];
const ready = withResolvers();
const done = withResolvers();
let bytes = 0;
const shell = await openShell(task.computer, `stty -echo; printf R; read -r; ${task.command}; read -r`, (output) => {
  bytes += output.length;
  if (bytes === 1) ready.resolve();
  if (bytes > task.bytes) done.resolve();
});
await ready.promise;
tell({ type: 'ready', ...(shell.terminalId === undefined ? {} : { terminalId: shell.terminalId }) });
await once(process, 'message');
const startedAt = performance.now();
shell.type('\n');
await done.promise;
tell({ type: 'done', seconds: (performance.now() - startedAt) / 1_000 });
await shell.close();
await closeSockets();
process.disconnect();
