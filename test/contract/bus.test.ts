import { createMemoryBus } from '../../src/cluster/memory-bus.ts';
import type { Log } from '../../src/observability/log.ts';
import { describeBus } from './bus.contract.ts';

const nothing = (): void => {};
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };

describeBus('memory', async () => {
  const bus = createMemoryBus({ log });
  return { here: bus, there: bus, close: () => bus.close() };
});
