/**
 * Clients that connect as fast as they are let. Three storms: on a server that has just started, of strangers (its code
 * is compiled, its caches do not know them), and of the same clients again.
 */
import { atLeast, count, median, table } from './figures.ts';
import { closeAll, connectAll, settled } from './load.ts';
import { startAtelier, startBare, type System } from './systems.ts';

const CLIENTS = 2_000;
const ROOM_SIZE = 4;
/** Attempts under way at once: enough that the server never waits. */
const UNDER_WAY = 200;

const STORMS = ['just started', 'cold caches', 'reconnect'] as const;
interface Storm {
  perSecond: number;
  perCpuSecond: number;
}

export async function storm(rounds: number): Promise<string> {
  const results = new Map<string, Storm[][]>();
  for (let round = 0; round < rounds; round++) {
    for (const start of [startBare, startAtelier]) {
      const system = await start({ rooms: (2 * CLIENTS) / ROOM_SIZE, size: ROOM_SIZE, nodes: 1 });
      await settled(system);
      const result = [await connect(system, 0), await connect(system, CLIENTS), await connect(system, CLIENTS)];
      results.set(system.name, [...(results.get(system.name) ?? []), result]);
      await system.stop();
    }
  }
  const of = (name: string, n: number, figure: keyof Storm): number =>
    median((results.get(name) ?? []).map((result) => (result[n] as Storm)[figure]));
  const names = [...results.keys()];
  const rows = STORMS.flatMap((label, n) =>
    names.map((name) => [label, name, count(of(name, n, 'perSecond')), count(of(name, n, 'perCpuSecond'))]),
  );
  const [bare, atelier] = names as [string, string];
  const verdict = (label: string, n: number, target: number): string[] => [
    atLeast(`${label}, connects per CPU second`, of(atelier, n, 'perCpuSecond') / of(bare, n, 'perCpuSecond'), target),
    atLeast(`${label}, connects per second`, of(atelier, n, 'perSecond') / of(bare, n, 'perSecond'), target),
  ];
  return [
    `### Connection storm: ${count(CLIENTS)} clients, ${UNDER_WAY} attempts at once`,
    'The baseline neither authenticates nor reads memberships: a client names the room that it is let into.',
    table(['storm', 'server', 'connects/s', 'connects per CPU second of the server'], rows),
    [...verdict('reconnect', 2, 0.85), ...verdict('cold caches', 1, 0.45), ...verdict('just started', 0, 0.45)].join(
      '\n',
    ),
  ].join('\n\n');
}

async function connect(system: System, from: number): Promise<Storm> {
  const cpu = system.cpuSeconds();
  const startedAt = performance.now();
  const clients = await connectAll(system.members.slice(from, from + CLIENTS), UNDER_WAY);
  const seconds = (performance.now() - startedAt) / 1_000;
  const storm = { perSecond: CLIENTS / seconds, perCpuSecond: CLIENTS / (system.cpuSeconds() - cpu) };
  await closeAll(clients);
  await settled(system);
  return storm;
}
