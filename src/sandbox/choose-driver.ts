/** Chooses what sandboxes run in, by what is asked for and what this machine has. */
import { fileURLToPath } from 'node:url';
import type { Log } from '../observability/log.ts';
import type { SandboxDriver } from './driver.ts';
import { createLocalDriver } from './drivers/local.ts';

export interface DriverChoice {
  sandbox: 'auto' | 'docker' | 'docker-exec' | 'local' | 'off';
  sandboxDir: string;
  /** Whether programs may run on this machine itself. */
  allowLocalSandboxes: boolean;
}

export interface DriverDeps {
  /** What agents' secrets are derived from. */
  secret: string;
  log: Log;
}

/** The driver, or why there is none and how to switch it on. Rejects where one that was asked for by name cannot be. */
export async function chooseDriver(
  choice: DriverChoice,
  { secret, log }: DriverDeps,
): Promise<SandboxDriver | { off: string }> {
  const { sandbox, sandboxDir, allowLocalSandboxes } = choice;
  if (sandbox === 'off') return { off: 'Sandboxes are switched off: SANDBOX=auto switches them on' };
  if (sandbox === 'local' || (sandbox === 'auto' && allowLocalSandboxes)) {
    return createLocalDriver({ sandboxDir, secret, agent: localAgent(), log });
  }
  return { off: 'There is no Docker engine: start one, or name it in DOCKER_HOST' };
}

/** The agent as it lies beside this file: built, or in its sources where this runs from those. */
function localAgent(): [string, ...string[]] {
  const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  if (import.meta.url.endsWith('.ts')) {
    return [process.execPath, ...process.execArgv, fileOf('../../sandbox/agent/main.ts')];
  }
  return [process.execPath, fileOf('../agent/sandbox/agent/main.js')];
}
