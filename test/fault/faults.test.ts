/**
 * Each fault once, under a small load. `npm run faults` does the same with the full load and many seeds, and also looks
 * at the clock.
 */
import { describe, expect, test, vi } from 'vitest';
import { hasRedis } from '../support/redis.ts';
import { runScenario } from './load/run.ts';
import type { Scenario } from './load/stage.ts';
import { aloneKilled } from './scenarios/alone-killed.ts';
import { cablesCut } from './scenarios/cables-cut.ts';
import { cablesSilent } from './scenarios/cables-silent.ts';
import { databaseKilled } from './scenarios/database-killed.ts';
import { deployment } from './scenarios/deployment.ts';
import { linksSilent } from './scenarios/links-silent.ts';
import { nodeFrozen } from './scenarios/node-frozen.ts';
import { nodeKilled } from './scenarios/node-killed.ts';
import { redisKilled } from './scenarios/redis-killed.ts';

const SMALL = { seed: 1, clients: 12, chats: 3, rate: 20, beforeMs: 1_000, afterMs: 1_000, full: false };
const TIMEOUT_MS = 200_000;
/** They mostly wait. */
vi.setConfig({ maxConcurrency: 3 });

async function expectPromisesKept(scenario: Scenario): Promise<void> {
  const outcome = await runScenario({ ...scenario, nodes: Math.min(scenario.nodes, 2) }, SMALL);
  const { lost, doubled, disorder, presenceWrong, neverBack, faults, examples } = outcome;
  expect({ lost, doubled, disorder, presenceWrong, neverBack, faults, examples }).toEqual({
    lost: 0,
    doubled: 0,
    disorder: 0,
    presenceWrong: 0,
    neverBack: 0,
    faults: [],
    examples: [],
  });
  expect(outcome.acked).toBeGreaterThan(0);
  expect(outcome.ghostsGoneMs ?? 0).toBeLessThan(Infinity);
}

describe('one node', () => {
  test(
    '[CN-6] kill -9 of the only node: nothing acknowledged is lost, everybody goes on',
    { timeout: TIMEOUT_MS },
    () => expectPromisesKept(aloneKilled),
  );
});

describe.runIf(hasRedis()).concurrent('several nodes', () => {
  test('[CN-2] [CN-5] kill -9 of a node', { timeout: TIMEOUT_MS }, () => expectPromisesKept(nodeKilled));

  test('[CN-2] [CN-5] a node that stands still for 10 s and goes on', { timeout: TIMEOUT_MS }, () =>
    expectPromisesKept(nodeFrozen),
  );

  test('[CN-3] Redis killed, back empty', { timeout: TIMEOUT_MS }, () => expectPromisesKept(redisKilled));

  test.runIf(!process.env['MONGODB_URI'])('[CN-4] the database killed, twice', { timeout: TIMEOUT_MS }, () =>
    expectPromisesKept(databaseKilled),
  );

  test('[CN-6] connections cut again and again', { timeout: TIMEOUT_MS }, () => expectPromisesKept(cablesCut));

  test('[CN-5] [CN-6] connections that fall silent', { timeout: TIMEOUT_MS }, () => expectPromisesKept(cablesSilent));

  test("[CN-3] [CN-4] a node's connections to Redis and to the database fall silent", { timeout: TIMEOUT_MS }, () =>
    expectPromisesKept(linksSilent),
  );

  test('[CN-6] every node in turn ends in order and starts again', { timeout: TIMEOUT_MS }, () =>
    expectPromisesKept(deployment),
  );
});
