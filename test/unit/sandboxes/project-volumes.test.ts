/** What becomes of volumes that are their projects' no more, on the nodes of two machines with one database. */
import { Types } from 'mongoose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSandboxModels } from '../../../src/features/sandboxes/model.ts';
import { ProjectVolumes } from '../../../src/features/sandboxes/project-volumes.ts';
import { DAY_MS, LIMITS } from '../../../src/protocol/index.ts';
import { ensureIndexes } from '../../../src/storage/database.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { silentLog as log } from '../../support/log.ts';

interface Machine {
  volumes: ProjectVolumes;
  /** Names of volumes in the order of their removal. */
  removed: string[];
  /** Removals fail while it is. */
  isStuck: boolean;
}

let database: TestDatabase;
let nowMs: number;
let gone: Set<string>;
let here: Machine;
let there: Machine;
const projectId = new Types.ObjectId().toHexString();

beforeEach(async () => {
  database = await openTestDatabase();
  nowMs = Date.now();
  gone = new Set();
  const models = createSandboxModels(database.connection);
  await ensureIndexes(database.connection);
  const join = (hostId: string): Machine => {
    const removed: string[] = [];
    const volumes = new ProjectVolumes({
      models,
      nodeId: `node of ${hostId}`,
      hostId,
      isGone: async (nodeId) => gone.has(nodeId),
      removeVolume: async (volume) => {
        if (machine.isStuck) throw new Error('The volume is in use');
        removed.push(volume);
      },
      log,
      now: () => nowMs,
    });
    const machine: Machine = { volumes, removed, isStuck: false };
    return machine;
  };
  [here, there] = [join('here'), join('there')];
  for (const { volumes } of [here, there]) await volumes.announce();
});
afterEach(() => database.close());

/** The project has been used here; this machine goes, and the project starts on the other one. */
async function move(): Promise<void> {
  await here.volumes.use(projectId, 'first', await here.volumes.find(projectId));
  await here.volumes.rest(projectId, true);
  gone.add('node of here');
  const former = await there.volumes.find(projectId);
  expect(await there.volumes.nodeElsewhere(former)).toBeUndefined();
  await there.volumes.use(projectId, 'second', former);
}

test('[SB-9] the former volume stays for some days on a machine that comes back, and then goes', async () => {
  await move();
  nowMs += LIMITS.lostVolumeDays * DAY_MS - 1;
  for (const { volumes } of [here, there]) await volumes.removeLeft();
  expect(here.removed).toEqual([]);
  nowMs += 1;
  for (const { volumes } of [there, here]) await volumes.removeLeft();
  expect([here.removed, there.removed]).toEqual([['first'], []]);
  await here.volumes.removeLeft();
  expect(here.removed).toEqual(['first']);
  const row = await there.volumes.find(projectId);
  expect(row).toMatchObject({ hostId: 'there', volume: 'second', left: [] });
});

test('[SB-9] with its project the former one goes too, each by its own machine, also when one comes back later', async () => {
  await move();
  await there.volumes.forget(projectId);
  expect([here.removed, there.removed]).toEqual([[], ['second']]);
  expect(await there.volumes.find(projectId)).toBeDefined();
  here.isStuck = true;
  await here.volumes.removeLeft();
  expect(await here.volumes.find(projectId)).toBeDefined();
  here.isStuck = false;
  await here.volumes.removeLeft();
  expect(here.removed).toEqual(['first']);
  expect(await here.volumes.find(projectId)).toBeUndefined();
});
