/** The port watcher with its helper, compiled as for the image, and with helpers that lie. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AgentStreams, SandboxProcess, SpawnRequest } from '../../src/sandbox/agent-streams.ts';
import { watchPorts, type PortWatch, type PortWatchDeps } from '../../src/sandbox/port-watch.ts';
import { Ends } from '../support/ends.ts';
import { freePort } from '../support/free-port.ts';
import { silentLog } from '../support/log.ts';
import { hasPart } from '../support/parts.ts';

/** Processes of this machine in place of a sandbox's. */
class LocalStreams implements Pick<AgentStreams, 'isConnected' | 'spawn' | 'onConnected'> {
  isConnected = true;
  readonly children: ChildProcess[] = [];
  readonly #listeners = new Set<() => void>();

  async spawn({ argv, env, cwd }: SpawnRequest): Promise<SandboxProcess> {
    const [command = '', ...args] = argv;
    const child = spawn(command, args, { env, cwd });
    this.children.push(child);
    const exited = once(child, 'close').then(([code]) => ({ code: (code as number | null) ?? 0, signal: 0 }));
    const { stdin, stdout, stderr } = child;
    return { stdin, stdout, stderr, exited, kill: () => void child.kill('SIGKILL') };
  }

  onConnected(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  disconnect(): void {
    this.isConnected = false;
    for (const child of this.children) child.kill('SIGKILL');
  }

  connect(): void {
    this.isConnected = true;
    for (const listener of this.#listeners) listener();
  }
}

let ends: Ends;
let streams: LocalStreams;
let told: string[];

beforeEach(() => {
  ends = new Ends();
  streams = new LocalStreams();
  told = [];
});
afterEach(() => ends[Symbol.asyncDispose]());

function watch(argv: string[], options: Partial<PortWatchDeps> = {}): PortWatch {
  const made = watchPorts({
    streams,
    command: { argv, env: {}, cwd: '/' },
    opened: (port) => told.push(`+${port}`),
    closed: (port) => told.push(`-${port}`),
    log: silentLog,
    now: () => performance.now(),
    firstRestartMs: 20,
    ...options,
  });
  ends.defer(async () => {
    made.close();
    await Promise.all(
      streams.children.map(async (child) => child.exitCode ?? child.signalCode ?? (await once(child, 'exit'))),
    );
  });
  return made;
}

async function listen(host: string, port: number): Promise<Server> {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  ends.defer(() => void server.close());
  return server;
}

describe.runIf(hasPart('cc'))('the helper', () => {
  let directory: string;
  let helper: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'atelier-ports-'));
    helper = join(directory, 'listening-ports');
    const source = new URL('../../sandbox/listening-ports.c', import.meta.url).pathname;
    await promisify(execFile)('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', helper, source]);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('tells of ports that open and close on both loopbacks, and of none that cannot be reached', async () => {
    const ports = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    const [before, everywhere, six, elsewhere] = ports;
    await listen('127.0.0.1', before);
    const ports2 = watch([helper], { isIgnored: (port) => !ports.includes(port) });
    await expect.poll(() => told).toEqual([`+${before}`]);
    await listen('127.0.0.9', elsewhere);
    const servers = [await listen('0.0.0.0', everywhere), await listen('::1', six)];
    await expect.poll(() => ports2.ports().length).toBe(3);
    expect(new Set(told)).toEqual(new Set([`+${before}`, `+${everywhere}`, `+${six}`]));
    for (const server of servers) server.close();
    await expect.poll(() => ports2.ports()).toEqual([before]);
    expect(told).not.toContain(`+${elsewhere}`);
  });

  test('is started again when it ends, and tells what changed meanwhile', async () => {
    const ports = await Promise.all([freePort(), freePort()]);
    const first = await listen('127.0.0.1', ports[0]);
    watch([helper], { isIgnored: (port) => !ports.includes(port) });
    await expect.poll(() => told).toEqual([`+${ports[0]}`]);
    streams.disconnect();
    first.close();
    await listen('127.0.0.1', ports[1]);
    streams.connect();
    await expect.poll(() => told).toEqual([`+${ports[0]}`, `-${ports[0]}`, `+${ports[1]}`]);
    streams.children.at(-1)?.kill('SIGKILL');
    await expect.poll(() => streams.children.filter(({ signalCode }) => signalCode === null).length).toBe(1);
    expect(told).toHaveLength(3);
  });

  test('ends with its input, and when the watch is closed', async () => {
    const child = spawn(helper);
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    child.stdin.end();
    expect((await exited)[0]).toBe(0);
    const closed = watch([helper]);
    await expect.poll(() => streams.children.length).toBe(1);
    closed.close();
    await once(streams.children[0] as ChildProcess, 'exit');
  });
});

describe('a helper that is not ours', () => {
  test.each([
    ['says what is no change', 'echo hello'],
    ['tells of a port that is none', 'echo \'{"opened":[65536],"closed":[]}\''],
    ['has other fields', 'echo \'{"opened":[],"closed":[],"more":1}\''],
    [
      'tells of too many',
      'i=1; while [ $i -le 65 ]; do l="$l,$i"; i=$((i+1)); done; echo "{\\"opened\\":[${l#,}],\\"closed\\":[]}"',
    ],
    ['says no end of a line', 'while :; do printf 0000000000000000000000000000000000000000; done'],
    ['ends', 'exit 3'],
  ])('is ended and started again when it %s', async (_title, script) => {
    const made = watch(['/bin/sh', '-c', `${script}; exec sleep 60`]);
    await expect.poll(() => streams.children.length).toBeGreaterThan(2);
    made.close();
    await expect
      .poll(() => streams.children.every(({ exitCode, signalCode }) => (exitCode ?? signalCode) !== null))
      .toBe(true);
    expect(told).toEqual([]);
  });

  test('is ended when it says more than it can know', async () => {
    watch(['/bin/sh', '-c', 'while :; do echo \'{"opened":[80],"closed":[80]}\'; done'], { firstRestartMs: 60_000 });
    await expect.poll(() => streams.children[0]?.signalCode).toBe('SIGKILL');
    expect(told.length).toBeLessThan(60);
  });
});
