/**
 * Sandboxes as containers of an engine that cannot bind this server's socket: one on another machine, or in a machine of its
 * own. Their agents are run through the engine, and end with this server's connections to it; files are kept in memory.
 */
import { once } from 'node:events';
import { Fault } from '../../protocol/index.ts';
import { createAgentLink } from '../agent-link.ts';
import { ROLES } from '../agent-protocol/index.ts';
import { agentSecret } from '../agent-secret.ts';
import type { Sandbox, SandboxDriver, SandboxSpec } from '../driver.ts';
import type { FoundContainer } from '../engine/containers.ts';
import {
  connected,
  ContainerSandbox,
  createContainer,
  removeContainer,
  type ContainerDeps,
} from './container-sandbox.ts';
import { containerDeps, type DockerDriverOptions } from './docker.ts';

/** Rejects with `unavailable` when the engine or the image is missing. */
export async function createDockerExecDriver(options: DockerDriverOptions): Promise<SandboxDriver> {
  return new DockerExecDriver(options, await containerDeps(options, { survives: false }));
}

class DockerExecDriver implements SandboxDriver {
  readonly kind = 'docker-exec';
  readonly survives = false;
  readonly isReady = true;
  readonly volumes = 'memory';
  readonly #options: DockerDriverOptions;
  readonly #deps: ContainerDeps;

  constructor(options: DockerDriverOptions, deps: ContainerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async start(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox> {
    signal?.throwIfAborted();
    const { containers } = this.#deps;
    const { log } = this.#options;
    const agent = { secret: agentSecret(this.#options.secret, spec.id), fence: spec.fence };
    const container = await createContainer(this.#deps, { ...spec, volume: undefined }, undefined);
    const link = await createAgentLink({ ...agent, log });
    const lost = new AbortController();
    const sandbox = new ContainerSandbox(this.#deps, link, container, once(lost.signal, 'abort'));
    try {
      await containers.start(container.containerId);
      for (const role of ROLES) {
        const stream = await containers.runAgent(container.containerId, role, agent, (text) =>
          log.info('an agent says', { sandboxId: spec.id, text }),
        );
        stream.once('close', () => lost.abort());
        link.take(stream);
      }
      await connected(this.#deps, sandbox, signal, 'its agent does not answer');
      return sandbox;
    } catch (error) {
      await sandbox.remove();
      throw error;
    }
  }

  async find(): Promise<FoundContainer[]> {
    return this.#deps.containers.list();
  }

  async adopt(): Promise<Sandbox> {
    throw new Fault('not_found', 'There is no such sandbox');
  }

  async remove(id: string): Promise<void> {
    for (const found of await this.#deps.containers.list(id)) await removeContainer(this.#deps, found);
  }

  async removeVolume(): Promise<void> {
    // There are none.
  }

  async roomBytes(): Promise<number> {
    return Infinity;
  }

  async close(): Promise<void> {
    // Nothing is held besides what sandboxes do.
  }
}
