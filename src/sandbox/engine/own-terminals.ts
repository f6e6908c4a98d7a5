/**
 * Lets programs of a sandbox open terminals of their own, as tmux, `script` and tests of programs do. All sandboxes of a
 * machine share its terminals, so each gets a limit first, which only this machine's root can set.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import type { Containers } from './containers.ts';

/** Those that the agent opens among them. The kernel has 3,072 for all containers of a machine if nobody has changed that. */
const MOST_TERMINALS = 80;

/** As the engine mounts it, and with the limit: what is not named would be changed. */
const REMOUNT = [
  '/bin/mount',
  '-o',
  `remount,nosuid,noexec,gid=5,mode=620,ptmxmode=666,max=${MOST_TERMINALS}`,
  '/dev/pts',
];

/** False where this process may not, or the engine is on another machine: then only the agent has terminals. */
export async function allowOwnTerminals(containers: Containers, containerId: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const pid = await containers.processId(containerId);
  if (pid === undefined) return false;
  try {
    // What is opened stays the same one even if the number comes to be another process's; which one it is is asked after.
    await using place = await open(`/proc/${pid}/ns/mnt`);
    if (!(await readFile(`/proc/${pid}/cgroup`, 'utf8')).includes(containerId)) return false;
    const command = ['--mount=/proc/self/fd/3', '--', ...REMOUNT];
    // Programs of the image, which nobody in a sandbox can change.
    const child = spawn('nsenter', command, { stdio: ['ignore', 'ignore', 'ignore', place.fd] });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code === 0;
  } catch {
    return false;
  }
}
