import { connectionOf, LIMITS, type Handlers } from '../../protocol/index.ts';
import type { Awareness } from './awareness.ts';
import type { documentsContract } from './contract.ts';
import type { FileAccess } from './documents.ts';
import { createPlainHandlers, type PlainHandlersDeps } from './plain-handlers.ts';
import type { SocketPeers } from './socket-peers.ts';
import type { Tickets } from './tickets.ts';
import { createVersionHandlers, type VersionHandlersDeps } from './version-handlers.ts';

export interface HandlersDeps extends PlainHandlersDeps, VersionHandlersDeps {
  sockets: SocketPeers;
  awareness: Awareness;
  /** Absent where nobody comes in by `/yjs`. */
  tickets: Tickets;
  access: FileAccess;
  now: () => number;
}

export function createHandlers(deps: HandlersDeps): Handlers<typeof documentsContract> {
  const { sockets, awareness, tickets, access, now } = deps;
  return {
    async 'doc:open'({ fileId, stateVector }, context) {
      const socket = { id: connectionOf(context), userId: context.session.userId };
      const { docId, updates, stateVector: vector, access } = await sockets.open(socket, fileId, stateVector);
      return { docId, updates: [...updates], stateVector: vector, access };
    },

    async 'doc:update'({ docId, update }, context) {
      const saved = sockets.get(connectionOf(context), docId).update(update);
      // Its place is taken; the next one may follow at once.
      context.release();
      await saved;
      return { savedAt: new Date(now()).toISOString() };
    },

    async 'doc:close'({ docId }, context) {
      sockets.close(connectionOf(context), docId);
      return {};
    },

    async 'doc:awareness'({ docId, update }, context) {
      awareness.apply(docId, connectionOf(context), update);
      return {};
    },

    async 'doc:ticket'({ fileId }, { session: { userId, sessionId } }) {
      await access(fileId, userId);
      const ticket = tickets.sign({ fileId, userId, sessionId });
      return { ticket, expiresInSeconds: LIMITS.ticketFirstUseMs / 1_000 };
    },

    ...createPlainHandlers(deps),
    ...createVersionHandlers(deps),
  };
}
