/** Parts of the machine that some tests need. Without one its tests are left out, by name; in CI they fail instead. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { createEngine } from '../../src/sandbox/engine/engine.ts';
import { imageInputs, imageName } from '../../src/sandbox/image/image-context.ts';

/** Whether the command is there. Throws in CI where it is not. */
export function hasPart(command: string): boolean {
  if (find(command) !== undefined) return true;
  if (process.env['CI']) throw new Error(`CI must have ${command}`);
  console.warn(`Left out, because this machine has no ${command}:`);
  return false;
}

/** Whether a package that is compiled where it is installed could be. Throws in CI where not. */
export function hasPackage(name: string): boolean {
  try {
    createRequire(import.meta.url)(name);
    return true;
  } catch (cause) {
    if (process.env['CI']) throw new Error(`CI must have ${name}`, { cause });
    console.warn(`Left out, because ${name} could not be compiled on this machine:`);
    return false;
  }
}

/** Whether there is a Docker engine with the sandbox image. Throws in CI where not. */
export async function hasSandboxImage(): Promise<boolean> {
  try {
    const engine = await createEngine();
    await engine.version();
    const name = imageName(await imageInputs());
    if (await engine.hasImage(name)) return true;
    throw new Error(`There is no ${name}: npm run sandbox:image`);
  } catch (cause) {
    if (process.env['CI']) throw new Error('CI must have a Docker engine and the sandbox image', { cause });
    console.warn(
      `Left out, because there is no sandbox image: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
    return false;
  }
}

/** Nothing of the tests' own environment, in which packages would build themselves for tests. */
export const npmEnvironment: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(PATH|HOME|TMPDIR|LANG|NODE_EXTRA_CA_CERTS|npm_config_(registry|cache|userconfig)|(\w+_)?proxy)$/i.test(name),
  ),
);

/** Whether the npm registry that this machine is configured for can be reached. Throws in CI where not. */
export function hasNpmRegistry(): boolean {
  const isThere = spawnSync('npm', ['view', 'vite', 'version'], { env: npmEnvironment, timeout: 60_000 }).status === 0;
  if (!isThere && process.env['CI']) throw new Error('CI must have an npm registry');
  if (!isThere) console.warn('Left out, because this machine reaches no npm registry:');
  return isThere;
}

/** The file of a command that is there. */
export function pathOf(command: string): string {
  const path = find(command);
  if (path === undefined) throw new Error(`There is no ${command}`);
  return path;
}

const find = (command: string): string | undefined =>
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((path) => join(path, command))
    .find((path) => existsSync(path));
