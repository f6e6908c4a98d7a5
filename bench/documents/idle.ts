/**
 * What a server keeps for a document that somebody has open and nobody types in. First one connection to each document,
 * then a second one: the second tells what a connection costs, the rest of the first is the document.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { count, table } from '../figures.ts';
import { settled } from '../load.ts';
import { KINDS } from './kinds.ts';
import { closeAll, openAll } from './load.ts';
import type { DocumentSystem } from './systems.ts';
import { writeTrace } from './trace.ts';
import { aheadOfBoth, besideHocuspocus } from './verdict.ts';

/** Left out of the difference, so that what grows once is not counted. */
const FIRST = 200;
const MORE = 1_500;
/** Keystrokes that leave a text of about 2 KB. */
const KEYSTROKES = 3_500;
const SESSIONS = 4;
/** What opening and the handshakes left behind is gone then. */
const CALM_MS = 6_000;

interface Memory {
  heapKib: number;
  residentKib: number;
}

export async function idleDocuments(rounds: number): Promise<string> {
  void rounds;
  const trace = writeTrace(2, KEYSTROKES, SESSIONS);
  const documents = Array.from({ length: FIRST + MORE }, () => trace);
  const results = new Map<string, { document: Memory; connection: Memory }>();
  for (const kind of KINDS) {
    const system = await kind.start({ documents, nodes: 1 });
    const clients = await openAll(FIRST, (n) => system.client(n, n));
    const start = await memoryOf(system);
    clients.push(...(await openAll(MORE, (n) => system.client(FIRST + n, n))));
    const loaded = await memoryOf(system);
    clients.push(...(await openAll(MORE, (n) => system.client(FIRST + n, n + 1))));
    const twice = await memoryOf(system);
    const each = (a: Memory, b: Memory): Memory => ({
      heapKib: (b.heapKib - a.heapKib) / MORE,
      residentKib: (b.residentKib - a.residentKib) / MORE,
    });
    const both = each(start, loaded);
    const connection = each(loaded, twice);
    results.set(kind.name, {
      document: {
        heapKib: both.heapKib - connection.heapKib,
        residentKib: both.residentKib - connection.residentKib,
      },
      connection,
    });
    await closeAll(clients);
    await system.stop();
  }
  const document = (name: string): number => results.get(name)?.document.heapKib ?? Number.NaN;
  const connection = (name: string): number => results.get(name)?.connection.heapKib ?? Number.NaN;
  const rows = [...results].map(([name, one]) => [
    name,
    one.document.heapKib.toFixed(1),
    one.connection.heapKib.toFixed(1),
    one.document.residentKib.toFixed(1),
    one.connection.residentKib.toFixed(1),
  ]);
  return [
    `### ${count(MORE)} idle documents of ${count(trace.text.length)} characters (${count(trace.state.length)} bytes with their history)`,
    table(
      [
        'server',
        'KiB of heap and buffers per document',
        'per connection that has it open',
        'resident KiB per document',
        'per connection',
      ],
      rows,
    ),
    [
      ...besideHocuspocus('memory per idle document', document, '≤', 0.4),
      ...aheadOfBoth('KiB per idle document', document, 'less'),
      ...aheadOfBoth('KiB per connection', connection, 'less'),
    ].join('\n'),
  ].join('\n\n');
}

async function memoryOf(system: DocumentSystem): Promise<Memory> {
  await wait(CALM_MS);
  await settled(system);
  const { rss, heapUsed, external } = await (system.nodes[0] as DocumentSystem['nodes'][number]).memory();
  return { residentKib: rss / 1_024, heapKib: (heapUsed + external) / 1_024 };
}
