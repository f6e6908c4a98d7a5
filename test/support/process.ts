/** The built server as a process of its own, which a test may kill. `npm test` builds it first. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { spawnChild } from './child.ts';
import { testEnvironment } from './server.ts';

export interface ServerProcess extends AsyncDisposable {
  url: string;
  pid: number;
  /** Everything it has printed so far. */
  output(): string;
  /** Sends a signal and waits for the end; resolves with its exit code, null after a kill. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Starts `dist/main.js` and waits until it is ready. Rejects with its output when it ends before. */
export async function startProcess(env: Record<string, string>): Promise<ServerProcess> {
  const { child, output } = spawnServer(env);
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`The server ended with ${code}:\n${output()}`)));
    if (!child.stdout) return;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const address = /http:\/\/(?:127\.0\.0\.1|localhost):\d+/.exec(line)?.[0];
      if (address) resolve(address.replace('localhost', '127.0.0.1'));
    });
  });
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exited = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    return (await exited)[0];
  };
  return {
    url,
    pid: child.pid ?? 0,
    output,
    end,
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
    },
  };
}

/** Runs it to its end, for starts that must fail. */
export async function runToEnd(
  env: Record<string, string>,
  program = 'dist/main.js',
  args: readonly string[] = [],
): Promise<{ code: number | null; output: string }> {
  const { child, output } = spawnServer(env, program, args);
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, output: output() };
}

function spawnServer(
  env: Record<string, string>,
  program = 'dist/main.js',
  args: readonly string[] = [],
): { child: ChildProcess; output: () => string } {
  const { PATH = '', HOME = '', TMPDIR } = process.env;
  const child = spawnChild(process.execPath, [program, ...args], {
    env: { PATH, HOME, ...(TMPDIR ? { TMPDIR } : {}), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  const collect = (chunk: Buffer): void => {
    printed += chunk.toString();
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  return { child, output: () => printed };
}

export { testEnvironment };
