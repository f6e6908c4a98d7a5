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

/** What every scenario must come to. */
const KEPT = { lost: 0, doubled: 0, disorder: 0, presenceWrong: 0, neverBack: 0, ghostsStayed: false, faults: [] };

async function suffer(scenario: Scenario): Promise<object> {
  const outcome = await runScenario({ ...scenario, nodes: Math.min(scenario.nodes, 2) }, SMALL);
  const { lost, doubled, disorder, presenceWrong, neverBack, ghostsGoneMs, faults, examples } = outcome;
  return {
    lost,
    doubled,
    disorder,
    presenceWrong,
    neverBack,
    ghostsStayed: ghostsGoneMs === Infinity,
    faults: [...faults, ...examples],
  };
}

describe('one node', () => {
  test(
    '[CN-6] kill -9 of the only node: nothing acknowledged is lost, everybody goes on',
    { timeout: TIMEOUT_MS },
    async () => {
      expect(await suffer(aloneKilled)).toEqual(KEPT);
    },
  );
});

describe.runIf(hasRedis()).concurrent('several nodes', () => {
  test('[CN-2] [CN-5] kill -9 of a node', { timeout: TIMEOUT_MS }, async () => {
    expect(await suffer(nodeKilled)).toEqual(KEPT);
  });

  test('[CN-2] [CN-5] a node that stands still for 10 s and goes on', { timeout: TIMEOUT_MS }, async () => {
    expect(await suffer(nodeFrozen)).toEqual(KEPT);
  });

  test('[CN-3] Redis killed, back empty', { timeout: TIMEOUT_MS }, async () => {
    expect(await suffer(redisKilled)).toEqual(KEPT);
  });

  test.runIf(!process.env['MONGODB_URI'])('[CN-4] the database killed, twice', { timeout: TIMEOUT_MS }, async () => {
    expect(await suffer(databaseKilled)).toEqual(KEPT);
  });

  test('[CN-6] connections cut again and again', { timeout: TIMEOUT_MS }, async () => {
    expect(await suffer(cablesCut)).toEqual(KEPT);
  });

  test('[CN-5] [CN-6] connections that fall silent', { timeout: TIMEOUT_MS }, async () => {
    expect(await suffer(cablesSilent)).toEqual(KEPT);
  });

  test(
    "[CN-3] [CN-4] a node's connections to Redis and to the database fall silent",
    { timeout: TIMEOUT_MS },
    async () => {
      expect(await suffer(linksSilent)).toEqual(KEPT);
    },
  );

  test('[CN-6] every node in turn ends in order and starts again', { timeout: TIMEOUT_MS }, async () => {
    expect(await suffer(deployment)).toEqual(KEPT);
  });
});
