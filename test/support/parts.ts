/** Parts of the machine that some tests need. Without one its tests are left out, by name; in CI they fail instead. */
import { spawnSync } from 'node:child_process';

/** Whether the command is there. Throws in CI where it is not. */
export function hasPart(command: string): boolean {
  const found = spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
  if (found) return true;
  if (process.env['CI']) throw new Error(`CI must have ${command}`);
  console.warn(`Left out, because this machine has no ${command}:`);
  return false;
}
