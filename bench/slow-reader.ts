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
  let over = false;
  void load.finally(() => {
    over = true;
  });
  const startedAt = performance.now();
  const result: Omit<Phase, 'deliveredMs'> = { residentMib: 0, waitingMib: undefined, closedAfterSeconds: undefined };
  const sockets = await figure(node.url, 'sockets');
  while (!over) {
    await wait(500);
    result.residentMib = Math.max(result.residentMib, node.residentBytes() / MIB);
    const waiting = await figure(node.url, 'outbound_largest_bytes');
    if (waiting === undefined) continue;
    result.waitingMib = Math.max(result.waitingMib ?? 0, waiting / MIB);
    const left = (await figure(node.url, 'sockets')) ?? 0;
    if (left < (sockets ?? 0)) result.closedAfterSeconds ??= (performance.now() - startedAt) / 1_000;
  }
  return { ...result, deliveredMs: (await load).deliveredMs };
}

/** One of the server's own figures; the baseline has none. */
async function figure(url: string, name: string): Promise<number | undefined> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = new RegExp(`^atelier_${name} (\\S+)$`, 'm').exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}
