import { createMemoryPresenceRegistry } from '../../src/cluster/memory-presence-registry.ts';
import { describePresenceRegistry } from './presence-registry.contract.ts';

describePresenceRegistry('memory', async () => {
  const registry = createMemoryPresenceRegistry();
  return { here: registry, there: registry, close: () => registry.close() };
});
