/** The agent as a process on this machine, and links to it; what a test starts ends with it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { expect } from 'vitest';
import { createAgentLink, type AgentLink, type AgentLinkOptions } from '../../src/sandbox/agent-link.ts';
import { SOCKET_NAME } from '../../src/sandbox/agent-socket.ts';
import type { OpenRequest, Role, SpawnRequest } from '../../src/sandbox/agent-protocol/index.ts';
import { spawnChild } from '../support/child.ts';
import { silentLog } from '../support/log.ts';

export const SECRET = 'a secret of a test';
const AGENT = ['--import', './test/support/typescript.mjs', 'sandbox/agent/main.ts'];

export interface Stage extends AsyncDisposable {
  directory: string;
  socketPath: string;
  /** A link in the stage's directory; it is stopped with the stage. */
  link(options?: Partial<AgentLinkOptions>): Promise<AgentLink>;
  /** Starts an agent, by way of the command line before it; it connects to the stage's socket unless another is named. */
  agent(prefix?: readonly string[], path?: string, env?: Record<string, string>): AgentProcess;
}

export interface AgentProcess {
  /** What it has printed. */
  output(): string;
  /** Ends it, and waits until it has ended. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

export async function createStage(): Promise<Stage> {
  const directory = await mkdtemp(join(tmpdir(), 'agent-'));
  const links: AgentLink[] = [];
  const agents: AgentProcess[] = [];
  const socketPath = join(directory, SOCKET_NAME);
  return {
    directory,
    socketPath,
    async link(options = {}) {
      const link = await createAgentLink({ directory, secret: SECRET, fence: 1, log: silentLog, ...options });
      links.push(link);
      return link;
    },
    agent(prefix = [], path = socketPath, env = {}) {
      const agent = startAgent(path, prefix, env);
      agents.push(agent);
      return agent;
    },
    async [Symbol.asyncDispose]() {
      for (const link of links) await link.stop();
      for (const agent of agents) await agent.end();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function startAgent(socketPath: string, prefix: readonly string[], env: Record<string, string>): AgentProcess {
  const [command, ...args] = [...prefix, process.execPath, ...AGENT];
  const { PATH = '', HOME = '' } = process.env;
  const child = spawnChild(command as string, args, {
    env: { PATH, HOME, ATELIER_SOCKET: socketPath, ATELIER_SECRET: SECRET, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  return {
    output: () => printed,
    async end(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    },
  };
}

/** An agent whose connection for one role is its own stdin and stdout. */
export function pipedAgent(role: Role): { connection: Duplex; child: ChildProcess } {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawnChild(process.execPath, AGENT, {
    env: { PATH, HOME, ATELIER_SOCKET: '-', ATELIER_ROLES: role, ATELIER_SECRET: SECRET },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (!child.stdin || !child.stdout) throw new Error('No pipes');
  return { connection: Duplex.from({ readable: child.stdout, writable: child.stdin }), child };
}

/** A terminal that runs this line of shell. */
export const shell = (id: string, line: string, more: Partial<OpenRequest> = {}): OpenRequest => ({
  id,
  argv: ['/bin/sh', '-c', line],
  env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm-256color' },
  cwd: '/',
  columns: 80,
  rows: 24,
  ...more,
});

/** What runs the file helper. */
export const fileHelper = (): SpawnRequest => ({
  argv: [process.execPath, '--import', './test/support/typescript.mjs', 'sandbox/agent/files/main.ts'],
  env: { PATH: process.env['PATH'] ?? '' },
  cwd: process.cwd(),
});

/** The same without a terminal. */
export const line = (text: string, more: Partial<SpawnRequest> = {}): SpawnRequest => ({
  argv: ['/bin/sh', '-c', text],
  env: { PATH: process.env['PATH'] ?? '' },
  cwd: '/',
  ...more,
});

export interface Viewer {
  /** Everything given so far, a snapshot among it. */
  text(): string;
  /** The same in bytes. */
  bytes(): Buffer;
  position(): number;
  snapshots: { seq: number; columns: number; rows: number; data: Uint8Array }[];
  exit(): { code: number; signal: number } | undefined;
  isLost(): boolean;
  grant(bytes: number): void;
  detach(): void;
  /** Resolves when the output has this in it. */
  sees(text: string): Promise<void>;
  ends(): Promise<void>;
}

export interface ViewerOptions {
  after?: number;
  creditBytes?: number;
  /** Grants what it was given, as a reader does that keeps up. */
  keepsUp?: boolean;
}

/** Reads a terminal and keeps what it is given. */
export function view(link: AgentLink, id: string, options: ViewerOptions = {}): Viewer {
  const { after = 0, creditBytes = 256 * 1024, keepsUp = true } = options;
  const chunks: Uint8Array[] = [];
  const snapshots: Viewer['snapshots'] = [];
  let exit: { code: number; signal: number } | undefined;
  let isLost = false;
  const take = (data: Uint8Array): void => {
    chunks.push(data);
    if (keepsUp) attachment.grant(data.length);
  };
  const attachment = link.attach(
    id,
    { after, creditBytes },
    {
      onOutput: take,
      onSnapshot: (snapshot) => {
        snapshots.push(snapshot);
        take(snapshot.data);
      },
      onExit: (ended) => {
        exit = ended;
      },
      onLost: () => {
        isLost = true;
      },
    },
  );
  const bytes = (): Buffer => Buffer.concat(chunks);
  const text = (): string => bytes().toString();
  return {
    text,
    bytes,
    position: () => attachment.position,
    snapshots,
    exit: () => exit,
    isLost: () => isLost,
    grant: (count) => attachment.grant(count),
    detach: () => attachment.detach(),
    sees: (part) => expect.poll(text, { timeout: 15_000 }).toContain(part),
    ends: () => expect.poll(() => exit, { timeout: 20_000 }).toBeDefined(),
  };
}
