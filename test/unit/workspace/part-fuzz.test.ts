/** Two people on two nodes and programs on the disk, all at once and seeded: nothing is lost or doubled, whatever is restarted. */
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { oneOf, randomOf } from '../../support/random.ts';
import { newId, openPeer, type TestPeer } from '../../support/documents.ts';
import { openSynced } from './synced.ts';

const SEEDS = [1, 2, 3];
const ROUNDS = 25;
const PATIENT = { timeout: 30_000, interval: 50 };

test.each(SEEDS)(
  'people and programs write at once: all of it is on both sides, once (seed %i)',
  async (seed) => {
    const random = randomOf(seed);
    await using world = await openSynced(2);
    const names = ['a.txt', 'src/b.txt', 'src/c.txt'];
    const peers = new Map<string, TestPeer[]>();
    for (const name of names) {
      const fileId = await world.create(name, `${name}\n`);
      peers.set(name, await Promise.all(world.nodes.map((node) => openPeer(node, fileId, newId()))));
    }
    await world.start();
    const tokens: string[] = [];
    const token = (side: string): string => {
      const own = `<${side}${tokens.length}>`;
      tokens.push(own);
      return own;
    };
    for (let round = 0; round < ROUNDS; round++) {
      const name = oneOf(random, names);
      switch (random(12)) {
        case 0:
          await world.stop();
          await world.start();
          break;
        case 1:
          world.overflow();
          break;
        case 2: {
          // A file of its own, from either side.
          const [path, text] = [`new/${round}.txt`, `${token('N')}\n`];
          if (random(2) === 0) await world.write(path, text);
          else await world.create(path, text, oneOf(random, world.nodes));
          break;
        }
        case 3:
        case 4:
        case 5:
        case 6: {
          const path = join(world.directory, name);
          if (existsSync(path)) appendFileSync(path, `${token('D')}\n`);
          world.changed(name);
          break;
        }
        default: {
          const peer = oneOf(random, peers.get(name) ?? []);
          peer.text.insert(random(2) === 0 ? 0 : peer.text.length, `${token('E')}\n`);
          await peer.push();
        }
      }
      if (random(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await expect
      .poll(async () => {
        const [disk, project] = [await world.onDisk(), await world.inProject()];
        const count = (side: Record<string, string>, one: string): number =>
          Object.values(side).join('').split(one).length - 1;
        return {
          isSame: isDeepStrictEqual(disk, project),
          wrong: tokens.filter((one) => count(disk, one) !== 1 || count(project, one) !== 1),
        };
      }, PATIENT)
      .toEqual({ isSame: true, wrong: [] });
    for (const [name, both] of peers) {
      for (const peer of both) expect(peer.text.toJSON()).toBe(await world.read(name));
    }
  },
  90_000,
);
