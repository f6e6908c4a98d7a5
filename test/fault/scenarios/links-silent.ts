import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** One node's connections to Redis and to the database go half-open: everything looks connected and nothing moves. */
export const linksSilent: Scenario = {
  name: 'links-silent',
  what: "one node's connections to Redis fall silent for 15 s, then those of another to the database for 5 s",
  nodes: 3,
  silent: false,
  async run(stage) {
    const { nodes } = stage.cluster;
    const first = stage.random(nodes.length);
    const second = (first + 1) % nodes.length;
    stage.fault();
    nodes[first]?.redisLink?.silence();
    await pause(stage.lasting(15_000, 4_000));
    nodes[first]?.redisLink?.heal();
    nodes[second]?.databaseLink?.silence();
    await pause(stage.lasting(5_000, 2_000));
    nodes[second]?.databaseLink?.heal();
    stage.serviceBack();
    // What is half-open stays so until its owner gives it up.
    await pause(stage.lasting(20_000, 20_000));
    stage.serviceBack();
  },
};
