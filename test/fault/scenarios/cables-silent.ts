import { setTimeout as pause } from 'node:timers/promises';
import type { Scenario } from '../load/stage.ts';

/** Half-open connections: half of the clients and the servers talk into nothing, and only a missed ping tells them. */
export const cablesSilent: Scenario = {
  name: 'cables-silent',
  what: 'the TCP connections of half of the clients fall silent both ways; new ones are accepted and silent for 3 s, then work',
  nodes: 3,
  silent: true,
  async run(stage) {
    const ghosts = await stage.ghosts(stage.clients);
    const cut = stage.some(
      stage.clients.filter((client) => !ghosts.includes(client)),
      1 / 2,
    );
    stage.fault();
    stage.vanish(ghosts, 'silent');
    for (const { cable } of cut) cable.silence();
    await pause(3_000);
    for (const { cable } of cut) cable.heal();
    // Until everybody has noticed.
    await pause(10_000);
  },
};
