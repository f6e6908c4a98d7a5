/** Sandboxes of a Docker engine for one test; what it starts ends with it. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sandbox, SandboxDriver, SandboxSpec } from '../../src/sandbox/driver.ts';
import { createDockerDriver, type DockerDriverOptions } from '../../src/sandbox/drivers/docker.ts';
import { createEngine, type Engine } from '../../src/sandbox/engine/engine.ts';
import { imageInputs, imageName } from '../../src/sandbox/image/image-context.ts';
import { view, type Viewer } from '../sandbox/agent-process.ts';
import { silentLog } from './log.ts';

export const SECRET = 'a secret of a test';
const MIB = 1024 * 1024;

export interface DockerStage extends AsyncDisposable {
  engine: Engine;
  sandboxDir: string;
  instanceId: string;
  /** A driver of this deployment: a second one is what its next server has. */
  driver(options?: Partial<DockerDriverOptions>): Promise<SandboxDriver>;
  /** Starts a sandbox by a driver of its own. */
  sandbox(spec?: Partial<SandboxSpec>): Promise<Sandbox>;
}

export async function createDockerStage(engine?: Engine, create = createDockerDriver): Promise<DockerStage> {
  const used = engine ?? (await createEngine());
  const sandboxDir = await mkdtemp(join(tmpdir(), 'sandboxes-'));
  const instanceId = `test-${randomBytes(6).toString('hex')}`;
  const started: Sandbox[] = [];
  const driver: DockerStage['driver'] = async (options = {}) =>
    create({
      engine: used,
      sandboxDir,
      instanceId,
      secret: SECRET,
      image: imageName(await imageInputs()),
      log: silentLog,
      ...options,
    });
  return {
    engine: used,
    sandboxDir,
    instanceId,
    driver,
    async sandbox(spec = {}) {
      const sandbox = await (await driver()).start(specOf(spec));
      started.push(sandbox);
      return sandbox;
    },
    async [Symbol.asyncDispose]() {
      for (const sandbox of started) await sandbox.leave();
      const last = await driver();
      for (const { id } of await last.find()) await last.remove(id);
      await rm(sandboxDir, { recursive: true, force: true });
    },
  };
}

/** A small sandbox under a new id. */
export const specOf = (spec: Partial<SandboxSpec> = {}): SandboxSpec => ({
  id: randomBytes(8).toString('hex'),
  kind: 'project',
  projectId: undefined,
  volume: undefined,
  fence: 1,
  ...spec,
  limits: { memoryBytes: 256 * MIB, cpus: 1, processes: 64, volumeBytes: 64 * MIB, ...spec.limits },
});

/** Opens a terminal in which this line of bash runs. */
export async function openIn(sandbox: Sandbox, id: string, line: string): Promise<void> {
  const { link, env, owner, workDir } = sandbox;
  await link.open({
    id,
    argv: sandbox.asUser(['bash', '-c', line]),
    env: { ...env, TERM: 'xterm-256color' },
    cwd: workDir,
    columns: 200,
    rows: 24,
    ...(owner ? { owner } : {}),
  });
}

export async function runIn(sandbox: Sandbox, id: string, line: string): Promise<Viewer> {
  await openIn(sandbox, id, line);
  return view(sandbox.link, id);
}

/** What a line of bash prints, to its end. */
export async function outputOf(sandbox: Sandbox, line: string): Promise<string> {
  const id = randomBytes(8).toString('hex');
  const viewer = await runIn(sandbox, id, line);
  await viewer.ends();
  sandbox.link.close(id);
  return viewer.text().replaceAll('\r\n', '\n');
}
