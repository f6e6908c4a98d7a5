/** The SDK that front ends import. */
export { connect, type AtelierClient, type ConnectOptions, type OnceOptions } from './client.ts';
export { AtelierError } from './atelier-error.ts';
export { memoryStorage, webStorage, type OutboxItem, type OutboxStorage, type WebStorage } from './outbox-storage.ts';
export type { Outbox, OutboxChange } from './outbox.ts';
export type { Presence, PresenceStore } from './presence.ts';
export {
  attachTerminal,
  type AttachedTerminal,
  type AttachOptions,
  type TerminalClient,
  type TerminalListeners,
} from './terminals.ts';
export type { TypingState } from './typing.ts';
export type { CallOptions } from './requests.ts';
export type { SocketSettings, TokenReason, TokenSource } from './connection.ts';
export type { Unread } from './unread.ts';
export type { Timings } from './timings.ts';
export type {
  Chat,
  ClientEvents,
  ClientState,
  Hello,
  Message,
  OperationInput,
  OperationName,
  OperationOutput,
} from './operations.ts';
