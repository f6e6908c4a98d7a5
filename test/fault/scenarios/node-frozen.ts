import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** SIGSTOP for 10 s: long enough that the others call it dead and its clients have gone elsewhere; then it goes on. */
export const nodeFrozen: Scenario = {
  name: 'node-frozen',
  what: 'SIGSTOP of one of the nodes for 10 s, then SIGCONT',
  nodes: 3,
  silent: true,
  async run(stage) {
    const victim = stage.random(stage.cluster.nodes.length);
    const node = stage.cluster.nodes[victim];
    const ghosts = await stage.ghosts(stage.clientsOf(victim));
    stage.fault();
    node?.freeze();
    stage.vanish(ghosts, 'silent');
    await pause(10_000);
    node?.thaw();
  },
};
