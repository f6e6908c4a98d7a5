import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** TCP connections that end in the middle of anything: everybody's at once, then some, again and again. */
export const cablesCut: Scenario = {
  name: 'cables-cut',
  what: "every client's TCP connection cut at once, then a third of them every second",
  nodes: 3,
  silent: false,
  async run(stage) {
    const ghosts = await stage.ghosts(stage.clients);
    stage.fault();
    stage.vanish(ghosts, 'cut');
    stage.cut(stage.clients);
    for (let round = 0; round < stage.lasting(10, 3); round++) {
      await pause(1_000);
      stage.cut(stage.some(stage.clients, 1 / 3));
    }
  },
};
