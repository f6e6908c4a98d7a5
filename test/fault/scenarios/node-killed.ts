import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** kill -9: its sockets end at once, what it had acknowledged is told by the others, its ghosts expire. */
export const nodeKilled: Scenario = {
  name: 'node-killed',
  what: 'kill -9 of one of the nodes under load; it starts again after 10 s',
  nodes: 3,
  silent: false,
  async run(stage) {
    const victim = stage.random(stage.cluster.nodes.length);
    const node = stage.cluster.nodes[victim];
    const ghosts = await stage.ghosts(stage.clientsOf(victim));
    stage.fault();
    await node?.kill();
    stage.vanish(ghosts, 'silent');
    await pause(stage.lasting(10_000, 3_000));
    await node?.restart();
  },
};
