import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** kill -9 of the database: nothing is acknowledged meanwhile, and what was is on its disk. */
export const databaseKilled: Scenario = {
  name: 'database-killed',
  what: 'the database killed under load; back after 5 s; twice',
  nodes: 3,
  silent: false,
  ownDatabase: true,
  async run(stage) {
    for (let round = 0; round < 2; round++) {
      stage.fault();
      await stage.cluster.database?.kill();
      await pause(stage.lasting(5_000, 2_000));
      await stage.cluster.database?.restart();
      stage.serviceBack();
      await pause(stage.lasting(8_000, 2_000));
    }
  },
};
