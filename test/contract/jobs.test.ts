import { afterAll, beforeAll } from 'vitest';
import { createJobs } from '../../src/cluster/jobs.ts';
import { createMemoryBus } from '../../src/cluster/memory-bus.ts';
import { createNodes } from '../../src/cluster/nodes.ts';
import type { Log } from '../../src/observability/log.ts';
import { ensureIndexes } from '../../src/storage/database.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { FakeClock } from './fake-clock.ts';
import { describeJobs, type Worker } from './jobs.contract.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

describeJobs('database', async () => {
  const complaints: string[] = [];
  const complain = (message: string): void => void complaints.push(message);
  const log: Log = { debug() {}, info() {}, warn: complain, error: complain, child: () => log };
  const bus = createMemoryBus({ log });
  // Of today: the database removes rows by its own clock.
  const wall = { nowMs: Date.now() };
  const workers: Worker[] = [];
  return {
    database,
    wall,
    complaints,
    async join(options = {}) {
      const clock = new FakeClock();
      // Models of its own, as another process has.
      const connection = database.connection.useDb(database.connection.name);
      const nodes = await createNodes({ connection, log, clock, ...options });
      const jobs = createJobs({ connection, nodes, bus, log, clock, now: () => wall.nowMs });
      await ensureIndexes(connection);
      const worker = { nodes, jobs, clock };
      workers.push(worker);
      return worker;
    },
    async close() {
      for (const { jobs, nodes, clock } of workers) {
        const closed = jobs.close();
        // What does not listen to its abort is given up.
        clock.advance(60_000);
        await closed;
        await nodes.close();
      }
      await bus.close();
      for (const name of ['nodes', 'jobs']) await database.connection.collection(name).deleteMany({});
    },
  };
});
