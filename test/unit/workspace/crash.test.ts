/** A crash after each durable action, and one more while that is made good: nothing is lost, doubled or taken back. */
import { appendFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { differencesOf, occurrences } from './check.ts';
import { openWorld, type World } from './world.ts';

/** Each starts some dozens of workspaces. */
const TIMEOUT_MS = 60_000;

interface Scenario {
  name: string;
  /** What happens in a workspace with the files `a.txt` ("<a>\n") and `b.txt` ("<b>\n"). */
  happens: (world: World) => Promise<void>;
  /** What somebody does on both sides between the crash and the new start. */
  meanwhile?: (world: World) => Promise<void>;
  /** Each once. */
  tokens: readonly string[];
  gone?: readonly string[];
}

const edit = (world: World, path: string, token: string): void => {
  const file = world.project.at(path);
  if (file) world.project.edit(file.fileId, (text) => text.insert(0, `${token}\n`));
};

/** Only where the file is: nothing is brought back. */
const append = async (world: World, path: string, token: string): Promise<void> => {
  const before = await readFile(world.path(path), 'utf8').catch(() => undefined);
  if (before !== undefined) await writeFile(world.path(path), `${before}${token}\n`);
};

const editBoth = async (world: World): Promise<void> => {
  edit(world, 'a.txt', '<late edit>');
  await append(world, 'a.txt', '<late write>');
};

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'the disk is written',
    happens: (world) => append(world, 'a.txt', '<write>'),
    meanwhile: editBoth,
    tokens: ['<a>', '<b>', '<write>', '<late edit>', '<late write>'],
  },
  {
    name: 'somebody edits',
    happens: async (world) => edit(world, 'a.txt', '<edit>'),
    meanwhile: editBoth,
    tokens: ['<a>', '<b>', '<edit>', '<late edit>', '<late write>'],
  },
  {
    name: 'both, and the disk once more while its file is replaced',
    async happens(world) {
      edit(world, 'a.txt', '<edit>');
      await append(world, 'a.txt', '<write>');
      let isFirst = true;
      world.beforeSwap = async (path) => {
        if (isFirst) await appendFile(world.path(path), '<racing write>\n');
        isFirst = false;
      };
      await world.settle();
      // Nobody wrote where it did not come to that.
      if (isFirst) await append(world, 'a.txt', '<racing write>');
      world.beforeSwap = async () => {};
    },
    meanwhile: editBoth,
    tokens: ['<a>', '<b>', '<edit>', '<write>', '<racing write>', '<late edit>', '<late write>'],
  },
  {
    name: 'a file comes on either side',
    async happens(world) {
      world.project.add('c.txt', '<c>\n');
      await writeFile(world.path('d.txt'), '<d>\n');
    },
    async meanwhile(world) {
      edit(world, 'c.txt', '<late edit>');
      await append(world, 'd.txt', '<late write>');
    },
    tokens: ['<a>', '<b>', '<c>', '<d>', '<late edit>', '<late write>'],
  },
  {
    name: 'a file gets another name on the disk',
    happens: (world) => rename(world.path('a.txt'), world.path('c.txt')),
    async meanwhile(world) {
      edit(world, world.project.at('a.txt') ? 'a.txt' : 'c.txt', '<late edit>');
    },
    tokens: ['<a>', '<b>', '<late edit>'],
  },
  {
    name: 'files exchange their names in the project',
    async happens({ project }) {
      const [a, b] = [project.at('a.txt')?.fileId ?? '', project.at('b.txt')?.fileId ?? ''];
      await project.move(a, 'c.txt');
      await project.move(b, 'a.txt');
      await project.move(a, 'b.txt');
    },
    tokens: ['<a>', '<b>'],
  },
  {
    name: 'files go on either side',
    async happens({ project, path }) {
      await project.remove(project.at('a.txt')?.fileId ?? '');
      await rm(path('b.txt'));
    },
    tokens: [],
    gone: ['<a>', '<b>'],
  },
];

/** Lets it happen with a crash after so many actions, and after so many more of the next start. */
async function run(
  { happens, meanwhile }: Scenario,
  crashes: readonly number[],
): Promise<{ world: World; actions: number }> {
  const world = await openWorld();
  world.project.add('a.txt', '<a>\n');
  world.project.add('b.txt', '<b>\n');
  await world.restart();
  const [first, ...later] = crashes;
  world.fuse.burnAfter(first);
  await happens(world);
  await world.settle({ late: true });
  const actions = world.fuse.count;
  for (const crash of later) {
    world.fuse.burnAfter(crash);
    await world.restart();
  }
  world.fuse.burnAfter(undefined);
  await meanwhile?.(world);
  await world.restart();
  await world.settle({ late: true });
  return { world, actions };
}

for (const scenario of SCENARIOS) {
  test(
    `${scenario.name}: a crash at any action changes nothing in what comes of it`,
    { timeout: TIMEOUT_MS },
    async () => {
      const { world, actions } = await run(scenario, []);
      await using _ = world;
      expect(actions).toBeGreaterThan(1);
      for (let first = 0; first <= actions; first++) {
        for (const second of [undefined, 1, 3]) {
          const crashes = second === undefined ? [first] : [first, second];
          const { world } = await run(scenario, crashes);
          await using _ = world;
          expect({ crashes, failures: world.failures, differences: await differencesOf(world) }).toEqual({
            crashes,
            failures: [],
            differences: [],
          });
          const counts = (tokens: readonly string[]) => tokens.map((token) => `${occurrences(world, token)} ${token}`);
          expect({ crashes, counts: counts(scenario.tokens) }).toEqual({
            crashes,
            counts: scenario.tokens.map((token) => `1 ${token}`),
          });
          expect(counts(scenario.gone ?? [])).toEqual((scenario.gone ?? []).map((token) => `0 ${token}`));
        }
      }
    },
  );
}
