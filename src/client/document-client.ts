/** What co-editing needs of a client. */
import type { AtelierClient } from './client.ts';
import type { CallOptions } from './requests.ts';
import type { ClientState } from './operations.ts';

export type DocumentAccess = 'write' | 'read' | 'none';

export interface OpenedDocument {
  /** To be applied in order; an ArrayBuffer in browsers. */
  updates: readonly unknown[];
  stateVector: unknown;
  access: DocumentAccess;
}

interface DocumentEvents {
  state: { state: ClientState; error?: Error };
  'doc:updated': { docId: string; update: unknown };
  'doc:awareness-changed': { docId: string; update: unknown };
  'doc:access-changed': { docId: string; access: DocumentAccess };
}

export interface DocumentClient {
  readonly state: ClientState;
  call(
    name: 'doc:open',
    input: { fileId: string; stateVector?: Uint8Array },
    options: CallOptions,
  ): Promise<OpenedDocument>;
  call(
    name: 'doc:update',
    input: { docId: string; update: Uint8Array },
    options: CallOptions,
  ): Promise<{ savedAt: string }>;
  call(name: 'doc:awareness', input: { docId: string; update: Uint8Array }, options: CallOptions): Promise<unknown>;
  call(name: 'doc:close', input: { docId: string }, options: CallOptions): Promise<unknown>;
  on<K extends keyof DocumentEvents>(name: K, listener: (data: DocumentEvents[K]) => void): () => void;
}

/** The client's own types say more, and differ in what bytes are. */
export const documentClient = (client: AtelierClient): DocumentClient => client;
