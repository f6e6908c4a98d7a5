/** What is in the volumes of sandboxes whose files are in memory outlives them, through whole servers. */
import { mkdtemp, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { DAY_MS, LIMITS } from '../../src/protocol/index.ts';
import { call, heard } from '../support/calls.ts';
import type { TestServer } from '../support/server.ts';
import { startDockerServer, startDockerCluster } from './deployments.ts';
import { exec, projectOf } from './projects.ts';

// Containers and servers start and end here.
vi.setConfig({ testTimeout: 120_000 });

const EXEC = { SANDBOX: 'docker-exec' };

/** A home with a note, a repository with a commit, packages with and without a lockfile, and what is not worth keeping. */
const FILL = `
set -e
umask 022
echo kept > ~/note; mkdir ~/secret ~/.cache ~/empty; echo key > ~/secret/key; chmod 700 ~/secret
echo fetched > ~/.cache/page; echo passing > ~/.tmp/scratch
git init -q; git config user.name A; git config user.email a@example.com
git commit -q --allow-empty -m first
ln -s ../etc/passwd "a link"; touch ~/unreadable; chmod 0 ~/unreadable
mkdir -p one/node_modules/x two/node_modules/x; touch one/package-lock.json one/node_modules/x/y two/node_modules/x/y
`;
const LOOK = `
cat ~/note; stat -c %a ~/secret; cat ~/secret/key; (cd; echo *)
git log --format=%s; git status --short; readlink "a link"; ls -d */node_modules/x/y; cat last
`;
const SEEN = `kept
700
key
empty note secret
first
?? "a link"
?? last
?? one/
?? two/
../etc/passwd
two/node_modules/x/y
said last
`;

test('[SB-7] what is no file of the project survives a stop, a restart and the end of the server', async () => {
  await using world = await startDockerCluster({ nodes: 1, redis: false, env: EXEC });
  const [node] = world.cluster.nodes;
  const people = world.cluster.world();
  const person = await people.person('Ada');
  const ada = await people.socket(person);
  const projectId = await projectOf(ada);
  // The last file is the project's, if that is told of it in time.
  expect(await exec(ada, projectId, `${FILL} echo said last > last`)).toBe('');
  await call(ada, 'sandbox:stop', { projectId });
  expect(await exec(ada, projectId, LOOK)).toBe(SEEN);
  await call(ada, 'sandbox:restart', { projectId });
  expect(await exec(ada, projectId, 'echo more >> ~/note; echo more >> last; rm -r ~/secret')).toBe('');
  await node?.end();
  await node?.restart();
  const again = await people.socket(person);
  expect(await exec(again, projectId, 'cat ~/note last; git log --format=%s; (cd; echo *)')).toBe(
    'kept\nmore\nsaid last\nmore\nfirst\nempty note\n',
  );
  // One that is killed would leave its container.
  await node?.end();
});

test('[SB-7] also of one that is stopped because nobody uses it', async () => {
  await using server = await startDockerServer({ ...EXEC, SANDBOX_IDLE_MINUTES: '0.03' });
  const ada = await server.socket(await server.person('Ada'));
  const projectId = await projectOf(ada);
  const changes = heard(ada, 'sandbox:changed');
  await exec(ada, projectId, 'echo kept > ~/note');
  await expect.poll(() => changes.at(-1), { timeout: 30_000 }).toMatchObject({ status: 'stopped', reason: 'idle' });
  expect(changes.map(({ status }) => status)).toContain('paused');
  expect(await exec(ada, projectId, 'cat ~/note')).toBe('kept\n');
});

describe('archives', () => {
  let aheadMs: number;
  let dataDir: string;
  let server: TestServer;
  let ada: Socket;
  let projectId: string;

  beforeEach(async () => {
    aheadMs = 0;
    dataDir = await mkdtemp(join(tmpdir(), 'archives-'));
    server = await startDockerServer({ ...EXEC, DATA_DIR: dataDir }, { now: () => Date.now() + aheadMs });
    ada = await server.socket(await server.person('Ada'));
    projectId = await projectOf(ada);
  });
  afterEach(async () => {
    await server[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  });

  /** The files of the blobs that hold them. */
  const archives = async (): Promise<string[]> =>
    (await readdir(join(dataDir, 'blobs'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && entry.parentPath.includes('sandbox-archives'))
      .map(({ parentPath, name }) => join(parentPath, name));

  test('[SB-7] there is one for a project, and a broken one does not keep its sandbox from starting', async () => {
    // An empty one is one, too.
    await call(ada, 'sandbox:start', { projectId });
    await call(ada, 'sandbox:restart', { projectId });
    await exec(ada, projectId, 'head -c 300000 /dev/urandom > ~/noise');
    await call(ada, 'sandbox:stop', { projectId });
    const [archive = '', ...others] = await archives();
    expect(others).toEqual([]);
    await truncate(archive, 100_000);
    expect(await exec(ada, projectId, 'echo again > ~/note; echo on')).toBe('on\n');
    await call(ada, 'sandbox:restart', { projectId });
    expect(await exec(ada, projectId, 'cat ~/note')).toBe('again\n');
    expect(await archives()).toHaveLength(1);
  });

  test('[SB-7] one that cannot be written leaves the former', async () => {
    await exec(ada, projectId, 'echo former > ~/note');
    await call(ada, 'sandbox:restart', { projectId });
    await exec(ada, projectId, 'echo later > ~/note');
    const [archive = ''] = await archives();
    const folder = dirname(archive);
    await rename(folder, `${folder}.aside`);
    await writeFile(folder, 'in the way');
    await call(ada, 'sandbox:stop', { projectId });
    await rm(folder);
    await rename(`${folder}.aside`, folder);
    expect(await exec(ada, projectId, 'cat ~/note')).toBe('former\n');
    expect(await archives()).toHaveLength(1);
  });

  test('[SB-7] it goes with its project', async () => {
    await exec(ada, projectId, 'echo kept > ~/note');
    await call(ada, 'sandbox:stop', { projectId });
    expect(await archives()).toHaveLength(1);
    await call(ada, 'project:delete', { projectId });
    aheadMs += (LIMITS.restoreDays + 1) * DAY_MS;
    await expect.poll(archives, { timeout: 60_000 }).toEqual([]);
  });
});
