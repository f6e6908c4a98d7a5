/** A sandbox that is a container, however its agent and this server have come together. */
import { rm } from 'node:fs/promises';
import { Fault } from '../../protocol/index.ts';
import type { AgentLink } from '../agent-link.ts';
import type { EndReason, Sandbox, SandboxSpec } from '../driver.ts';
import {
  asUser,
  HELPERS,
  HOME_DIR,
  socketDirectory,
  USERS,
  WORK_DIR,
  type AgentStart,
} from '../engine/container-options.ts';
import { candidateUsers, type Containers, type FoundContainer } from '../engine/containers.ts';
import type { MountedVolume, Volumes } from '../volumes.ts';

/** From the container's start to its agent's hello, which takes some tenths of a second. */
const HELLO_MS = 5_000;

export interface ContainerDeps {
  sandboxDir: string;
  /** Undefined where files are kept in memory. */
  volumes: Volumes | undefined;
  containers: Containers;
  /** The environment of all programs. */
  env: Readonly<Record<string, string>>;
  /** Whether sandboxes go on when they are left. */
  survives: boolean;
}

export class ContainerSandbox implements Sandbox {
  readonly id: string;
  readonly containerId: string;
  readonly link: AgentLink;
  readonly workDir = WORK_DIR;
  readonly homeDir = HOME_DIR;
  readonly helpers = HELPERS;
  readonly env: Readonly<Record<string, string>>;
  readonly owner: { uid: number; gid: number };
  readonly ended: Promise<EndReason>;
  readonly #deps: ContainerDeps;
  readonly #container: FoundContainer;
  readonly #released = new AbortController();
  #removed: Promise<void> | undefined;

  /** `lost` settles when its agent is gone for good, with the container or without. */
  constructor(deps: ContainerDeps, link: AgentLink, container: FoundContainer, lost?: Promise<unknown>) {
    this.#deps = deps;
    this.#container = container;
    this.link = link;
    this.id = container.id;
    this.containerId = container.containerId;
    this.env = deps.env;
    this.owner = { uid: container.uid, gid: container.uid };
    const { signal } = this.#released;
    this.ended = new Promise((resolve) => {
      void deps.containers.ended(this.containerId, signal).then((reason) => reason && resolve(reason));
      void lost?.then(() => signal.aborted || resolve('exited'));
    });
  }

  asUser(argv: readonly string[]): string[] {
    return asUser(this.#container.uid, argv);
  }

  pause(): Promise<void> {
    return this.#deps.containers.pause(this.containerId);
  }

  resume(): Promise<void> {
    return this.#deps.containers.unpause(this.containerId);
  }

  async leave(): Promise<void> {
    this.#released.abort();
    await this.link.stop();
    if (!this.#deps.survives) await this.remove();
  }

  remove(): Promise<void> {
    this.#removed ??= this.#remove();
    return this.#removed;
  }

  async #remove(): Promise<void> {
    this.#released.abort();
    await this.link.stop();
    await removeContainer(this.#deps, this.#container);
    await rm(socketDirectory(this.#deps.sandboxDir, this.id), { recursive: true, force: true });
  }
}

/** Makes a container under a user that no other one on the engine has: the one that the volume had, if that can be. */
export async function createContainer(
  { containers }: ContainerDeps,
  { id, kind, limits, volume }: SandboxSpec,
  agent: AgentStart | undefined,
  mounted?: MountedVolume,
): Promise<FoundContainer> {
  const preferred = mounted?.uid ?? USERS.first + (Number.parseInt(id.slice(0, 6), 16) % USERS.count);
  for (const uid of candidateUsers(preferred, await containers.usersTaken())) {
    await mounted?.give(uid);
    const containerId = await containers.create({ id, kind, limits, uid, volume, agent });
    if (containerId !== undefined) return { containerId, id, kind, uid, volume, state: 'running' };
  }
  throw new Fault('unavailable', 'All users that sandboxes may run as are taken: there are too many sandboxes');
}

/** Resolves when its volume can be used again. */
export async function removeContainer(
  { containers, volumes }: ContainerDeps,
  { containerId, volume }: FoundContainer,
): Promise<void> {
  await containers.remove(containerId);
  if (volume !== undefined) await volumes?.released(volume);
}

/** Waits for the agent of a container that was started. Rejects with `unavailable`, and `why` if the agent lives. */
export async function connected(
  { containers }: ContainerDeps,
  { link, containerId }: ContainerSandbox,
  signal: AbortSignal | undefined,
  why: string,
): Promise<void> {
  const late = AbortSignal.timeout(HELLO_MS);
  try {
    await link.connected(signal ? AbortSignal.any([signal, late]) : late);
  } catch (cause) {
    if (!late.aborted) throw cause;
    const exit = await containers.exit(containerId);
    const reason = exit ? `its agent has ended with code ${exit.code}: is SANDBOX_IMAGE the right one?` : why;
    throw new Fault('unavailable', `The sandbox was started, but ${reason}`, { cause });
  }
}
