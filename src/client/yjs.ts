/** Co-editing with Yjs, apart from the rest of the SDK so that only who edits loads it. */
export {
  SocketIOProvider,
  type ProviderStatus,
  type SocketIOProviderEvents,
  type SocketIOProviderOptions,
} from './socket-io-provider.ts';
export type { DocumentAccess } from './document-client.ts';
