/** What an edit costs between two nodes: publishes, and bytes through Redis. */
import { setTimeout as wait } from 'node:timers/promises';
import { median, table } from '../figures.ts';
import { hasRedis } from '../../test/support/redis.ts';
import type { DocumentClient } from './clients.ts';
import { placesOf, Typist, type Place } from './keystrokes.ts';
import { NODE_KINDS } from './kinds.ts';
import { closeAll, openAll, pace } from './load.ts';
import type { RedisFigures } from './systems.ts';
import { writeLines } from './trace.ts';
import { HOCUSPOCUS, verdict } from './verdict.ts';

const SECONDS = 8;
/** So few that each edit is a batch of its own. */
const PER_SECOND = 10;

export async function betweenNodes(rounds: number): Promise<string> {
  if (!hasRedis()) return '### Two nodes\n\nLeft out: there is no redis-server here.';
  const results = new Map<string, RedisFigures[]>();
  const state = writeLines(0x1234_5678, 8, 40);
  for (let round = 0; round < rounds; round++) {
    for (const kind of NODE_KINDS) {
      const system = await kind.start({ documents: [state], nodes: 2 });
      const clients = await openAll(2, (n) => system.client(0, n), 1);
      const places = placesOf((clients[0] as DocumentClient).takeState(), 2);
      const writers = clients.map((client, n) => ({
        client,
        typist: new Typist(0x4000_0000 + n, places[n] as Place),
      }));
      await pace(clients, writers, { perSecond: PER_SECOND, seconds: 2 });
      await wait(3_000);
      // What nodes say to each other all the time is not the edits' price.
      const idle = await during(
        () => system.redis(),
        () => wait(SECONDS * 1_000),
      );
      const busy = await during(
        () => system.redis(),
        () => pace(clients, writers, { perSecond: PER_SECOND, seconds: SECONDS }),
      );
      const edits = PER_SECOND * SECONDS;
      results.set(kind.name, [
        ...(results.get(kind.name) ?? []),
        {
          publishes: (busy.publishes - idle.publishes) / edits,
          bytesIn: (busy.bytesIn - idle.bytesIn) / edits,
          bytesOut: (busy.bytesOut - idle.bytesOut) / edits,
        },
      ]);
      await closeAll(clients);
      await system.stop();
    }
  }
  const figure =
    (of: keyof RedisFigures) =>
    (name: string): number =>
      median((results.get(name) as RedisFigures[]).map((one) => one[of]));
  const publishes = figure('publishes');
  const bytes = figure('bytesIn');
  const rows = [...results.keys()].map((name) => [
    name,
    publishes(name).toFixed(2),
    bytes(name).toFixed(0),
    figure('bytesOut')(name).toFixed(0),
  ]);
  const ours = NODE_KINDS.map(({ name }) => name).filter((name) => name !== HOCUSPOCUS);
  return [
    '### Two nodes: one edit through Redis',
    table(['server', 'publishes', 'bytes to Redis', 'bytes from Redis'], rows),
    ours
      .flatMap((name) => [
        `- ${name}, publishes per edit: ${publishes(name).toFixed(2)} (target ≤ 1): ${verdict(publishes(name) <= 1.05)}`,
        `- ${name}, bytes to Redis per edit: ${bytes(name).toFixed(0)} (hocuspocus ${bytes(HOCUSPOCUS).toFixed(0)}): ${verdict(bytes(name) < bytes(HOCUSPOCUS))}`,
      ])
      .join('\n'),
    "- y-websocket's server has no form for several nodes.",
  ].join('\n\n');
}

async function during(read: () => Promise<RedisFigures>, run: () => Promise<unknown>): Promise<RedisFigures> {
  const before = await read();
  await run();
  const after = await read();
  return {
    publishes: after.publishes - before.publishes,
    bytesIn: after.bytesIn - before.bytesIn,
    bytesOut: after.bytesOut - before.bytesOut,
  };
}
