/** One client of a busy room stops reading: what the server keeps for it, and whether the others notice. */
import { setTimeout as wait } from 'node:timers/promises';
import { atMost, p50p99, percentile, table } from './figures.ts';
import { closeAll, connectAll, pace } from './load.ts';
import { startAtelier, startBare, type System } from './systems.ts';

const SIZE = 50;
const SECONDS = 60;
/** More than the system takes for a connection in that time. */
const LOAD = { perSecond: 50, sizeBytes: 8 * 1_024 };
const MIB = 1_024 ** 2;

interface Phase {
  deliveredMs: number[];
  residentMib: number;
  /** The most that waited for one socket, where the server tells. */
  waitingMib: number | undefined;
  closedAfterSeconds: number | undefined;
}

export async function slowReader(): Promise<string> {
  const rows: string[][] = [];
  const lines: string[] = [];
  for (const start of [startBare, startAtelier]) {
    const system = await start({ rooms: 1, size: SIZE, nodes: 1 });
    const clients = await connectAll(system.members);
    await pace(clients.slice(1), { ...LOAD, seconds: 5 });
    const calm = await phase(system, clients, false);
    const disturbed = await phase(system, clients, true);
    for (const [what, { deliveredMs, residentMib, waitingMib, closedAfterSeconds }] of [
      ['everybody reads', calm],
      ['one does not', disturbed],
    ] as const) {
      rows.push([
        system.name,
        what,
        p50p99(deliveredMs),
        residentMib.toFixed(0),
        waitingMib?.toFixed(2) ?? '',
        closedAfterSeconds?.toFixed(0) ?? '',
      ]);
    }
    if (start === startAtelier) {
      lines.push(
        atMost('waits for the client that does not read', disturbed.waitingMib ?? Number.NaN, 2, 'MiB'),
        atMost(
          "the others' p99 with it",
          percentile(disturbed.deliveredMs, 0.99),
          1.1 * percentile(calm.deliveredMs, 0.99),
          'ms',
        ),
      );
    }
    await closeAll(clients);
    await system.stop();
  }
  return [
    `### One of ${SIZE} clients does not read for ${SECONDS} s, ${LOAD.perSecond} messages/s of ${LOAD.sizeBytes / 1_024} KiB`,
    table(
      [
        'server',
        'clients',
        "others' delivery p50 / p99 ms",
        'most resident MiB',
        'most that waited for a socket, MiB',
        'closed after s',
      ],
      rows,
    ),
    lines.join('\n'),
  ].join('\n\n');
}

async function phase(system: System, clients: Awaited<ReturnType<typeof connectAll>>, stops: boolean): Promise<Phase> {
  const [slow, ...others] = clients;
  const [node] = system.nodes;
  if (!slow || !node) throw new Error('There is nobody');
  if (stops) slow.stopReading();
  const load = pace(others, { ...LOAD, seconds: SECONDS });
  const state = { over: false };
  void load.finally(() => {
    state.over = true;
  });
  const startedAt = performance.now();
  const result: Omit<Phase, 'deliveredMs'> = { residentMib: 0, waitingMib: undefined, closedAfterSeconds: undefined };
  while (!state.over) {
    await wait(500);
    result.residentMib = Math.max(result.residentMib, node.residentBytes() / MIB);
    if (system.name !== 'Atelier') continue;
    const { waitingMib, sockets } = await figures(node.url);
    result.waitingMib = Math.max(result.waitingMib ?? 0, waitingMib);
    if (sockets < clients.length) result.closedAfterSeconds ??= (performance.now() - startedAt) / 1_000;
  }
  return { ...result, deliveredMs: (await load).deliveredMs };
}

/** The server's own figures: the most that waited for one socket, and how many are open. */
async function figures(url: string): Promise<{ waitingMib: number; sockets: number }> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const read = (name: string): number => Number(new RegExp(`^atelier_${name} (\\S+)$`, 'm').exec(text)?.[1]);
  return { waitingMib: read('outbound_largest_bytes') / MIB, sockets: read('sockets') };
}
