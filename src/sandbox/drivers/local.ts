/**
 * Sandboxes that are none: processes of this machine, under the server's own user, with all that it may do. For a
 * developer's own machine without a Docker engine; who may switch it on is decided where drivers are chosen.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import { createAgentLink, type AgentLink } from '../agent-link.ts';
import { agentSecret } from '../agent-secret.ts';
import { SOCKET_NAME } from '../agent-socket.ts';
import type { EndReason, Sandbox, SandboxDriver, SandboxHelpers, SandboxSpec } from '../driver.ts';

export interface LocalDriverOptions {
  /** Where the files and sockets are; made if it is not there. */
  sandboxDir: string;
  /** What agents' secrets are derived from. */
  secret: string;
  /** The command lines that run the agent, and its helper for files. */
  agent: readonly [string, ...string[]];
  filesHelper: readonly string[];
  log: Log;
}

/** An agent that is asked to end gets this long for its programs. */
const END_MS = 3_000;

export function createLocalDriver(options: LocalDriverOptions): SandboxDriver {
  const { sandboxDir } = options;
  const running = new Map<string, LocalSandbox>();
  const volumePath = (volume: string): string => join(sandboxDir, 'volumes', volume);
  return {
    kind: 'local',
    survives: false,
    isReady: true,
    volumes: 'unlimited',
    async start(spec, signal) {
      const sandbox = await LocalSandbox.start(options, spec, volumePath(spec.volume ?? spec.id));
      running.set(spec.id, sandbox);
      void sandbox.gone.then(() => running.delete(spec.id));
      try {
        await sandbox.connected(signal);
      } catch (error) {
        await sandbox.remove();
        throw error;
      }
      return sandbox;
    },
    find: async () => [],
    async adopt() {
      throw new Fault('not_found', 'There is no such sandbox');
    },
    async remove(id) {
      await running.get(id)?.remove();
    },
    async removeVolume(volume) {
      await rm(volumePath(volume), { recursive: true, force: true });
    },
    roomBytes: async () => Infinity,
    async close() {
      await Promise.all([...running.values()].map((sandbox) => sandbox.remove()));
    },
  };
}

class LocalSandbox implements Sandbox {
  readonly id: string;
  readonly link: AgentLink;
  readonly workDir: string;
  readonly homeDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly owner = undefined;
  readonly helpers: SandboxHelpers;
  readonly ended: Promise<EndReason>;
  /** Settles when its process is gone, whoever ended it. */
  readonly gone: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #directory: string;
  /** What goes with it: the files of one that has no volume. */
  readonly #scratch: string | undefined;
  #removed: Promise<void> | undefined;

  private constructor(link: AgentLink, child: ChildProcess, paths: Paths, id: string) {
    this.id = id;
    this.link = link;
    this.#child = child;
    this.workDir = paths.work;
    this.homeDir = paths.home;
    this.#directory = paths.directory;
    this.#scratch = paths.scratch;
    this.env = environment(paths.home);
    // Every port of this machine is one of its programs'.
    this.helpers = { files: paths.filesHelper, ports: undefined };
    this.gone = once(child, 'exit');
    this.ended = new Promise((resolve) => {
      void this.gone.then(() => {
        if (!this.#removed) resolve('exited');
      });
    });
  }

  static async start(options: LocalDriverOptions, spec: SandboxSpec, volume: string): Promise<LocalSandbox> {
    const { sandboxDir, secret, agent, log } = options;
    const paths: Paths = {
      work: join(volume, 'work'),
      home: join(volume, 'home'),
      directory: join(sandboxDir, spec.id),
      scratch: spec.volume === undefined ? volume : undefined,
      filesHelper: options.filesHelper,
    };
    await mkdir(paths.work, { recursive: true });
    await mkdir(paths.home, { recursive: true });
    const agentsSecret = agentSecret(secret, spec.id);
    const link = await createAgentLink({ directory: paths.directory, secret: agentsSecret, fence: spec.fence, log });
    const [command, ...args] = agent;
    const child = spawn(command, args, {
      env: {
        ...environment(paths.home),
        ATELIER_SOCKET: join(paths.directory, SOCKET_NAME),
        ATELIER_SECRET: agentsSecret,
        ATELIER_FENCE: String(spec.fence),
        // It must not go on for a server that is not there any more.
        ATELIER_ENDS_WITH_STDIN: '1',
      },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    child.stderr?.on('data', (text: Buffer) => log.info('an agent says', { sandboxId: spec.id, text: String(text) }));
    child.stdin?.on('error', () => {});
    child.on('error', (error) => log.error('the agent could not be started', { error }));
    return new LocalSandbox(link, child, paths, spec.id);
  }

  async connected(signal?: AbortSignal): Promise<void> {
    const failed = this.gone.then(() => {
      throw new Fault('unavailable', 'The agent could not be started');
    });
    await Promise.race([this.link.connected(signal), failed]);
  }

  asUser(argv: readonly string[]): string[] {
    return [...argv];
  }

  async pause(): Promise<void> {
    throw new Fault('unsupported', 'Local sandboxes cannot be paused');
  }

  async resume(): Promise<void> {}

  leave(): Promise<void> {
    return this.remove();
  }

  remove(): Promise<void> {
    this.#removed ??= this.#end();
    return this.#removed;
  }

  async #end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined) {
      const killing = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
      this.#child.kill('SIGTERM');
      await this.gone;
      clearTimeout(killing);
    }
    await this.link.stop();
    for (const path of [this.#directory, this.#scratch]) {
      if (path !== undefined) await rm(path, { recursive: true, force: true });
    }
  }
}

interface Paths {
  work: string;
  home: string;
  directory: string;
  scratch: string | undefined;
  filesHelper: readonly string[];
}

/** Nothing of the server's environment, in which its secrets are, but what programs need to be found and to speak. */
function environment(home: string): Record<string, string> {
  const { PATH = '/usr/local/bin:/usr/bin:/bin', LANG = 'C.UTF-8' } = process.env;
  return { PATH, LANG, HOME: home };
}
