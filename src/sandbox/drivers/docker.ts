/**
 * Sandboxes as containers whose agents connect to a socket of this server. They outlive it, and the engine's own restart
 * where that is set to leave containers running.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import { createAgentLink, type AgentLink } from '../agent-link.ts';
import { agentSecret } from '../agent-secret.ts';
import type { EndReason, Sandbox, SandboxDriver, SandboxSpec } from '../driver.ts';
import { asUser, HELPERS, HOME_DIR, socketDirectory, USERS, WORK_DIR } from '../engine/container-options.ts';
import { candidateUsers, type Containers, type FoundContainer } from '../engine/containers.ts';
import type { Engine } from '../engine/engine.ts';
import { createVolumes, type MountedVolume, type Volumes } from '../volumes.ts';

/** From the container's start to its agent's hello, which takes some tenths of a second. */
const HELLO_MS = 5_000;

export interface DockerDriverOptions {
  engine: Engine;
  /** The same folder for this server and for the engine; made if it is not there. Absolute. */
  sandboxDir: string;
  /** Of this deployment: others may use the same engine. */
  instanceId: string;
  /** What agents' secrets are derived from. */
  secret: string;
  /** There already. */
  image: string;
  log: Log;
}

/** Rejects with `unavailable` when the engine or the image is missing. */
export async function createDockerDriver(options: DockerDriverOptions): Promise<SandboxDriver> {
  const { engine, sandboxDir, instanceId, image, secret, log } = options;
  const imageEnv = await engine.imageEnvironment(image);
  await mkdir(sandboxDir, { recursive: true, mode: 0o700 });
  const volumes = await createVolumes(join(sandboxDir, 'volumes'));
  return new DockerDriver({
    sandboxDir,
    secret,
    log,
    volumes,
    containers: engine.containers({ image, instanceId, sandboxDir }),
    env: { ...imageEnv, USER: 'dev', LOGNAME: 'dev' },
  });
}

interface Deps {
  sandboxDir: string;
  secret: string;
  log: Log;
  /** Undefined where files are kept in memory. */
  volumes: Volumes | undefined;
  containers: Containers;
  env: Readonly<Record<string, string>>;
}

class DockerDriver implements SandboxDriver {
  readonly kind = 'docker';
  readonly survives = true;
  readonly isReady = true;
  readonly #deps: Deps;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  get volumes(): 'quota' | 'memory' {
    return this.#deps.volumes ? 'quota' : 'memory';
  }

  async start(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox> {
    signal?.throwIfAborted();
    const { volumes, containers } = this.#deps;
    const volume = volumes && spec.volume;
    const mounted = volume === undefined ? undefined : await volumes?.mount(volume, spec.limits.volumeBytes);
    let sandbox: DockerSandbox | undefined;
    try {
      const link = await this.#link(spec.id, spec.fence);
      try {
        sandbox = new DockerSandbox(this.#deps, link, await this.#create({ ...spec, volume }, mounted));
      } catch (error) {
        await link.stop();
        await rm(socketDirectory(this.#deps.sandboxDir, spec.id), { recursive: true, force: true });
        throw error;
      }
      await containers.start(sandbox.containerId);
      await mounted?.release();
      await this.#connected(sandbox, signal);
      return sandbox;
    } catch (error) {
      await mounted?.release();
      await sandbox?.remove();
      throw error;
    }
  }

  async find(): Promise<FoundContainer[]> {
    return this.#deps.containers.list();
  }

  async adopt(id: string, fence: number): Promise<Sandbox> {
    const found = (await this.#deps.containers.list(id)).find(({ state }) => state !== 'ended');
    if (!found) throw new Fault('not_found', 'There is no such sandbox');
    return new DockerSandbox(this.#deps, await this.#link(id, fence), found);
  }

  async remove(id: string): Promise<void> {
    for (const found of await this.#deps.containers.list(id)) await removeContainer(this.#deps, found);
    await rm(socketDirectory(this.#deps.sandboxDir, id), { recursive: true, force: true });
  }

  async removeVolume(volume: string): Promise<void> {
    await this.#deps.volumes?.remove(volume);
  }

  async close(): Promise<void> {
    // Nothing is held besides what sandboxes do.
  }

  #link(id: string, fence: number): Promise<AgentLink> {
    const { sandboxDir, secret, log } = this.#deps;
    return createAgentLink({ directory: socketDirectory(sandboxDir, id), secret: agentSecret(secret, id), fence, log });
  }

  /** A container under a user that no other one on the engine has: the one that the volume had, if that can be. */
  async #create(spec: SandboxSpec, mounted: MountedVolume | undefined): Promise<FoundContainer> {
    const { containers, secret } = this.#deps;
    const { id, kind, limits, volume, fence } = spec;
    const preferred = mounted?.uid ?? USERS.first + (Number.parseInt(id.slice(0, 6), 16) % USERS.count);
    for (const uid of candidateUsers(preferred, await containers.usersTaken())) {
      await mounted?.give(uid);
      const request = { id, kind, limits, uid, volume, secret: agentSecret(secret, id), fence };
      const containerId = await containers.create(request);
      if (containerId !== undefined) return { containerId, id, kind, uid, volume, state: 'running' };
    }
    throw new Fault('unavailable', 'All users that sandboxes may run as are taken: there are too many sandboxes');
  }

  async #connected({ link, containerId }: DockerSandbox, signal: AbortSignal | undefined): Promise<void> {
    const late = AbortSignal.timeout(HELLO_MS);
    try {
      await link.connected(signal ? AbortSignal.any([signal, late]) : late);
    } catch (cause) {
      if (!late.aborted) throw cause;
      const exit = await this.#deps.containers.exit(containerId);
      const why = exit
        ? `its agent has ended with code ${exit.code}: is SANDBOX_IMAGE the right one?`
        : `its agent cannot reach the server's socket in ${this.#deps.sandboxDir}: the engine has to be on this machine, and not rootless`;
      throw new Fault('unavailable', `The sandbox was started, but ${why}`, { cause });
    }
  }
}

class DockerSandbox implements Sandbox {
  readonly id: string;
  readonly containerId: string;
  readonly link: AgentLink;
  readonly workDir = WORK_DIR;
  readonly homeDir = HOME_DIR;
  readonly helpers = HELPERS;
  readonly env: Readonly<Record<string, string>>;
  readonly owner: { uid: number; gid: number };
  readonly ended: Promise<EndReason>;
  readonly #deps: Deps;
  readonly #container: FoundContainer;
  readonly #released = new AbortController();
  #removed: Promise<void> | undefined;

  constructor(deps: Deps, link: AgentLink, container: FoundContainer) {
    this.#deps = deps;
    this.#container = container;
    this.link = link;
    this.id = container.id;
    this.containerId = container.containerId;
    this.env = deps.env;
    this.owner = { uid: container.uid, gid: container.uid };
    this.ended = new Promise((resolve) => {
      void deps.containers.ended(container.containerId, this.#released.signal).then((reason) => {
        if (reason) resolve(reason);
      });
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
  }

  remove(): Promise<void> {
    this.#removed ??= this.#remove();
    return this.#removed;
  }

  async #remove(): Promise<void> {
    await this.leave();
    await removeContainer(this.#deps, this.#container);
    await rm(socketDirectory(this.#deps.sandboxDir, this.id), { recursive: true, force: true });
  }
}

/** Resolves when its volume can be used again. */
async function removeContainer({ containers, volumes }: Deps, { containerId, volume }: FoundContainer): Promise<void> {
  await containers.remove(containerId);
  if (volume !== undefined) await volumes?.released(volume);
}
