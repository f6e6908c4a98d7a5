import { describeTunnels } from './tunnels.contract.ts';
import { forEachBus } from './streams-world.ts';

forEachBus(describeTunnels);
