/** All operations and events of the server, from their features. Isomorphic: the SDK takes its types from here. */
import { z } from 'zod';
import { event, Id } from '../protocol/index.ts';
import { adminContract, adminEvents } from './admin/contract.ts';
import { aiContract, aiEvents } from './ai/contract.ts';
import { authContract, authEvents } from './auth/contract.ts';
import { blocksContract } from './blocks/contract.ts';
import { chatContract, chatEvents } from './chat/contract.ts';
import { codeContract, codeEvents } from './code/contract.ts';
import { documentsContract, documentsEvents } from './documents/contract.ts';
import { filesContract, filesEvents } from './files/contract.ts';
import { keysContract, keysEvents } from './keys/contract.ts';
import { lifecycleContract } from './lifecycle/contract.ts';
import { presenceContract, presenceEvents } from './presence/contract.ts';
import { projectsContract, projectsEvents } from './projects/contract.ts';
import { pushContract } from './push/contract.ts';
import { sandboxesContract, sandboxesEvents } from './sandboxes/contract.ts';
import { terminalsContract, terminalsEvents } from './terminals/contract.ts';
import { usersContract } from './users/contract.ts';
import { workspaceEvents } from './workspace/contract.ts';

/** The version that `auth.protocol` names at the handshake. */
export const PROTOCOL_VERSION = 1;

/** What the gateway itself says. */
const connectionEvents = {
  hello: event({
    data: z.object({
      protocol: z.literal(PROTOCOL_VERSION),
      serverId: z.string(),
      userId: Id,
      sessionId: Id,
      expiresInSeconds: z.int(),
      limits: z.record(z.string(), z.number()),
      previousClose: z.enum(['slow_consumer']).optional(),
    }),
    doc: "Once per connection; from it on nothing of the user's rooms is missed. Operations sent earlier wait for it. `previousClose` says that the session's connection before was ended because its client did not read.",
  }),
  'server:draining': event({
    data: z.object({ reconnectInMs: z.int() }),
    doc: 'This server stops: the connection closes within the time given; connect again.',
  }),
};

export const contract = {
  ...authContract,
  ...usersContract,
  ...lifecycleContract,
  ...blocksContract,
  ...chatContract,
  ...presenceContract,
  ...projectsContract,
  ...filesContract,
  ...documentsContract,
  ...keysContract,
  ...sandboxesContract,
  ...terminalsContract,
  ...codeContract,
  ...aiContract,
  ...pushContract,
  ...adminContract,
};

export const events = {
  ...connectionEvents,
  ...authEvents,
  ...chatEvents,
  ...presenceEvents,
  ...projectsEvents,
  ...filesEvents,
  ...documentsEvents,
  ...keysEvents,
  ...sandboxesEvents,
  ...terminalsEvents,
  ...workspaceEvents,
  ...codeEvents,
  ...aiEvents,
  ...adminEvents,
};

export type AtelierContract = typeof contract;
export type AtelierEvents = typeof events;
