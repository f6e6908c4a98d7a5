/** How many sockets are open on all nodes: each tells its own count by a row, as often as it changes but not oftener than 10 s. */
import type { Model } from 'mongoose';
import { systemClock, type Clock, type DatabaseNodes } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import type { ConnectionsRecord } from './model.ts';

const TELL_MS = 10_000;

export interface OpenConnectionsDeps {
  model: Model<ConnectionsRecord>;
  nodes: Pick<DatabaseNodes, 'id' | 'isGone' | 'onDeath'>;
  /** Whether there can be no other node. */
  alone: boolean;
  /** Open sockets of this node. */
  here: () => number;
  log: Log;
  clock?: Clock;
}

export class OpenConnections {
  readonly #deps: OpenConnectionsDeps;
  readonly #stops: (() => void)[];
  #told = 0;
  #telling: Promise<void> = Promise.resolve();

  constructor(deps: OpenConnectionsDeps) {
    this.#deps = deps;
    const { nodes, clock = systemClock, alone } = deps;
    this.#stops = alone
      ? []
      : [clock.every(TELL_MS, () => void this.tell()), nodes.onDeath((nodeId) => void this.#forget(nodeId))];
  }

  /** Writes this node's count if it has changed. Never rejects. */
  tell(): Promise<void> {
    this.#telling = this.#telling.then(() => this.#tellNow());
    return this.#telling;
  }

  async count(): Promise<number> {
    const { model, nodes, alone, here } = this.#deps;
    if (alone) return here();
    const rows = await model.collection.find<ConnectionsRecord>({}).toArray();
    const others = await Promise.all(
      rows.filter(({ _id }) => _id !== nodes.id).map(async ({ _id, count }) => ((await nodes.isGone(_id)) ? 0 : count)),
    );
    return others.reduce((sum, count) => sum + count, here());
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    await this.#telling;
    if (this.#told > 0) await this.#forget(this.#deps.nodes.id);
  }

  async #tellNow(): Promise<void> {
    const { model, nodes, here, log } = this.#deps;
    const count = here();
    if (count === this.#told) return;
    try {
      await model.collection.updateOne({ _id: nodes.id as never }, { $set: { count } }, { upsert: true });
      this.#told = count;
    } catch (error) {
      log.warn('The count of connections could not be told yet', { error });
    }
  }

  async #forget(nodeId: string): Promise<void> {
    try {
      await this.#deps.model.collection.deleteOne({ _id: nodeId as never });
    } catch (error) {
      this.#deps.log.warn('The count of connections of a node that is gone is still kept', { nodeId, error });
    }
  }
}
