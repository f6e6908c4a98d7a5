/** A few seeds; `npm run fuzz:docs -- --seeds 100` runs as many as asked. */
import { describe, expect, test } from 'vitest';
import { hasRedis } from '../support/redis.ts';
import { runSeed } from './run.ts';
import { startStage } from './stage.ts';

const SEEDS = [1, 2, 3];
const TIMEOUT_MS = 240_000;

describe.runIf(hasRedis())('two nodes', () => {
  test(
    'our provider and stock providers end up the same as the server, through cuts, a killed node and a lost Redis',
    { timeout: TIMEOUT_MS },
    async () => {
      await using stage = await startStage(2);
      for (const seed of SEEDS) {
        const { problems, events, vouched, edits } = await runSeed(stage, { seed, editMs: 1_500 });
        expect({ problems, events: problems.length > 0 ? events : [] }).toEqual({ problems: [], events: [] });
        expect(edits).toBeGreaterThan(20);
        expect(vouched).toBeGreaterThan(0);
      }
    },
  );
});
