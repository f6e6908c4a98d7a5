/** What the agent is asked to run in a new terminal. */
import { posix } from 'node:path';
import { Fault } from '../../protocol/index.ts';
import type { OpenRequest } from '../../sandbox/agent-protocol/index.ts';
import type { Sandbox } from '../../sandbox/driver.ts';
import type { OpenTerminal } from './owner.ts';

export type ShellSandbox = Pick<Sandbox, 'workDir' | 'env' | 'owner' | 'asUser'>;

/** Throws `invalid` for a folder that is not in the project's. */
export function shellRequest(sandbox: ShellSandbox, request: OpenTerminal): OpenRequest {
  const { terminalId, size, command, cwd = '.', env, author } = request;
  const { name, email } = author;
  // Not before the program is the user's: variables have the system's loader run what they name.
  const variables = Object.entries(env ?? {}).map(([key, value]) => `${key}=${value}`);
  const shell = command === undefined ? ['bash', '-l'] : ['bash', '-lc', command];
  return {
    id: terminalId,
    argv: sandbox.asUser(['/usr/bin/env', ...variables, ...shell]),
    env: {
      ...sandbox.env,
      TERM: 'xterm-256color',
      GIT_AUTHOR_NAME: name,
      GIT_AUTHOR_EMAIL: email,
      GIT_COMMITTER_NAME: name,
      GIT_COMMITTER_EMAIL: email,
    },
    cwd: folderIn(sandbox.workDir, cwd),
    columns: size.cols,
    rows: size.rows,
    owner: sandbox.owner,
  };
}

function folderIn(workDir: string, cwd: string): string {
  const folder = posix.resolve(workDir, cwd);
  if (folder === workDir || folder.startsWith(`${workDir}/`)) return folder;
  const message = "must be a folder of the project's";
  throw new Fault('invalid', 'The input is not valid', { detail: [{ path: 'cwd', message }] });
}
