import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** One node after the other ends in order and starts again, as a new version is put in place. */
export const deployment: Scenario = {
  name: 'deployment',
  what: 'each node in turn: SIGTERM, drained, started again',
  nodes: 3,
  silent: false,
  async run(stage) {
    stage.fault();
    for (const node of stage.cluster.nodes) {
      await node.end();
      await node.restart();
      await pause(stage.lasting(3_000, 1_000));
    }
  },
};
