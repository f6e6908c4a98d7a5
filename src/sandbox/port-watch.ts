/**
 * Which ports of a sandbox its programs listen on, told by a helper that runs in it (sandbox/listening-ports.c). The helper
 * is the sandbox user's to replace and to end, so what it says is believed as little as anything from there.
 */
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';
import type { Log } from '../observability/log.ts';
import type { AgentStreams, SandboxProcess, SpawnRequest } from './agent-streams.ts';

export interface PortWatchDeps {
  streams: Pick<AgentStreams, 'isConnected' | 'spawn' | 'onConnected'>;
  /** Runs the helper as the sandbox's user: it tells of this user's sockets only, not of the agent's. */
  command: SpawnRequest;
  opened: (port: number) => void;
  closed: (port: number) => void;
  /** Ports that are no program's, where helper and agent are one user. */
  isIgnored?: (port: number) => boolean;
  log: Log;
  /** Milliseconds that only differences mean something of. */
  now: () => number;
  firstRestartMs?: number;
}

export interface PortWatch {
  /** Open now, as far as is known, in no order. */
  ports(): number[];
  /** Ends the helper. Nothing is told any more. */
  close(): void;
}

/** As many as the helper tells of. */
const MOST_PORTS = 64;
const Port = z.int().min(1).max(65_535);
const Change = z.strictObject({ opened: z.array(Port).max(MOST_PORTS), closed: z.array(Port).max(MOST_PORTS) });

/** 128 ports and what is around them take less than one. */
const LINE_BYTES = 2_048;
/** The helper looks twice a second; after a pause of its machine some lines come together. */
const LINES_PER_SECOND = 4;
const LINES_AT_ONCE = 20;
const FIRST_RESTART_MS = 500;
const LAST_RESTART_MS = 60_000;
/** What lived for so long was right, and is started again without waiting long. */
const STEADY_MS = 60_000;
/** Of what a helper that fails says of it. */
const COMPLAINT_CHARACTERS = 500;

export function watchPorts(deps: PortWatchDeps): PortWatch {
  return new Watch(deps);
}

class Watch implements PortWatch {
  readonly #deps: PortWatchDeps;
  readonly #known = new Set<number>();
  readonly #closing = new AbortController();
  readonly #stopListening: () => void;
  #isRunning = false;

  constructor(deps: PortWatchDeps) {
    this.#deps = deps;
    this.#stopListening = deps.streams.onConnected(() => this.#start());
    if (deps.streams.isConnected) this.#start();
  }

  ports(): number[] {
    return [...this.#known];
  }

  close(): void {
    this.#stopListening();
    this.#closing.abort();
  }

  #start(): void {
    if (this.#isRunning || this.#closing.signal.aborted) return;
    this.#isRunning = true;
    void this.#keepRunning().finally(() => (this.#isRunning = false));
  }

  /** Until the link is gone, whose return starts it again. */
  async #keepRunning(): Promise<void> {
    const { streams, log, now, firstRestartMs = FIRST_RESTART_MS } = this.#deps;
    const { signal } = this.#closing;
    let restartMs = firstRestartMs;
    while (!signal.aborted) {
      const startedAt = now();
      try {
        await this.#run();
      } catch (error) {
        if (signal.aborted) return;
        if (streams.isConnected) log.warn('Ports of a sandbox are not watched for a moment', { error });
      }
      if (now() - startedAt >= STEADY_MS) restartMs = firstRestartMs;
      await wait(restartMs, undefined, { signal, ref: false }).catch(() => {});
      restartMs = Math.min(restartMs * 2, LAST_RESTART_MS);
      if (!streams.isConnected) return;
    }
  }

  /** One helper from its start to its end. */
  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const helper = await this.#deps.streams.spawn(this.#deps.command, signal);
    const end = (): void => helper.kill('SIGKILL');
    signal.addEventListener('abort', end);
    helper.stdin.on('error', () => {});
    helper.exited.catch(() => {});
    const complaint = firstOf(helper.stderr);
    try {
      await this.#read(helper);
      const exit = await helper.exited;
      throw new Error(`The helper ended: ${JSON.stringify(exit)} ${await complaint}`);
    } finally {
      signal.removeEventListener('abort', end);
      end();
    }
  }

  async #read({ stdout }: SandboxProcess): Promise<void> {
    let isFirst = true;
    for await (const line of linesOf(stdout, this.#deps.now)) {
      if (this.#closing.signal.aborted) return;
      const { opened, closed } = Change.parse(JSON.parse(line));
      // A helper begins with all there is: what it does not name was closed while nobody looked.
      this.#apply(opened, isFirst ? [...this.#known].filter((port) => !opened.includes(port)) : closed);
      isFirst = false;
    }
  }

  #apply(opened: readonly number[], closed: readonly number[]): void {
    for (const port of closed) if (this.#known.delete(port)) this.#deps.closed(port);
    for (const port of opened) {
      if (this.#known.has(port) || this.#deps.isIgnored?.(port)) continue;
      if (this.#known.size >= MOST_PORTS) throw new Error('The helper tells of too many ports');
      this.#known.add(port);
      this.#deps.opened(port);
    }
  }
}

/** Fails on lines that are too long or come too fast. */
async function* linesOf(stdout: Readable, now: () => number): AsyncGenerator<string> {
  let held = '';
  let credit = LINES_AT_ONCE;
  let at = now();
  for await (const chunk of stdout) {
    held += (chunk as Buffer).toString('latin1');
    const lines = held.split('\n');
    held = lines.pop() ?? '';
    if (held.length > LINE_BYTES) throw new Error('The helper says more than a line');
    for (const line of lines) {
      credit = Math.min(credit + ((now() - at) / 1_000) * LINES_PER_SECOND, LINES_AT_ONCE) - 1;
      at = now();
      if (credit < 0 || line.length > LINE_BYTES) throw new Error('The helper says more than it can know');
      yield line;
    }
  }
}

async function firstOf(stderr: Readable): Promise<string> {
  let text = '';
  try {
    for await (const chunk of stderr) {
      if (text.length < COMPLAINT_CHARACTERS) text += (chunk as Buffer).toString('utf8');
    }
  } catch {
    // With the link: what was said is all.
  }
  return text.slice(0, COMPLAINT_CHARACTERS).trim();
}
