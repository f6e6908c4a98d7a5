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
import type { Sandbox, SandboxDriver, SandboxSpec } from '../driver.ts';
import { socketDirectory } from '../engine/container-options.ts';
import type { FoundContainer } from '../engine/containers.ts';
import type { Engine } from '../engine/engine.ts';
import { allowOwnTerminals } from '../engine/own-terminals.ts';
import { createVolumes } from '../volumes.ts';
import {
  connected,
  ContainerSandbox,
  createContainer,
  removeContainer,
  type ContainerDeps,
} from './container-sandbox.ts';

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
  const { sandboxDir } = options;
  await mkdir(sandboxDir, { recursive: true, mode: 0o700 });
  const deps = await containerDeps(options, { survives: true });
  return new DockerDriver(options, { ...deps, volumes: await createVolumes(join(sandboxDir, 'volumes')) });
}

/** What all sandboxes of an engine have in common; their files are in memory. */
export async function containerDeps(
  { engine, sandboxDir, instanceId, image }: DockerDriverOptions,
  { survives }: { survives: boolean },
): Promise<ContainerDeps> {
  const env = { ...(await engine.imageEnvironment(image)), USER: 'dev', LOGNAME: 'dev' };
  const containers = engine.containers({ image, instanceId, sandboxDir });
  return { sandboxDir, containers, env, survives, volumes: undefined };
}

class DockerDriver implements SandboxDriver {
  readonly kind = 'docker';
  readonly survives = true;
  readonly isReady = true;
  readonly #options: DockerDriverOptions;
  readonly #deps: ContainerDeps;

  constructor(options: DockerDriverOptions, deps: ContainerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get volumes(): 'quota' | 'memory' {
    return this.#deps.volumes ? 'quota' : 'memory';
  }

  async start(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox> {
    signal?.throwIfAborted();
    const { volumes, containers, sandboxDir } = this.#deps;
    const volume = volumes && spec.volume;
    const mounted = volume === undefined ? undefined : await volumes?.mount(volume, spec.limits.volumeBytes);
    let sandbox: ContainerSandbox | undefined;
    try {
      const link = await this.#link(spec.id, spec.fence);
      try {
        const agent = { secret: agentSecret(this.#options.secret, spec.id), fence: spec.fence };
        const container = await createContainer(this.#deps, { ...spec, volume }, agent, mounted);
        sandbox = new ContainerSandbox(this.#deps, link, container);
      } catch (error) {
        await link.stop();
        await rm(socketDirectory(sandboxDir, spec.id), { recursive: true, force: true });
        throw error;
      }
      await containers.start(sandbox.containerId);
      await mounted?.release();
      const why = `its agent cannot reach the server's socket in ${sandboxDir}: the engine has to be on this machine, and not rootless`;
      await connected(this.#deps, sandbox, signal, why);
      // Not before: the container closes them at its start.
      await allowOwnTerminals(containers, sandbox.containerId);
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
    const sandbox = new ContainerSandbox(this.#deps, await this.#link(id, fence), found);
    // Its agent could not connect; nobody knows since when nobody has used it.
    if (found.state === 'paused') await sandbox.resume();
    return sandbox;
  }

  async remove(id: string): Promise<void> {
    for (const found of await this.#deps.containers.list(id)) await removeContainer(this.#deps, found);
    await rm(socketDirectory(this.#deps.sandboxDir, id), { recursive: true, force: true });
  }

  async removeVolume(volume: string): Promise<void> {
    await this.#deps.volumes?.remove(volume);
  }

  async roomBytes(): Promise<number> {
    return this.#deps.volumes?.roomBytes() ?? Infinity;
  }

  async close(): Promise<void> {
    // Nothing is held besides what sandboxes do.
  }

  #link(id: string, fence: number): Promise<AgentLink> {
    const { sandboxDir, secret, log } = this.#options;
    return createAgentLink({ directory: socketDirectory(sandboxDir, id), secret: agentSecret(secret, id), fence, log });
  }
}
