/** Processes that tests start. None outlives the test run, however that ends. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';

const running = new Set<ChildProcess>();
let watching = false;

/** As `spawn`; the process is killed when this one exits. */
export function spawnChild(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  if (!watching) {
    watching = true;
    process.once('exit', () => {
      for (const child of running) child.kill('SIGKILL');
    });
  }
  const child = spawn(command, args, options);
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}
