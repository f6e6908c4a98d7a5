/** What the server offers, as types, and which operations may be sent twice. Nothing of the server is loaded. */
import type { AtelierContract, AtelierEvents } from '../features/registry.ts';
import type { EventData, Input, Output } from '../protocol/operation.ts';
import type { OutboxEvents } from './outbox.ts';

/** Operations that a signed-in socket can call. */
export type OperationName = {
  [K in keyof AtelierContract]: AtelierContract[K]['auth'] extends 'public' ? never : K;
}[keyof AtelierContract];

/** Operations that make something and take a `clientId`. */
export type CreatingOperation = {
  [K in OperationName]: string extends keyof Input<AtelierContract[K]>
    ? never
    : 'clientId' extends keyof Input<AtelierContract[K]>
      ? K
      : never;
}[OperationName];

/** The input of an operation; a `clientId` may be left out, then the SDK makes one. */
export type OperationInput<K extends OperationName> = K extends CreatingOperation
  ? Omit<Input<AtelierContract[K]>, 'clientId'> & { clientId?: string }
  : Input<AtelierContract[K]>;

export type OperationOutput<K extends OperationName> = Output<AtelierContract[K]>;

type ServerEvents = { [K in keyof AtelierEvents]: EventData<AtelierEvents[K]> };

export type ServerEvent<K extends keyof ServerEvents> = ServerEvents[K];
export type Hello = ServerEvent<'hello'>;
export type Chat = ServerEvent<'chat:created'>['chat'];
export type Message = ServerEvent<'message:created'>['message'];

type Finished = ServerEvent<'ai:finished'>;

/** What `client.on` hears: the server's events, in order and without gaps where they have positions, and the SDK's own. */
export interface ClientEvents extends Omit<ServerEvents, 'ai:finished'>, OutboxEvents {
  /** `usage` and `stopReason` are missing when the answer ended while the client was away. */
  'ai:finished': Pick<Finished, 'streamId' | 'message'> & Partial<Pick<Finished, 'usage' | 'stopReason'>>;
  /** Events up to `position` (a rev) will not come: read the chat again with `message:list`. */
  'chat:reset': { chatId: string; position: number };
  /** A count of `client.unread` changed. */
  unread: { chatId: string; unread: number; total: number };
  /** `error` says why the client closed, when it was not by `close()`. */
  state: { state: ClientState; error?: Error };
}

export type ClientState = 'connecting' | 'ready' | 'reconnecting' | 'closed';

const CREATING: Record<CreatingOperation, true> = {
  'message:send': true,
  'chat:create': true,
  'ai:prompt': true,
  'keys:claim': true,
  'project:create': true,
  'project:duplicate': true,
  'project:invite': true,
  'file:create': true,
  'file:upload-url': true,
  'file:write-many': true,
  'doc:save-version': true,
  'code:run': true,
  'sandbox:exec': true,
  'terminal:open': true,
};

/** Reading, or setting something to a stated value: twice is the same as once. */
const REPEATABLE: ReadonlySet<string> = new Set<OperationName>([
  'auth:me',
  'auth:refresh',
  'user:search',
  'user:profile',
  'user:get',
  'user:block',
  'user:unblock',
  'user:blocked',
  'chat:list',
  'chat:get',
  'chat:join',
  'chat:leave',
  'chat:heads',
  'chat:sync',
  'message:list',
  'message:edit',
  'message:delete',
  'message:react',
  'message:thread',
  'message:history',
  'message:read',
  'doc:awareness',
  'doc:ticket',
  'message:delivered',
  'message:receipts',
  'chat:search',
  'chat:members',
  'chat:update',
  'chat:add-members',
  'chat:star',
  'chat:archive',
  'chat:mute',
  'file:list',
  'file:tree',
  'file:upload-done',
  'project:snapshot',
  'project:restore-snapshot',
  'file:read',
  'file:trash',
  'file:search',
  'file:history',
  'file:set-language',
  'doc:open',
  'doc:versions',
  'doc:version',
  'doc:watch',
  'doc:unwatch',
  'cursor:move',
  'sandbox:status',
  'sandbox:preview-url',
  'terminal:attach',
  'terminal:resize',
  'terminal:list',
  'terminal:detach',
  'sandbox:start',
  'sandbox:stop',
  'code:attach',
  'code:stop',
  'presence:set',
  'presence:get',
  'presence:watch',
  'project:list',
  'project:get',
  'project:update',
  'project:delete',
  'project:restore',
  'project:star',
  'project:members',
  'project:add-member',
  'project:remove-member',
  'project:leave',
  'project:invites',
  'project:revoke-invite',
  'project:accept-invite',
  'keys:publish',
  'keys:list',
  'keys:remove',
  'ai:resume',
  'ai:stop',
  'push:key',
  'push:subscribe',
  'push:unsubscribe',
  'push:settings',
  'message:report',
  'admin:users',
  'admin:ban',
  'admin:unban',
  'admin:set-role',
  'admin:reports',
  'admin:resolve',
  'admin:stats',
  'admin:audit',
]);

/** Whether an operation whose outcome is unknown may be sent again. */
export function isRepeatable(name: string, input: object): boolean {
  return REPEATABLE.has(name) || ('clientId' in input && typeof input.clientId === 'string');
}

/** What answers only at the end of long work (`wait: true`) may take this long, as on the server. */
export const LONG_ANSWER_MS = 300_000;

export const answersLate = (input: object): boolean => 'wait' in input && input.wait === true;

/** The input as it is sent: with a `clientId` where the operation takes one. */
export function withClientId(name: string, input: object): object {
  if (!Object.hasOwn(CREATING, name) || ('clientId' in input && input.clientId !== undefined)) return input;
  return { ...input, clientId: makeClientId() };
}

/** 128 random bits. `crypto.randomUUID` does not exist on pages without TLS. */
export function makeClientId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
