/**
 * The Docker engine, and all that is ever asked of it. Nothing else speaks to it: what a sandbox may do is decided in
 * `container-options.ts`, and nobody can pass it a folder of the host, a privilege or another image.
 */
import type Docker from 'dockerode';
import { Fault, withResolvers } from '../../protocol/index.ts';
import { Containers } from './containers.ts';
import type { ContainerSetting } from './container-options.ts';
import { found } from './faults.ts';
import { packFiles } from './pack-files.ts';

/** What the oldest engine that is known to work speaks (20.10). */
const API_VERSION = 'v1.41';
/** Nothing but builds, pulls and waiting takes longer. */
const PING_MS = 5_000;

export interface EngineOptions {
  /** As in `DOCKER_HOST`, which is used if this is left out. */
  host?: string | undefined;
}

export interface BuildRequest {
  /** By their paths; `Dockerfile` is one of them. */
  files: ReadonlyMap<string, string | Buffer>;
  name: string;
  buildArgs: Record<string, string>;
  /** Called with each line that the building prints. */
  onLine?: ((line: string) => void) | undefined;
}

/** Loads what it takes to speak to an engine, which is a lot; connects to nothing. */
export async function createEngine({ host }: EngineOptions = {}): Promise<Engine> {
  const { default: DockerClient } = await import('dockerode');
  const version = { version: API_VERSION };
  if (host === undefined) return new Engine(new DockerClient(version));
  const url = new URL(host);
  if (url.protocol === 'unix:') return new Engine(new DockerClient({ ...version, socketPath: url.pathname }));
  const protocol = url.protocol === 'https:' || url.port === '2376' ? 'https' : 'http';
  return new Engine(new DockerClient({ ...version, protocol, host: url.hostname, port: url.port }));
}

export class Engine {
  readonly #docker: Docker;

  constructor(docker: Docker) {
    this.#docker = docker;
  }

  /** Sandboxes of that image, deployment and folder. */
  containers(setting: ContainerSetting): Containers {
    return new Containers(this.#docker, setting);
  }

  /** Gives the engine's version. Rejects with `unavailable` when it does not answer. */
  async version(): Promise<string> {
    try {
      return (await within(PING_MS, this.#docker.version())).Version;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `The Docker engine does not answer (${why}): start it, or set DOCKER_HOST to where it is`;
      throw new Fault('unavailable', message, { cause });
    }
  }

  async hasImage(name: string): Promise<boolean> {
    return (await found(this.#docker.getImage(name).inspect())) !== undefined;
  }

  /** The environment that an image gives its programs. */
  async imageEnvironment(name: string): Promise<Record<string, string>> {
    const image = await found(this.#docker.getImage(name).inspect());
    if (!image) throw new Fault('unavailable', `The engine has no image ${name}`);
    return Object.fromEntries(
      image.Config.Env.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }

  async pullImage(name: string): Promise<void> {
    await this.#progress(await this.#docker.pull(name));
  }

  /** Makes an image of a root file system as a tar. */
  async importImage(tar: NodeJS.ReadableStream, name: string): Promise<void> {
    const [repo, tag] = name.split(':');
    await this.#progress(await this.#docker.importImage(tar, { repo, tag }));
  }

  /** Rejects with `unavailable` and the last of what was printed when the build fails. */
  async buildImage({ files, name, buildArgs, onLine }: BuildRequest): Promise<void> {
    const stream = await this.#docker.buildImage(packFiles(files), {
      t: name,
      buildargs: buildArgs,
      // Packages come by way of this machine.
      networkmode: 'host',
      forcerm: true,
    });
    const last: string[] = [];
    await this.#progress(stream, ({ stream: text }) => {
      for (const line of (text ?? '').split('\n').filter((line) => line.trim() !== '')) {
        last.push(line);
        if (last.length > 20) last.shift();
        onLine?.(line);
      }
    }).catch((cause: Error) => {
      const message = `The image ${name} could not be built: ${cause.message}\n${last.join('\n')}`;
      throw new Fault('unavailable', message, { cause });
    });
  }

  #progress(stream: NodeJS.ReadableStream, onEvent?: (event: { stream?: string }) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve()), onEvent);
    });
  }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('timeout')), ms);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
