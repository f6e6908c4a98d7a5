/**
 * Every fault under the full load, for as many seeds as asked; prints a Markdown table and ends with 1 if a promise was
 * broken. Usage: npm run faults -- --seeds 3 [--first 1] [--scenario node-killed] [--clients 200] [--rate 100] [--nodes 3]
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { percentile, table } from '../../bench/figures.ts';
import { runScenario, type Outcome } from './load/run.ts';
import { SCENARIOS } from './scenarios/index.ts';

/** What is promised of time; the rest is promised without exception. */
const GHOSTS_GONE_MS = 10_000;
const BACK_MS = 5_000;
const BACK_FROM_SILENT_CUT_MS = 14_000;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    first: { type: 'string', default: '1' },
    scenario: { type: 'string', multiple: true },
    clients: { type: 'string', default: '200' },
    chats: { type: 'string', default: '20' },
    rate: { type: 'string', default: '100' },
    nodes: { type: 'string' },
  },
});

const unknown = values.scenario?.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name)) ?? [];
if (unknown.length > 0) {
  throw new Error(
    `There is no ${unknown.join(', ')}; there are ${SCENARIOS.map((scenario) => scenario.name).join(', ')}`,
  );
}
const chosen = SCENARIOS.filter(({ name }) => values.scenario === undefined || values.scenario.includes(name))
  .filter(({ ownDatabase }) => !ownDatabase || !process.env['MONGODB_URI'])
  .map((scenario) => ({ ...scenario, ...(values.nodes && scenario.nodes > 1 ? { nodes: Number(values.nodes) } : {}) }));

/** What was promised and not kept. */
function broken(outcome: Outcome): string[] {
  const { lost, doubled, disorder, ghostsGoneMs, presenceWrong, backMs, backFromCutMs, neverBack } = outcome;
  return [
    lost > 0 && `${lost} lost`,
    doubled > 0 && `${doubled} doubled`,
    disorder > 0 && `${disorder} out of order`,
    presenceWrong > 0 && `presence of ${presenceWrong} wrong in the end`,
    neverBack > 0 && `${neverBack} never back`,
    (ghostsGoneMs ?? 0) > GHOSTS_GONE_MS && 'ghosts stayed',
    percentile(backMs, 0.99) > BACK_MS && 'back too late',
    percentile(backFromCutMs, 0.99) > BACK_FROM_SILENT_CUT_MS && 'back too late after the cut',
    outcome.faults.length > 0 && `${outcome.faults.length} other faults`,
  ].filter((one): one is string => one !== false);
}

const inSeconds = (ms: number | undefined): string =>
  ms === undefined || Number.isNaN(ms) ? '–' : ms === Infinity ? 'never' : (ms / 1_000).toFixed(1);

// What has been started ends with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const rows: string[][] = [];
let failures = 0;
for (const scenario of chosen) {
  for (let n = 0; n < Number(values.seeds); n++) {
    const outcome = await runScenario(scenario, {
      seed: Number(values.first) + n,
      clients: Number(values.clients),
      chats: Number(values.chats),
      rate: Number(values.rate),
      beforeMs: 5_000,
      afterMs: 5_000,
      full: true,
    });
    const faults = broken(outcome);
    if (faults.length > 0) failures++;
    const { backMs, backFromCutMs } = outcome;
    rows.push([
      outcome.scenario,
      String(outcome.seed),
      `${outcome.acked} of ${outcome.sent}`,
      String(outcome.lost),
      String(outcome.doubled),
      String(outcome.disorder),
      inSeconds(outcome.wholeAfterMs),
      inSeconds(outcome.ghostsGoneMs),
      String(backMs.length),
      `${inSeconds(percentile(backMs, 0.5))} / ${inSeconds(percentile(backMs, 0.99))}`,
      inSeconds(percentile(backFromCutMs, 0.99)),
      faults.length === 0 ? 'pass' : `FAIL: ${faults.join(', ')}`,
    ]);
    console.error(
      `${outcome.scenario} ${outcome.seed}: ${faults.join(', ') || 'pass'} (load of the machine ${loadavg()[0]?.toFixed(1)})`,
    );
    for (const line of [...outcome.examples, ...outcome.faults.slice(0, 20)]) console.error(`  ${line}`);
  }
}

console.log(`${values.clients} clients in ${values.chats} chats and one of everybody, ${values.rate} messages/s\n`);
console.log(
  table(
    [
      'scenario',
      'seed',
      'acked',
      'lost',
      'doubled',
      'disorder',
      'whole after s',
      'ghosts gone s',
      'returns',
      'back p50 / p99 s',
      'from a silent cut p99 s',
      'verdict',
    ],
    rows,
  ),
);
process.exitCode = failures === 0 ? 0 : 1;
