/**
 * Opening a document with a long history: when it is loaded already (warm), and when the server has only its bytes on
 * disk (cold). CPU of the server, all threads, from connecting to closing.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { count, median, table } from '../figures.ts';
import { settled } from '../load.ts';
import { KINDS } from './kinds.ts';
import type { DocumentSystem } from './systems.ts';
import { writeTrace } from './trace.ts';
import { besideHocuspocus, aheadOfBoth } from './verdict.ts';

const KEYSTROKES = 260_000;
const SEED = 1;
const WARM_OPENS = 40;
/** As many copies of it: each can be cold only once. */
const COPIES = 8;
/** Opened before it counts, so that code is compiled. */
const PRACTICE = 2;

interface Opened {
  cpuMs: number;
  tookMs: number;
}

export async function opening(rounds: number): Promise<string> {
  const results = new Map<string, { warm: Opened[]; cold: Opened[] }>();
  const trace = writeTrace(SEED, KEYSTROKES);
  const documents = Array.from({ length: PRACTICE + COPIES }, () => trace);
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) {
      const system = await kind.start({ documents, nodes: 1 });
      const practice = Array.from({ length: PRACTICE }, (_, n) => n);
      await openEach(system, [...practice, ...practice, ...practice]);
      const cold = await openEach(
        system,
        Array.from({ length: COPIES }, (_, n) => PRACTICE + n),
      );
      const holder = system.client(PRACTICE, 0);
      await holder.opened;
      const warm = await openEach(
        system,
        Array.from({ length: WARM_OPENS }, () => PRACTICE),
      );
      await holder.close();
      await system.stop();
      const result = results.get(kind.name) ?? { warm: [], cold: [] };
      result.warm.push(warm);
      result.cold.push(cold);
      results.set(kind.name, result);
    }
  }
  const figure =
    (state: 'warm' | 'cold', of: keyof Opened) =>
    (name: string): number =>
      median(results.get(name)?.[state].map((one) => one[of]) ?? []);
  const rows = [...results.keys()].map((name) => [
    name,
    figure('warm', 'cpuMs')(name).toFixed(2),
    figure('cold', 'cpuMs')(name).toFixed(2),
    figure('warm', 'tookMs')(name).toFixed(1),
    figure('cold', 'tookMs')(name).toFixed(1),
  ]);
  return [
    `### Opening a document of ${count(trace.keystrokes)} keystrokes (${count(trace.text.length)} characters, ${count(trace.state.length / 1_024)} KiB)`,
    table(['server', 'warm: server CPU ms', 'cold: server CPU ms', 'warm: ms until it is there', 'cold'], rows),
    [
      ...besideHocuspocus('server CPU of a warm open', figure('warm', 'cpuMs'), '≤', 0.2),
      ...besideHocuspocus('server CPU of a cold open', figure('cold', 'cpuMs'), '≤', 0.2),
      ...aheadOfBoth('warm open, ms of server CPU', figure('warm', 'cpuMs'), 'less'),
      ...aheadOfBoth('cold open, ms of server CPU', figure('cold', 'cpuMs'), 'less'),
    ].join('\n'),
  ].join('\n\n');
}

/** One after another; the server's CPU for each, and how long each took. */
async function openEach(system: DocumentSystem, documents: readonly number[]): Promise<Opened> {
  await settled(system);
  const before = system.cpuSeconds();
  let tookMs = 0;
  for (const document of documents) {
    const startedAt = performance.now();
    const client = system.client(document, 0);
    await client.opened;
    tookMs += performance.now() - startedAt;
    client.takeState();
    await client.close();
    // A loop without a pause would let the server put off what it owes.
    await wait(20);
  }
  await settled(system);
  return {
    cpuMs: ((system.cpuSeconds() - before) * 1_000) / documents.length,
    tookMs: tookMs / documents.length,
  };
}
