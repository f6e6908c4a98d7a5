/** A server whose folder the engine does not see, as on another machine: a mount of its own hides it. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { call, heard } from '../support/calls.ts';
import { spawnChild } from '../support/child.ts';
import { openWorld, testEnvironment } from '../support/server.ts';

test.skipIf(process.getuid?.() !== 0)(
  '[SB-2] where agents cannot reach the server they are run through the engine, and it is said',
  async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'fallback-'));
    const { PATH = '' } = process.env;
    const hidden = 'mount -t tmpfs none "$DATA_DIR" && exec "$0" dist/main.js';
    const child = spawnChild('unshare', ['-m', 'sh', '-c', hidden, process.execPath], {
      env: { PATH, ...testEnvironment(dataDir), SANDBOX: 'auto', SANDBOX_WARM: '0' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      const url = await new Promise<string>((resolve, reject) => {
        child.once('exit', (code) => reject(new Error(`The server ended with ${code}`)));
        createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
          const port = /http:\/\/localhost:(\d+)/.exec(line)?.[1];
          if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
        });
      });
      await using world = openWorld(() => url);
      const ada = await world.socket(await world.person('Ada'));
      const { project } = await call(ada, 'project:create', { name: 'A project', template: 'empty' });
      const output = heard(ada, 'code:output');
      await call(ada, 'sandbox:start', { projectId: project.id });
      await call(ada, 'sandbox:exec', { projectId: project.id, command: 'id -un' });
      await expect.poll(() => output.map(({ data }) => data).join(''), { timeout: 20_000 }).toBe('dev\n');
      expect((await call(ada, 'sandbox:status', { projectId: project.id })).sandbox).toMatchObject({
        status: 'running',
        driver: 'docker-exec',
        survives: false,
        files: 'memory',
      });
    } finally {
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
      await rm(dataDir, { recursive: true, force: true });
    }
  },
  120_000,
);
