/** What a scenario has to play with: a deployment under load, its crowd, and those who watch. */
import type { TestCluster } from '../../support/cluster.ts';
import { shuffled, type Random } from '../../support/random.ts';
import type { LoadClient } from './load-client.ts';
import type { Load } from './load.ts';
import type { GhostWatch } from './presence.ts';

export interface Scenario {
  name: string;
  /** One line for the table's legend. */
  what: string;
  /** Server processes. */
  nodes: number;
  /** Nobody is told of the fault: connections that died look alive until a ping is missed. */
  silent: boolean;
  /** It needs a database process of its own to do its worst to. */
  ownDatabase?: boolean;
  /** Resolves when the fault is healed. */
  run(stage: Stage): Promise<void>;
}

export interface StageDeps {
  cluster: TestCluster;
  clients: readonly LoadClient[];
  load: Load;
  watch: GhostWatch;
  random: Random;
  /** False in tests, where a fault may last less long. */
  full: boolean;
}

export class Stage {
  readonly cluster: TestCluster;
  readonly random: Random;
  readonly gone = new Set<LoadClient>();
  readonly #deps: StageDeps;
  #faultAtMs = Number.NaN;
  #serviceBackAtMs = 0;

  constructor(deps: StageDeps) {
    this.#deps = deps;
    this.cluster = deps.cluster;
    this.random = deps.random;
  }

  /** When the fault began. */
  get faultAtMs(): number {
    return this.#faultAtMs;
  }

  /** Before it nobody could come back, because nothing was there to come back to. */
  get serviceBackAtMs(): number {
    return this.#serviceBackAtMs;
  }

  get clients(): readonly LoadClient[] {
    return this.#deps.clients;
  }

  /** How long something lasts: as it is to be proven, or, in a test, just long enough. */
  lasting(fullMs: number, shortMs: number): number {
    return this.#deps.full ? fullMs : shortMs;
  }

  /** Clients whose home is this node. */
  clientsOf(node: number): LoadClient[] {
    return this.clients.filter((_, n) => n % this.cluster.nodes.length === node);
  }

  /** A seeded choice of some of them, a share of 0 to 1. */
  some(clients: readonly LoadClient[], share: number): LoadClient[] {
    return shuffled(this.random, clients).slice(0, Math.ceil(clients.length * share));
  }

  /** Chooses those who will vanish, and lets others watch them. */
  async ghosts(from: readonly LoadClient[], count = 5): Promise<LoadClient[]> {
    const chosen = shuffled(this.random, from).slice(0, Math.min(count, Math.ceil(from.length / 2)));
    await this.#deps.watch.watch(chosen.map(({ person }) => person.id));
    return chosen;
  }

  fault(): void {
    this.#faultAtMs = performance.now();
  }

  serviceBack(): void {
    this.#serviceBackAtMs = performance.now();
  }

  /** Ends their connections, also those that are just coming back, whose time without one begins anew. */
  cut(clients: readonly LoadClient[]): void {
    for (const { cable, outages } of clients) {
      const last = outages.at(-1);
      if (last && last.backAtMs === undefined) last.lostAtMs = performance.now();
      cable.cut();
    }
  }

  /** They go for good and say nothing. `cut`: their connections end; `silent`: not even that is heard. */
  vanish(clients: readonly LoadClient[], how: 'cut' | 'silent'): void {
    for (const client of clients) {
      if (how === 'cut') client.cable.cut();
      client.cable.silence();
      client.close();
      this.gone.add(client);
      this.#deps.load.without(client);
      this.#deps.watch.vanished(client.person.id);
    }
  }
}
