/**
 * Co-editing under faults, for as many seeds as asked; prints a Markdown table and ends with 1 if a promise was broken.
 * Usage: npm run fuzz:docs -- --seeds 100 [--first 1] [--nodes 2] [--edit-ms 2500]
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { percentile, table } from '../../bench/figures.ts';
import { runSeed, type SeedOutcome } from './run.ts';
import { startStage, type CollabStage } from './stage.ts';

/** A deployment serves so many seeds; then it is made anew, so that one seed's remains do not weigh on all others. */
const SEEDS_PER_STAGE = 20;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    first: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '2' },
    'edit-ms': { type: 'string', default: '2500' },
  },
});

// What has been started ends with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const rows: string[][] = [];
const outcomes: SeedOutcome[] = [];
let stage: CollabStage | undefined;
let failures = 0;
for (let n = 0; n < Number(values.seeds); n++) {
  if (n % SEEDS_PER_STAGE === 0) {
    await stage?.[Symbol.asyncDispose]();
    stage = await startStage(Number(values.nodes));
  }
  const seed = Number(values.first) + n;
  const outcome = await runSeed(stage as CollabStage, { seed, editMs: Number(values['edit-ms']) });
  outcomes.push(outcome);
  const isBroken = outcome.problems.length > 0;
  if (isBroken) failures++;
  rows.push([
    String(seed),
    String(outcome.edits),
    String(outcome.characters),
    String(outcome.vouched),
    String(outcome.events.length),
    (outcome.convergedAfterMs / 1_000).toFixed(1),
    isBroken ? `FAIL: ${outcome.problems[0]}` : 'pass',
  ]);
  console.error(`seed ${seed}: ${isBroken ? 'FAIL' : 'pass'} (load of the machine ${loadavg()[0]?.toFixed(1)})`);
  if (isBroken) for (const line of outcome.events) console.error(`  ${line}`);
}
await stage?.[Symbol.asyncDispose]();

const sum = (of: (outcome: SeedOutcome) => number): number => outcomes.reduce((total, one) => total + of(one), 0);
const took = outcomes.map(({ convergedAfterMs }) => convergedAfterMs / 1_000);
console.log(table(['seed', 'edits', 'characters', 'vouched for', 'events', 'the same after s', 'verdict'], rows));
console.log(
  `\n${outcomes.length} seeds, ${failures} failed; ${sum(({ edits }) => edits)} edits, ${sum(({ vouched }) => vouched)} times vouched for; the same after p50 / p99 ${percentile(took, 0.5).toFixed(1)} / ${percentile(took, 0.99).toFixed(1)} s`,
);
process.exitCode = failures === 0 ? 0 : 1;
