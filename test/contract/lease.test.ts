import { createLeases } from '../../src/cluster/leases.ts';
import { createNodes } from '../../src/cluster/nodes.ts';
import type { Log } from '../../src/observability/log.ts';
import { afterAll, beforeAll } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';
import { FakeClock } from './fake-clock.ts';
import { describeLeases, type Member } from './lease.contract.ts';

const nothing = (): void => {};
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

describeLeases('database', async () => {
  const { connection } = database;
  const members: Member[] = [];
  return {
    database,
    async join(options = {}) {
      const clock = new FakeClock();
      const nodes = await createNodes({ connection, log, clock, ...options });
      const member = { nodes, leases: createLeases({ connection, nodes, log, clock }), clock };
      members.push(member);
      return member;
    },
    async close() {
      for (const { nodes } of members) await nodes.close();
      for (const name of ['nodes', 'leases', 'guarded']) await connection.collection(name).deleteMany({});
    },
  };
});
