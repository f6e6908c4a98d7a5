/** Starts a terminal's first process as it is told to: the command line itself changes to the user that it shall run as. */
import { chownSync, readFileSync } from 'node:fs';
import { spawn, type IPty } from 'node-pty';
import type { OpenRequest } from '../../src/sandbox/agent-protocol/index.ts';

/** What node-pty's Unix terminal has besides what it declares. */
export interface Shell extends IPty {
  /** The terminal's master, which never blocks. */
  readonly fd: number;
  readonly ptsName: string;
}

/** No process could be started; the agent goes on. */
export class ShellFailed extends Error {
  override readonly name = 'ShellFailed';
}

/**
 * A thread waits for each shell, and the process ends when it cannot be made: nothing is started where, after a fork
 * bomb, there may be room for one of the two only.
 */
const PIDS_LEFT = 8;
/** Where the sandbox's own limit is, with the second and the first version of control groups. */
const PIDS_FILES = ['/sys/fs/cgroup/pids.', '/sys/fs/cgroup/pids/pids.'];

export function startShell({ argv, env, cwd, columns, rows, owner }: OpenRequest): Shell {
  const [file = '', ...args] = argv;
  if (!hasRoom()) throw new ShellFailed('There are too many processes');
  let shell: Shell;
  try {
    shell = spawn(file, args, { env, cwd, cols: columns, rows, encoding: null }) as Shell;
  } catch (error) {
    throw new ShellFailed('No process could be started', { cause: error });
  }
  try {
    // For programs that open it by its name, as tmux does.
    if (owner) chownSync(shell.ptsName, owner.uid, owner.gid);
  } catch (error) {
    shell.kill('SIGKILL');
    throw new ShellFailed('The terminal could not be given to its user', { cause: error });
  }
  return shell;
}

function hasRoom(): boolean {
  for (const prefix of PIDS_FILES) {
    try {
      const [max, current] = ['max', 'current'].map((name) => readFileSync(`${prefix}${name}`, 'utf8').trim());
      return max === 'max' || Number(max) - Number(current) >= PIDS_LEFT;
    } catch {
      // The other version's, or no limit that could be read, as outside a container.
    }
  }
  return true;
}
