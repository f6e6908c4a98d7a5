/** What an idle connection keeps: the difference between 1,000 and 6,000, so that what grows once is not counted. */
import { setTimeout as wait } from 'node:timers/promises';
import { atMost, table } from './figures.ts';
import { closeAll, connectAll, settled } from './load.ts';
import { startAtelier, startBare, type System } from './systems.ts';

const FIRST = 1_000;
const MORE = 5_000;
const ROOM_SIZE = 4;
const KIB = 1_024;

interface Memory {
  residentKib: number;
  heapKib: number;
  outsideKib: number;
}

export async function idle(): Promise<string> {
  const results: [string, Memory, number][] = [];
  for (const start of [startBare, startAtelier]) {
    const system = await start({ rooms: (FIRST + MORE) / ROOM_SIZE, size: ROOM_SIZE, nodes: 1 });
    await settled(system);
    const startMib = (system.nodes[0]?.residentBytes() ?? 0) / KIB ** 2;
    const clients = await connectAll(system.members.slice(0, FIRST));
    const before = await memoryOf(system);
    clients.push(...(await connectAll(system.members.slice(FIRST))));
    const after = await memoryOf(system);
    const each = (figure: keyof Memory): number => (after[figure] - before[figure]) / MORE;
    results.push([
      system.name,
      { residentKib: each('residentKib'), heapKib: each('heapKib'), outsideKib: each('outsideKib') },
      startMib,
    ]);
    await closeAll(clients);
    await system.stop();
  }
  const rows = results.map(([name, memory, startMib]) => [
    name,
    memory.residentKib.toFixed(1),
    memory.heapKib.toFixed(1),
    memory.outsideKib.toFixed(1),
    startMib.toFixed(0),
  ]);
  const [, atelier] = results as [unknown, [string, Memory, number]];
  return [
    `### ${MORE.toLocaleString('en-US')} idle connections`,
    table(
      [
        'server',
        'resident KiB per connection',
        'of it JavaScript heap',
        'buffers and objects outside of it',
        'resident MiB after start',
      ],
      rows,
    ),
    atMost('resident memory of an authenticated connection in its rooms', atelier[1].residentKib, 16, 'KiB'),
  ].join('\n\n');
}

async function memoryOf(system: System): Promise<Memory> {
  // Presence, first pings and what the handshakes left behind are over then.
  await wait(6_000);
  await settled(system);
  const { rss, heapUsed, external } = await (system.nodes[0] as System['nodes'][number]).memory();
  return { residentKib: rss / KIB, heapKib: heapUsed / KIB, outsideKib: external / KIB };
}
