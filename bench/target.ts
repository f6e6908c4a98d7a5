/** Servers under test, each a process of its own, and what they cost. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Clock ticks per second of /proc, the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Target {
  name: string;
  url: string;
  /** CPU seconds of all its threads so far. */
  cpuSeconds(): number;
  residentBytes(): number;
  stop(): Promise<void>;
}

/** Starts a server and waits for the line that carries its address. */
async function start(
  name: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  clean: () => Promise<void>,
): Promise<Target> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await addressOf(child);
  const { pid } = child;
  return {
    name,
    url,
    cpuSeconds() {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    },
    residentBytes: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
    async stop() {
      child.kill('SIGKILL');
      await once(child, 'exit');
      await clean();
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

export const startBare = (): Promise<Target> =>
  start('bare socket.io', ['--import', 'tsx', 'bench/bare-server.ts'], {}, async () => {});

/** The built server with everything on: embedded storage, durable writes, checks; limits off. */
export async function startAtelier(): Promise<Target> {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-bench-'));
  return start(
    'Atelier',
    ['dist/main.js'],
    { PORT: '0', DATA_DIR: dataDir, RATE_LIMIT_SCALE: '0', LOG_LEVEL: 'warn' },
    () => rm(dataDir, { recursive: true, force: true }),
  );
}
