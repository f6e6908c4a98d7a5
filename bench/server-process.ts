/** One process under test and what it costs. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** Clock ticks per second of /proc, the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface ServerProcess {
  /** The address that it printed. */
  url: string;
  /** CPU seconds of all its threads so far. */
  cpuSeconds(): number;
  residentBytes(): number;
  /** What it holds after a garbage collection. */
  memory(): Promise<NodeJS.MemoryUsage>;
  stop(): Promise<void>;
}

/** Starts Node on a script and waits for the line that carries its address. Flags for a profile come by BENCH_NODE_OPTIONS. */
export async function startNode(args: readonly string[], env: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const flags = (process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter(Boolean);
  const child = spawn(process.execPath, ['--expose-gc', '--import', './bench/probe.mjs', ...flags, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  return { url: await addressOf(child), ...costsOf(child), stop: () => end(child) };
}

/** A profile is written only by a process that ends in order. */
async function end(child: ChildProcess): Promise<void> {
  child.kill(process.env['BENCH_NODE_OPTIONS'] === undefined ? 'SIGKILL' : 'SIGTERM');
  await once(child, 'exit');
}

export function costsOf(child: ChildProcess): Pick<ServerProcess, 'cpuSeconds' | 'residentBytes' | 'memory'> {
  const { pid } = child;
  return {
    cpuSeconds() {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    },
    residentBytes: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
    async memory() {
      child.send('memory');
      const [usage] = (await once(child, 'message')) as [NodeJS.MemoryUsage];
      return usage;
    },
  };
}

async function addressOf(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('The server has no output to read its address from');
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /http:\/\/(?:localhost|127\.0\.0\.1):\d+/.exec(line)?.[0];
    if (address) {
      child.stdout.resume();
      return address.replace('localhost', '127.0.0.1');
    }
  }
  throw new Error('The server ended before it gave its address');
}
