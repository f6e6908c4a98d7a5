/** The containers of this deployment's sandboxes on one engine. */
import { Duplex, pipeline, type Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { withResolvers } from '../../protocol/index.ts';
import type { Role } from '../agent-protocol/index.ts';
import type { EndReason, FoundSandbox, SandboxKind } from '../driver.ts';
import {
  agentExec,
  containerOptions,
  LABELS,
  readSeccompProfile,
  USERS,
  type AgentStart,
  type ContainerRequest,
  type ContainerSetting,
} from './container-options.ts';
import { Demultiplexer } from './demultiplexer.ts';
import { found, statusOf, unavailable } from './faults.ts';

/** After the engine has gone, until it is asked again: containers may go on without it. */
const RETRY_MS = 500;

/** One that exists, whatever its state. */
export interface FoundContainer extends FoundSandbox {
  /** What the engine calls it. */
  containerId: string;
  uid: number;
}

export class Containers {
  readonly #docker: Docker;
  readonly #setting: ContainerSetting;
  readonly #seccomp: Promise<string>;

  constructor(docker: Docker, setting: ContainerSetting) {
    this.#docker = docker;
    this.#setting = setting;
    this.#seccomp = readSeccompProfile();
    // Whoever creates one hears of it.
    this.#seccomp.catch(() => {});
  }

  /**
   * Makes one that does not run yet, and gives the engine's name for it; undefined when another container has the user.
   * Rejects with `unavailable`.
   */
  async create(request: ContainerRequest): Promise<string | undefined> {
    const options = containerOptions(this.#setting, request, await this.#seccomp);
    try {
      return (await this.#docker.createContainer(options)).id;
    } catch (error) {
      if (statusOf(error) === 409) return undefined;
      throw unavailable('The sandbox could not be made', error);
    }
  }

  /** Rejects with `unavailable`. */
  async start(containerId: string): Promise<void> {
    await this.#docker.getContainer(containerId).start().catch(refused('The sandbox could not be started'));
  }

  /**
   * Runs the agent for one role in a container that waits for it, and gives the connection to it; `onError` gets what it
   * complains of. Rejects with `unavailable`.
   */
  async runAgent(containerId: string, role: Role, agent: AgentStart, onError: (text: string) => void): Promise<Duplex> {
    const failed = refused('The agent could not be started');
    const exec = await this.#docker.getContainer(containerId).exec(agentExec(agent, role)).catch(failed);
    const stream = await exec.start({ hijack: true, stdin: true }).catch(failed);
    const output = new Demultiplexer((bytes) => onError(bytes.toString()));
    // Either ends with the other.
    pipeline(stream, output, () => {});
    return Duplex.from({ readable: output, writable: stream });
  }

  /** Stops the clock for all that runs in it. */
  async pause(containerId: string): Promise<void> {
    await this.#docker
      .getContainer(containerId)
      .pause()
      .catch(unless([409], 'The sandbox could not be paused'));
  }

  async unpause(containerId: string): Promise<void> {
    // The engine has two answers for one that is not paused.
    await this.#docker
      .getContainer(containerId)
      .unpause()
      .catch(unless([409, 500], 'The sandbox could not go on'));
  }

  /** Ends it, whatever its state, and forgets it. Resolves also where it is gone. */
  async remove(containerId: string): Promise<void> {
    const container = this.#docker.getContainer(containerId);
    await container.remove({ force: true, v: true }).catch(unless([404, 409], 'The sandbox could not be removed'));
    // Somebody else removes it already.
    while (await found(container.inspect())) await delay(50);
  }

  /** All of this deployment's, or those of one sandbox. */
  async list(sandboxId?: string): Promise<FoundContainer[]> {
    const label = [`${LABELS.instance}=${this.#setting.instanceId}`];
    if (sandboxId !== undefined) label.push(`${LABELS.sandbox}=${sandboxId}`);
    const containers = await this.#all(label);
    return containers.map(({ Id, Labels, State }) => ({
      containerId: Id,
      id: Labels[LABELS.sandbox] ?? '',
      kind: (Labels[LABELS.kind] ?? 'project') as SandboxKind,
      uid: Number(Labels[LABELS.uid]),
      volume: Labels[LABELS.volume],
      state: State === 'running' || State === 'paused' ? State : 'ended',
    }));
  }

  /** The users of all sandboxes that there are on the engine, of other deployments too. */
  async usersTaken(): Promise<Set<number>> {
    const containers = await this.#all([LABELS.uid]);
    return new Set(containers.map(({ Labels }) => Number(Labels[LABELS.uid])));
  }

  /** How it ended; undefined while it runs, and before. */
  async exit(containerId: string): Promise<{ code: number; reason: EndReason } | undefined> {
    const container = await found(this.#docker.getContainer(containerId).inspect()).catch(
      refused('The engine could not be asked for the sandbox'),
    );
    if (!container) return { code: 0, reason: 'exited' };
    const { Status, Running, OOMKilled, ExitCode } = container.State;
    if (Running || Status === 'created') return undefined;
    // One of its programs may have been ended for it long before.
    return { code: ExitCode, reason: OOMKilled && ExitCode === 137 ? 'memory' : 'exited' };
  }

  /** Of its first process, as the engine's machine numbers it; undefined where it does not run. Rejects with `unavailable`. */
  async processId(containerId: string): Promise<number | undefined> {
    const container = await found(this.#docker.getContainer(containerId).inspect()).catch(
      refused('The engine could not be asked for the sandbox'),
    );
    return container?.State.Pid || undefined;
  }

  /** Resolves when it has ended, also where the engine goes and comes meanwhile; with undefined when told to stop. */
  async ended(containerId: string, signal: AbortSignal): Promise<EndReason | undefined> {
    while (!signal.aborted) {
      try {
        await this.#wait(containerId, signal);
        const exit = await this.exit(containerId);
        // Told to stop meanwhile: it has been removed then.
        if (exit && !signal.aborted) return exit.reason;
      } catch (error) {
        if (statusOf(error) === 404 && !signal.aborted) return 'exited';
      }
      await delay(RETRY_MS, undefined, { signal }).catch(() => {});
    }
    return undefined;
  }

  /** What waits for the whole answer never hears that the engine has gone amid it. */
  async #wait(containerId: string, abortSignal: AbortSignal): Promise<void> {
    const path = `/containers/${containerId}/wait`;
    const statusCodes = { 200: true, 404: 'no such container', 500: 'server error' };
    const { promise, resolve, reject } = withResolvers<Readable>();
    this.#docker.modem.dial({ path, method: 'POST', isStream: true, statusCodes, abortSignal }, (error, body) => {
      if (error) reject(error);
      else resolve(body as Readable);
    });
    const answer = await promise;
    await finished(answer.resume());
  }

  #all(label: string[]): Promise<Docker.ContainerInfo[]> {
    const options = { all: true, filters: JSON.stringify({ label }) };
    return this.#docker.listContainers(options).catch(refused('The engine could not be asked for sandboxes'));
  }
}

/** Which users a sandbox may have, from the one that it had before on. */
export function* candidateUsers(preferred: number, taken: ReadonlySet<number>): Generator<number> {
  const start = preferred - USERS.first;
  const from = start >= 0 && start < USERS.count ? start : 0;
  for (let i = 0; i < USERS.count; i++) {
    const uid = USERS.first + ((from + i) % USERS.count);
    if (!taken.has(uid)) yield uid;
  }
}

const refused =
  (what: string) =>
  (error: unknown): never => {
    throw unavailable(what, error);
  };

/** Takes these statuses for success. */
const unless =
  (statuses: readonly number[], what: string) =>
  (error: unknown): void => {
    const status = statusOf(error);
    if (status === undefined || !statuses.includes(status)) throw unavailable(what, error);
  };
