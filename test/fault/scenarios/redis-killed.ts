import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** Redis is gone and comes back empty: writing goes on, nodes tell each other nothing, the log heals it afterwards. */
export const redisKilled: Scenario = {
  name: 'redis-killed',
  what: 'Redis killed; back, empty, after 15 s',
  nodes: 3,
  silent: false,
  async run(stage) {
    stage.fault();
    await stage.cluster.redis?.kill();
    await pause(stage.lasting(15_000, 4_000));
    await stage.cluster.redis?.restart();
    // Presence cannot be told while there is nobody to keep it.
    stage.vanish(await stage.ghosts(stage.clients), 'cut');
  },
};
