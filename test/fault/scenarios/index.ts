/** Every way in which the deployment is made to suffer. */
import type { Scenario } from '../load/stage.ts';
import { aloneKilled } from './alone-killed.ts';
import { cablesCut } from './cables-cut.ts';
import { cablesSilent } from './cables-silent.ts';
import { databaseKilled } from './database-killed.ts';
import { deployment } from './deployment.ts';
import { linksSilent } from './links-silent.ts';
import { nodeFrozen } from './node-frozen.ts';
import { nodeKilled } from './node-killed.ts';
import { redisKilled } from './redis-killed.ts';

export const SCENARIOS: readonly Scenario[] = [
  nodeKilled,
  nodeFrozen,
  redisKilled,
  databaseKilled,
  cablesCut,
  cablesSilent,
  linksSilent,
  deployment,
  aloneKilled,
];
