/** 500 rooms of 4 members, every room with its own sender. */
import { atLeast, count, median, p50p99, table } from './figures.ts';
import { closeAll, connectAll, saturate, type Saturated } from './load.ts';
import { startAtelier, startBare, type Shape } from './systems.ts';

const SECONDS = 8;
const ROOMS = 500;
const SIZE = 4;

export async function smallRooms(rounds: number, nodes: Shape['nodes'] = 1): Promise<string> {
  const results = new Map<string, Saturated[]>();
  for (let round = 0; round < rounds; round++) {
    for (const start of [startBare, startAtelier]) {
      const system = await start({ rooms: ROOMS, size: SIZE, nodes });
      const clients = await connectAll(system.members);
      // Alternately a member on the one node and a member on the other.
      const senders = clients.filter((_, n) => n % SIZE === Math.floor(n / SIZE) % nodes);
      const saturated = await saturate(system, clients, { senders, window: 1, seconds: SECONDS });
      results.set(system.name, [...(results.get(system.name) ?? []), saturated]);
      await closeAll(clients);
      await system.stop();
    }
  }
  const of = (result: Saturated[], figure: (saturated: Saturated) => number): number => median(result.map(figure));
  const rows = [...results].map(([name, result]) => [
    name,
    count(of(result, (one) => one.messagesPerSecond)),
    count(of(result, (one) => one.deliveriesPerSecond)),
    count(of(result, (one) => one.deliveriesPerCpuSecond)),
    `${of(result, (one) => one.serverCpu).toFixed(2)} / ${of(result, (one) => one.redisCpu).toFixed(2)} / ${of(result, (one) => one.loadCpu).toFixed(2)}`,
    p50p99(result.flatMap((one) => one.ackMs)),
  ]);
  const head = [
    'server',
    'messages/s',
    'deliveries/s',
    'per CPU second of the server',
    'CPUs busy: server / Redis / load',
    'acked p50 / p99 ms',
  ];
  const [bare, atelier] = [...results.values()] as [Saturated[], Saturated[]];
  const ratio = (figure: (saturated: Saturated) => number): number => of(atelier, figure) / of(bare, figure);
  const target = nodes === 1 ? 0.7 : 2;
  return [
    `### ${ROOMS} rooms of ${SIZE}${nodes > 1 ? ` on ${nodes} nodes` : ''}`,
    table(head, rows),
    [
      atLeast(
        'deliveries per second',
        ratio((one) => one.deliveriesPerSecond),
        target,
      ),
      atLeast(
        'deliveries per CPU second',
        ratio((one) => one.deliveriesPerCpuSecond),
        target,
      ),
    ].join('\n'),
  ].join('\n\n');
}
