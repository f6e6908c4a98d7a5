/** One document that 10 and 50 people type in at once: what a server delivers, how late, and what it costs. */
import { LIMITS } from '../../src/protocol/index.ts';
import { count, median, ms, p50p99, percentile, table } from '../figures.ts';
import { placesOf, Typist, type Place } from './keystrokes.ts';
import { SENDING_KINDS } from './kinds.ts';
import { closeAll, openAll, pace, saturate, type Saturated } from './load.ts';
import type { DocumentClient } from './clients.ts';
import { writeLines } from './trace.ts';
import { aheadOfBoth, besideHocuspocus } from './verdict.ts';

const SECONDS = 5;
/** Keystrokes of one writer under way: as many as the operations that a socket may have under way here. */
const WINDOW = LIMITS.operationsUnderWay;
/** Far below what any of the servers can do. */
const PACED_PER_SECOND = 50;
const LINES = 64;
const LINE_WIDTH = 40;

interface Result {
  saturated: Saturated[];
  deliveredMs: number[];
}

export async function fanOut(rounds: number): Promise<string> {
  return `${await fanOutTo(10, rounds)}\n\n${await fanOutTo(50, rounds)}`;
}

async function fanOutTo(size: number, rounds: number): Promise<string> {
  const results = new Map<string, Result>();
  const state = writeLines(0x1234_5678, LINES, LINE_WIDTH);
  for (let round = 0; round < rounds; round++) {
    for (const kind of SENDING_KINDS) {
      const system = await kind.start({ documents: [state], nodes: 1 });
      const clients = await openAll(size, (n) => system.client(0, n));
      const places = placesOf((clients[0] as DocumentClient).takeState(), size);
      // The first one only watches; everybody else types.
      const writers = clients.slice(1).map((client, n) => ({
        client,
        typist: new Typist(0x4000_0000 + n, places[n] as Place),
      }));
      await pace(clients, writers, { perSecond: PACED_PER_SECOND, seconds: 2 });
      const deliveredMs = await pace(clients, writers, { perSecond: PACED_PER_SECOND, seconds: SECONDS });
      const saturated = await saturate(system, clients, writers, { window: WINDOW, seconds: SECONDS });
      const result = results.get(kind.name) ?? { saturated: [], deliveredMs: [] };
      result.saturated.push(saturated);
      result.deliveredMs = result.deliveredMs.concat(deliveredMs);
      results.set(kind.name, result);
      await closeAll(clients);
      await system.stop();
    }
  }
  const resultOf = (name: string): Result => results.get(name) as Result;
  const figure =
    (of: (one: Saturated) => number) =>
    (name: string): number =>
      median(resultOf(name).saturated.map(of));
  const updatesPerSecond = figure((one) => one.updatesPerSecond);
  const cpuPerDelivery = figure((one) => one.cpuMicrosPerDelivery);
  const rows = [...results].map(([name, { deliveredMs }]) => [
    name,
    count(updatesPerSecond(name)),
    count(figure((one) => one.deliveriesPerSecond)(name)),
    cpuPerDelivery(name).toFixed(2),
    `${figure((one) => one.serverCpu)(name).toFixed(2)} / ${figure((one) => one.loadCpu)(name).toFixed(2)}`,
    p50p99(deliveredMs),
  ]);
  return [
    `### ${size} people type in one document`,
    table(
      [
        'server',
        'updates/s (saturated)',
        'deliveries/s',
        'server CPU µs per delivered update',
        'CPUs busy: server / load',
        `delivered p50 / p99 ms (${PACED_PER_SECOND} updates/s)`,
      ],
      rows,
    ),
    [
      ...besideHocuspocus('updates per second, saturated', updatesPerSecond, '≥', 2.5),
      ...besideHocuspocus('CPU per delivered update', cpuPerDelivery, '≤', 0.6),
      ...aheadOfBoth('p50 of delivery, ms', (name) => percentile(resultOf(name).deliveredMs, 0.5), 'less', ms),
      ...aheadOfBoth('p99 of delivery, ms', (name) => percentile(resultOf(name).deliveredMs, 0.99), 'less', ms),
    ].join('\n'),
  ].join('\n\n');
}
