/** Several of the SDK's Yjs providers on a network that does its worst, by seeded chance. */
import { setImmediate as tick } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { oneOf, randomOf } from '../support/random.ts';
import { open, scripted, textOf } from './sdk-scripted-document.ts';
import { fault, type Fate } from './sdk-scripted-server.ts';
import { startClient } from './sdk-setup.ts';

const FATES: readonly Fate[] = [
  'lose',
  'lose-answer',
  'cut',
  'cut-after',
  fault('unavailable'),
  fault('conflict'),
  fault('rate_limited', { retryAfterMs: 1 }),
];

test.each(Array.from({ length: 12 }, (_, seed) => seed))(
  '[SD-32] whatever is lost, refused or cut, all documents become the same, with everything that was written (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    const random = randomOf(seed);
    const world = await scripted('start');
    const clients = [0, 1].map(() => startClient(world.server, { requestTimeoutMs: 60 }));
    // Two share a client.
    const opened = [0, 0, 1].map((n) => open(world, { client: clients[n] as (typeof clients)[number] }));
    let calm = false;
    world.server.fate = ({ name }) => (calm || random(8) || !name.startsWith('doc:') ? 'answer' : oneOf(random, FATES));
    world.server.copies = () => (calm ? 1 : 1 + random(2));
    const written: string[] = [];
    for (let step = 0; step < 300; step++) {
      const { text, provider } = oneOf(random, opened);
      switch (random(12)) {
        case 0:
          if (random(3) === 0) world.server.cut();
          else if (random(6) === 0) world.server.kick();
          break;
        case 1:
          provider.disconnect();
          break;
        case 2:
        case 3:
          provider.connect();
          break;
        case 4: {
          // Words stay whole, so that each can be looked for.
          const spaces = Array.from(text.toJSON().matchAll(/ +/g), ({ index }) => index);
          const at = spaces[random(Math.max(1, spaces.length))];
          if (at !== undefined) text.delete(at, 1);
          break;
        }
        case 5:
          await new Promise((resolve) => setTimeout(resolve, random(30)));
          break;
        default: {
          const word = `<${step}>`;
          written.push(word);
          text.insert(random(2) ? 0 : text.length, ` ${word} `);
        }
      }
      await tick();
    }
    calm = true;
    for (const { provider } of opened) provider.connect();
    const end = (): string => textOf(world.theirs).toJSON();
    await vi.waitFor(
      () => {
        for (const { provider } of opened) expect([provider.synced, provider.unsavedChanges]).toEqual([true, 0]);
        for (const { text } of opened) expect(text.toJSON()).toBe(end());
      },
      { timeout: 20_000 },
    );
    for (const word of ['start', ...written]) expect(end().split(word)).toHaveLength(2);
    expect(world.gaps).toBe(0);
  },
);
