/** The sandbox image: built where it is not there yet. */
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import type { Engine } from '../engine/engine.ts';
import { baseImage } from './base-image.ts';
import { imageInputs, imageName, registrySettings } from './image-context.ts';

export interface EnsureImageDeps {
  engine: Engine;
  log: Log;
  /** Another image to be used (`SANDBOX_IMAGE`): it is never built, and fetched if it is not there. */
  image?: string | undefined;
  /** Called with each line that the building prints. */
  onLine?: (line: string) => void;
}

/** Gives the name of the image that sandboxes run, which is there then. The first time takes some minutes. */
export async function ensureSandboxImage({ engine, log, image, onLine }: EnsureImageDeps): Promise<string> {
  if (image !== undefined) {
    if (await engine.hasImage(image)) return image;
    await engine.pullImage(image).catch((cause: unknown) => {
      throw new Fault('unavailable', `The sandbox image ${image} (SANDBOX_IMAGE) cannot be fetched`, { cause });
    });
    return image;
  }
  const inputs = await imageInputs();
  const name = imageName(inputs);
  if (await engine.hasImage(name)) return name;
  const base = await baseImage(engine, log);
  log.info(`Building the sandbox image ${name} on ${base}`);
  const files = new Map([...inputs, ...(await registrySettings())]);
  await engine.buildImage({ files, name, buildArgs: { BASE_IMAGE: base, ...proxies() }, onLine });
  return name;
}

/** Whether `ensureSandboxImage` would have nothing to do. Rejects when the engine does not answer. */
export async function hasSandboxImage(engine: Engine, image?: string): Promise<boolean> {
  return engine.hasImage(image ?? imageName(await imageInputs()));
}

/** What the engine knows as arguments of every build, and keeps out of the image. */
function proxies(): Record<string, string> {
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
