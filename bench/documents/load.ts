/** What typists do to a server, and what it costs. */
import { setTimeout as wait } from 'node:timers/promises';
import { settled } from '../load.ts';
import type { DocumentClient } from './clients.ts';
import { readInserted, Typist } from './keystrokes.ts';
import type { DocumentSystem } from './systems.ts';

export interface Writer {
  client: DocumentClient;
  typist: Typist;
}

const ARRIVED_TIMEOUT_MS = 30_000;

/** Connects with so many attempts under way at once. */
export async function openAll(
  count: number,
  open: (n: number) => DocumentClient,
  underWay = 20,
): Promise<DocumentClient[]> {
  const clients: DocumentClient[] = [];
  let next = 0;
  const connectors = Array.from({ length: underWay }, async () => {
    for (let n = next++; n < count; n = next++) {
      const client = open(n);
      clients[n] = client;
      await client.opened;
    }
  });
  await Promise.all(connectors);
  return clients;
}

export async function closeAll(clients: readonly DocumentClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
}

export interface Saturated {
  updatesPerSecond: number;
  deliveriesPerSecond: number;
  /** Server CPU, all threads, per delivered update. */
  cpuMicrosPerDelivery: number;
  /** CPU seconds per second. */
  serverCpu: number;
  loadCpu: number;
}

/**
 * One document that everybody has open. Each writer keeps `window` keystrokes under way, counted by what the first
 * client has seen; it alone reads updates. In the end everybody must have got the same bytes.
 */
export async function saturate(
  system: DocumentSystem,
  clients: readonly DocumentClient[],
  writers: readonly Writer[],
  { window, seconds }: { window: number; seconds: number },
): Promise<Saturated> {
  const observer = clients[0] as DocumentClient;
  const states = new Map(writers.map((writer) => [writer.typist.clientId, { writer, seen: writer.typist.clock }]));
  let typing = false;
  observer.listen((update) =>
    readInserted(update, (client, _from, to) => {
      const state = states.get(client);
      if (!state) return;
      state.seen = Math.max(state.seen, to);
      if (typing) fill(state);
    }),
  );
  const fill = ({ writer: { client, typist }, seen }: { writer: Writer; seen: number }): void => {
    while (typist.clock - seen < window) client.send(typist.next());
  };
  const typed = (): number => writers.reduce((sum, { typist }) => sum + typist.clock, 0);
  const allSeen = (): boolean => [...states.values()].every(({ writer, seen }) => seen === writer.typist.clock);

  const run = async (runSeconds: number): Promise<void> => {
    const bytes = clients.map((client) => client.updateBytes);
    const startedAt = performance.now();
    typing = true;
    for (const state of states.values()) fill(state);
    await wait(runSeconds * 1_000 - (performance.now() - startedAt));
    typing = false;
    await until('everything has been seen', allSeen);
    const got = (n: number): number => (clients[n] as DocumentClient).updateBytes - (bytes[n] as number);
    await until('everybody has got the same', () => clients.every((_, n) => got(n) === got(0)));
  };

  // Compilers and caches of both sides are warm when it counts.
  await run(2);
  await settled(system);
  const before = { typed: typed(), cpu: system.cpuSeconds(), loadCpu: process.cpuUsage(), at: performance.now() };
  await run(seconds);
  const took = (performance.now() - before.at) / 1_000;
  const own = process.cpuUsage(before.loadCpu);
  await settled(system);
  const cpu = system.cpuSeconds() - before.cpu;
  observer.listen(undefined);
  const updates = typed() - before.typed;
  return {
    updatesPerSecond: updates / took,
    deliveriesPerSecond: (updates * clients.length) / took,
    cpuMicrosPerDelivery: (cpu * 1e6) / (updates * clients.length),
    serverCpu: cpu / took,
    loadCpu: (own.user + own.system) / 1e6 / took,
  };
}

/** Keystrokes at an even pace, by the writers in turn: how long until each delivery. */
export async function pace(
  clients: readonly DocumentClient[],
  writers: readonly Writer[],
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<number[]> {
  const deliveredMs: number[] = [];
  const sentAt = new Map(writers.map(({ typist }) => [typist.clientId, [] as number[]]));
  for (const client of clients) {
    client.listen((update) => {
      const now = performance.now();
      readInserted(update, (id, from, to) => {
        for (let clock = from; clock < to; clock++) deliveredMs.push(now - (sentAt.get(id)?.[clock] ?? Number.NaN));
      });
    });
  }
  const startedAt = performance.now();
  const count = seconds * perSecond;
  for (let n = 0; n < count; n++) {
    await wait(startedAt + (n * 1_000) / perSecond - performance.now());
    const { client, typist } = writers[n % writers.length] as Writer;
    (sentAt.get(typist.clientId) as number[])[typist.clock] = performance.now();
    client.send(typist.next());
  }
  await until('everything has been delivered', () => deliveredMs.length >= count * clients.length);
  for (const client of clients) client.listen(undefined);
  return deliveredMs;
}

/** Pairs of writers, each pair in a document of its own; a writer types on when the other one has seen it. */
export async function pairs(
  system: DocumentSystem,
  documents: readonly (readonly [Writer, Writer])[],
  seconds: number,
): Promise<Saturated> {
  let typing = false;
  for (const pair of documents) {
    for (const [writer, other] of [pair, [pair[1], pair[0]] as const]) {
      other.client.listen((update) =>
        readInserted(update, (client) => {
          if (typing && client === writer.typist.clientId) writer.client.send(writer.typist.next());
        }),
      );
    }
  }
  const writers = documents.flat();
  const typed = (): number => writers.reduce((sum, { typist }) => sum + typist.clock, 0);
  const run = async (runSeconds: number): Promise<void> => {
    typing = true;
    for (const { client, typist } of writers) client.send(typist.next());
    await wait(runSeconds * 1_000);
    typing = false;
    await settled(system);
  };
  await run(2);
  const before = { typed: typed(), cpu: system.cpuSeconds(), loadCpu: process.cpuUsage(), at: performance.now() };
  typing = true;
  for (const { client, typist } of writers) client.send(typist.next());
  await wait(seconds * 1_000);
  typing = false;
  const took = (performance.now() - before.at) / 1_000;
  const updates = typed() - before.typed;
  const own = process.cpuUsage(before.loadCpu);
  await settled(system);
  const cpu = system.cpuSeconds() - before.cpu;
  for (const { client } of writers) client.listen(undefined);
  return {
    updatesPerSecond: updates / took,
    deliveriesPerSecond: (2 * updates) / took,
    cpuMicrosPerDelivery: (cpu * 1e6) / (2 * updates),
    serverCpu: cpu / took,
    loadCpu: (own.user + own.system) / 1e6 / took,
  };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + ARRIVED_TIMEOUT_MS;
  while (!holds()) {
    if (performance.now() > giveUpAt) throw new Error(`Not within ${ARRIVED_TIMEOUT_MS} ms: ${what}`);
    await wait(5);
  }
}
