/** Eight hundred rounds; `WORKSPACE_FUZZ_SEEDS=500` runs as many seeds as asked, each of forty rounds. */
import { expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';

const SEEDS = Number(process.env['WORKSPACE_FUZZ_SEEDS'] ?? 20);
/** The disk makes them wait. */
const AT_ONCE = 5;
/** A busy machine takes a second for a seed. */
const TIMEOUT_MS = 60_000 + SEEDS * 4_000;

test(
  'whatever both sides do at once, they end up the same, with all that nobody deleted just once',
  { timeout: TIMEOUT_MS },
  async () => {
    const seeds = Array.from({ length: SEEDS }, (_, n) => n + 1);
    const work = async (): Promise<void> => {
      for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
        const { problems, tokens } = await fuzz(seed);
        expect({ seed, problems }).toEqual({ seed, problems: [] });
        expect(tokens).toBeGreaterThan(20);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  },
);
