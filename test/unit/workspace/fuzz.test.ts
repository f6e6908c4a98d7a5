/** Some thousand rounds; `WORKSPACE_FUZZ_SEEDS=500` runs as many seeds as asked. */
import { expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';

const SEEDS = Number(process.env['WORKSPACE_FUZZ_SEEDS'] ?? 30);
/** A busy machine takes a second for a seed. */
const TIMEOUT_MS = 30_000 + SEEDS * 4_000;

test('whatever both sides do at once, they end up the same, with all that nobody deleted just once', { timeout: TIMEOUT_MS }, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { problems, tokens } = await fuzz(seed);
    expect({ seed, problems }).toEqual({ seed, problems: [] });
    expect(tokens).toBeGreaterThan(20);
  }
});
