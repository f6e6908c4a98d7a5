import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** kill -9 of the only node: everybody waits until it is there again, with its data directory. */
export const aloneKilled: Scenario = {
  name: 'alone-killed',
  what: 'kill -9 of the only node (no Redis), started again after 2 s; three times',
  nodes: 1,
  silent: false,
  async run(stage) {
    const [node] = stage.cluster.nodes;
    for (let round = 0; round < 3; round++) {
      stage.fault();
      await node?.kill();
      await pause(stage.lasting(2_000, 500));
      await node?.restart();
      stage.serviceBack();
      await pause(stage.lasting(8_000, 3_000));
    }
  },
};
