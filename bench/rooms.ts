/** Rooms of 100 and of 1,000: deliveries per CPU second when saturated, latency when not. */
import { atLeast, atMost, count, diskSyncMs, median, ms, p50p99, percentile, table } from './figures.ts';
import { closeAll, connectAll, pace, saturate, type Saturated } from './load.ts';
import { startAtelier, startBare, type Shape } from './systems.ts';

const SECONDS = 8;
/** Senders in the saturated room and messages each keeps under way. */
const SENDERS = 16;
const WINDOW = 8;
/** In the quiet room: far below what either server can do. */
const DELIVERIES_PER_SECOND = 5_000;

interface Result {
  saturated: Saturated[];
  deliveredMs: number[];
  ackMs: number[];
}

export async function rooms(rounds: number): Promise<string> {
  return `${await room(rounds, { rooms: 1, size: 100, nodes: 1 })}\n\n${await room(rounds, { rooms: 1, size: 1_000, nodes: 1 })}`;
}

export async function room(rounds: number, shape: Shape): Promise<string> {
  const results = new Map<string, Result>();
  const syncMs: number[] = [];
  const perSecond = Math.max(10, DELIVERIES_PER_SECOND / shape.size);
  for (let round = 0; round < rounds; round++) {
    for (const start of [startBare, startAtelier]) {
      syncMs.push(...diskSyncMs());
      const system = await start(shape);
      const clients = await connectAll(system.members);
      await pace(clients, { perSecond, seconds: 2 });
      const quiet = await pace(clients, { perSecond, seconds: SECONDS });
      const saturated = await saturate(system, clients, {
        senders: clients.slice(0, SENDERS),
        window: WINDOW,
        seconds: SECONDS,
      });
      const result = results.get(system.name) ?? { saturated: [], deliveredMs: [], ackMs: [] };
      result.saturated.push(saturated);
      result.deliveredMs = result.deliveredMs.concat(quiet.deliveredMs);
      result.ackMs.push(...quiet.ackMs);
      results.set(system.name, result);
      await closeAll(clients);
      await system.stop();
    }
  }
  const of = (result: Result, figure: (saturated: Saturated) => number): number => median(result.saturated.map(figure));
  const rows = [...results].map(([name, result]) => [
    name,
    count(of(result, (one) => one.deliveriesPerSecond)),
    count(of(result, (one) => one.deliveriesPerCpuSecond)),
    `${of(result, (one) => one.serverCpu).toFixed(2)} / ${of(result, (one) => one.redisCpu).toFixed(2)} / ${of(result, (one) => one.loadCpu).toFixed(2)}`,
    p50p99(result.deliveredMs),
    p50p99(result.ackMs),
  ]);
  const head = [
    'server',
    'deliveries/s (saturated)',
    'per CPU second of the server',
    'CPUs busy: server / Redis / load',
    `delivered p50 / p99 ms (${perSecond} messages/s)`,
    'acked p50 / p99 ms',
  ];
  const [bare, atelier] = [...results.values()] as [Result, Result];
  const ratio = of(atelier, (one) => one.deliveriesPerCpuSecond) / of(bare, (one) => one.deliveriesPerCpuSecond);
  const allowedMs = percentile(bare.deliveredMs, 0.99) + percentile(syncMs, 0.99) + 3;
  return [
    `### Room of ${count(shape.size)}${shape.nodes > 1 ? ` on ${shape.nodes} nodes` : ''}`,
    table(head, rows),
    [
      atLeast('deliveries per CPU second, saturated', ratio, 5),
      `${atMost('p99 of delivery, not saturated', percentile(atelier.deliveredMs, 0.99), allowedMs, 'ms')}; fdatasync p50 / p99 in this run ${ms(percentile(syncMs, 0.5))} / ${ms(percentile(syncMs, 0.99))} ms`,
      atMost('p50 of the durable answer', percentile(atelier.ackMs, 0.5), 5, 'ms'),
    ].join('\n'),
  ].join('\n\n');
}
