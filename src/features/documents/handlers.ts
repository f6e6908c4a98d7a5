import { connectionOf, type Handlers } from '../../protocol/index.ts';
import type { documentsContract } from './contract.ts';
import { createPlainHandlers, type PlainHandlersDeps } from './plain-handlers.ts';
import type { SocketPeers } from './socket-peers.ts';
import { createVersionHandlers, type VersionHandlersDeps } from './version-handlers.ts';

export interface HandlersDeps extends PlainHandlersDeps, VersionHandlersDeps {
  sockets: SocketPeers;
  now: () => number;
}

export function createHandlers({ sockets, now, ...deps }: HandlersDeps): Handlers<typeof documentsContract> {
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

    ...createPlainHandlers(deps),
    ...createVersionHandlers(deps),
  };
}
