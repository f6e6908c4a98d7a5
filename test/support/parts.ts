/** Parts of the machine that some tests need. Without one its tests are left out, by name; in CI they fail instead. */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether the command is there. Throws in CI where it is not. */
export function hasPart(command: string): boolean {
  const found = (process.env['PATH'] ?? '').split(delimiter).some((path) => existsSync(join(path, command)));
  if (found) return true;
  if (process.env['CI']) throw new Error(`CI must have ${command}`);
  console.warn(`Left out, because this machine has no ${command}:`);
  return false;
}
