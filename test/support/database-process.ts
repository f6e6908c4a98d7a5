/** The embedded engine as a process of its own, which a test may kill and bring back at the same address. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { spawnChild } from './child.ts';
import { freePort } from './free-port.ts';

export interface DatabaseProcess extends AsyncDisposable {
  readonly uri: string;
  readonly port: number;
  /** Ends it at once, as a crash does; what was acknowledged is on disk. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/** Starts `dist/storage/embedded-mongo/main.js` on a directory. `npm test` builds it first. */
export async function startDatabaseProcess(path: string): Promise<DatabaseProcess> {
  const port = await freePort();
  let child = await start(path, port);
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return {
    uri: `mongodb://127.0.0.1:${port}`,
    port,
    kill,
    async restart() {
      child = await start(path, port);
    },
    [Symbol.asyncDispose]: kill,
  };
}

/** Resolves when it listens. */
async function start(path: string, port: number): Promise<ChildProcess> {
  const program = 'dist/storage/embedded-mongo/main.js';
  const child = spawnChild(process.execPath, [program, '--path', path, '--port', String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The database ended with code ${String(code)}`);
  });
  await Promise.race([once(child.stdout as NodeJS.EventEmitter, 'data'), ended]);
  ended.catch(() => {});
  return child;
}
