/** 200 documents with two writers each, who type on when the other one has seen it. */
import { count, median, table } from '../figures.ts';
import { placesOf, Typist, type Place } from './keystrokes.ts';
import { KINDS } from './kinds.ts';
import { closeAll, openAll, pairs, type Saturated, type Writer } from './load.ts';
import { writeLines } from './trace.ts';
import { aheadOfBoth } from './verdict.ts';

const DOCUMENTS = 200;
const SECONDS = 5;

export async function writerPairs(rounds: number): Promise<string> {
  const results = new Map<string, Saturated[]>();
  const documents = Array.from({ length: DOCUMENTS }, (_, n) => writeLines(0x1234_5678 + n, 8, 40));
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) {
      const system = await kind.start({ documents, nodes: 1 });
      const clients = await openAll(2 * DOCUMENTS, (n) => system.client(Math.floor(n / 2), n));
      const writers = clients.map((client, n): Writer => ({
        client,
        typist: new Typist(0x4000_0000 + n, placesOf(client.takeState(), 2)[n % 2] as Place),
      }));
      const couples = documents.map((_, n) => [writers[2 * n] as Writer, writers[2 * n + 1] as Writer] as const);
      const result = await pairs(system, couples, SECONDS);
      results.set(kind.name, [...(results.get(kind.name) ?? []), result]);
      await closeAll(clients);
      await system.stop();
    }
  }
  const figure =
    (of: (one: Saturated) => number) =>
    (name: string): number =>
      median((results.get(name) as Saturated[]).map(of));
  const updatesPerSecond = figure((one) => one.updatesPerSecond);
  const cpuPerDelivery = figure((one) => one.cpuMicrosPerDelivery);
  const rows = [...results.keys()].map((name) => [
    name,
    count(updatesPerSecond(name)),
    cpuPerDelivery(name).toFixed(2),
    `${figure((one) => one.serverCpu)(name).toFixed(2)} / ${figure((one) => one.loadCpu)(name).toFixed(2)}`,
  ]);
  return [
    `### ${DOCUMENTS} documents, two writers each`,
    table(['server', 'updates/s', 'server CPU µs per delivered update', 'CPUs busy: server / load'], rows),
    [
      ...aheadOfBoth('updates per second', updatesPerSecond, 'more', count),
      ...aheadOfBoth('CPU per delivered update, µs', cpuPerDelivery, 'less'),
    ].join('\n'),
  ].join('\n\n');
}
