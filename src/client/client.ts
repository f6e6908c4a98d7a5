/**
 * The client of Atelier's socket, for browsers and Node. Operations are promises, events are typed, and after any
 * disconnect the application hears exactly what it missed: from the first `ready` on, every event of a chat once and
 * in order.
 */
import { LIMITS } from '../protocol/limits.ts';
import { AtelierError } from './atelier-error.ts';
import { createChats } from './chats.ts';
import { createConnection, type SocketSettings, type TokenReason, type TokenSource } from './connection.ts';
import { Emitter } from './emitter.ts';
import { createLink, type Link } from './link.ts';
import {
  withClientId,
  type ClientEvents,
  type ClientState,
  type Hello,
  type Message,
  type OperationInput,
  type OperationName,
  type OperationOutput,
} from './operations.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { memoryStorage, type OutboxStorage } from './outbox-storage.ts';
import { createPresences, type PresenceStore } from './presence.ts';
import { createRequests, type CallOptions } from './requests.ts';
import { createStanding } from './standing.ts';
import { createStreams } from './streams.ts';
import { TIMINGS, type Timings } from './timings.ts';
import { createTypings, type TypingState } from './typing.ts';
import { createUnread, type Unread } from './unread.ts';

export interface ConnectOptions {
  url: string;
  /** An access token, or how to get one: asked at every handshake and when the one in use ends soon or was refused. */
  token: TokenSource;
  /** Handed to socket.io-client. */
  socket?: SocketSettings;
  /** How long one attempt of an operation waits for its answer; 10,000 ms by default. */
  requestTimeoutMs?: number;
  /** How long an operation that may be sent twice goes on, 30,000 ms by default. */
  retryForMs?: number;
  /** `false`: events as the server sends them, nothing missed is asked for. */
  autoResume?: boolean;
  /** Where the outbox keeps what the server has not acknowledged: in memory by default, `webStorage(localStorage)` survives a reload. */
  outboxStorage?: OutboxStorage;
  /** Shorter waits for tests. */
  timings?: Partial<Timings>;
}

export interface OnceOptions {
  /** 10,000 ms by default. */
  timeoutMs?: number;
}

export interface AtelierClient {
  readonly state: ClientState;
  /** Of the newest connection. */
  readonly hello: Hello | undefined;
  /** Resolves when operations flow; rejects when the client is closed. */
  ready(): Promise<Hello>;
  /**
   * Rejects with `AtelierError`. Waits for a connection; what reads or carries a `clientId` is sent again when no
   * answer came, by default for 30 s. A missing `clientId` is made.
   */
  call<K extends OperationName>(name: K, input: OperationInput<K>, options?: CallOptions): Promise<OperationOutput<K>>;
  /** Whom the application wants to see. */
  readonly presence: PresenceStore;
  readonly typing: TypingState;
  /** Sends messages that must outlast a connection, and a page. */
  readonly outbox: Outbox;
  /** Short for `call('message:send', …)`: one try that ends. `outbox.send` goes on. */
  send(
    chatId: string,
    content: string,
    more?: Omit<OperationInput<'message:send'>, 'chatId' | 'content'>,
  ): Promise<OperationOutput<'message:send'>>;
  /** An assistant's text from its beginning, as it comes. Returns the stored message; throws if the answer failed. */
  streamText(streamId: string): AsyncGenerator<string, Message, undefined>;
  /** Messages that the user has not read, by chat. */
  readonly unread: Unread;
  /** Returns how to stop listening. */
  on<K extends keyof ClientEvents>(name: K, listener: (data: ClientEvents[K]) => void): () => void;
  /** The next event for which `predicate` holds. */
  once<K extends keyof ClientEvents>(
    name: K,
    predicate?: (data: ClientEvents[K]) => boolean,
    options?: OnceOptions,
  ): Promise<ClientEvents[K]>;
  /** Ends the connection, rejects what is under way and forgets every listener. */
  close(): void;
}

/** Connects; never throws for a server that is not there, it is tried until `close`. */
export function connect(options: ConnectOptions): AtelierClient {
  const timings = { ...TIMINGS, ...options.timings };
  const requestTimeoutMs = options.requestTimeoutMs ?? 10_000;
  const retryForMs = options.retryForMs ?? 30_000;
  const resumes = options.autoResume ?? true;

  const events = new Emitter<ClientEvents>();
  const emit = <K extends keyof ClientEvents>(name: K, data: ClientEvents[K]): void => {
    unread.onEvent(name, data);
    if (resumes && name === 'message:created') typing.onMessage((data as ClientEvents['message:created']).message);
    events.emit(name, data);
  };
  let { token } = options;
  let state: ClientState = 'connecting';
  let hello: Hello | undefined;
  let link: Link | undefined;
  let wasReady = false;
  let closed: Error | undefined;

  const askToken = async (reason: TokenReason): Promise<string> => (typeof token === 'string' ? token : token(reason));

  const setState = (next: ClientState, error?: Error): void => {
    if (state === next) return;
    state = next;
    emit('state', error ? { state, error } : { state });
  };

  const chats = createChats({ emit, timings });
  const streams = createStreams({ emit });
  const presence = createPresences({ emit });
  const typing = createTypings({
    emit,
    me: () => hello?.userId,
    tell(name, chatId) {
      if (state !== 'ready') return false;
      requests.call(name, { chatId }, { timeoutMs: LIMITS.typingThrottleMs }).catch(() => undefined);
      return true;
    },
  });
  const standing = createStanding({
    onJoined({ chat, head, streams: running }) {
      if (!resumes) return;
      chats.onJoined(chat.id, head);
      for (const { streamId, messageId } of running) streams.onRunning({ streamId, messageId, chatId: chat.id });
    },
  });

  const unread = createUnread({
    emit: (name, data) => events.emit(name, data),
    readChats: async (input) =>
      (await requests.call('chat:list', { ...input, limit: 100 })) as OperationOutput<'chat:list'>,
    userId: () => hello?.userId,
  });

  const requests = createRequests({
    send: (name, input, ack) => connection.send(name, input, ack),
    onAnswer(name, input, data) {
      standing.onAnswer(name, input, data);
      if (name === 'auth:refresh' && typeof token === 'string') {
        token = (input as OperationInput<'auth:refresh'>).accessToken;
      }
      if (!resumes) return;
      if (name === 'message:send') {
        const { chatId } = input as OperationInput<'message:send'>;
        chats.onHead(chatId, (data as OperationOutput<'message:send'>).rev);
        typing.onSent(chatId);
      } else if (name === 'presence:watch') {
        const { userIds } = input as OperationInput<'presence:watch'>;
        presence.onAnswer(userIds, data as OperationOutput<'presence:watch'>);
      } else if (name === 'chat:create') {
        chats.onMade((data as OperationOutput<'chat:create'>).chat);
      } else if (name === 'ai:prompt') {
        const { streamId, messageId, chatId } = data as OperationOutput<'ai:prompt'>;
        streams.onRunning({ streamId, messageId, chatId });
      }
    },
    requestTimeoutMs,
    retryForMs,
  });

  const outbox = createOutbox({
    storage: options.outboxStorage ?? memoryStorage(),
    call: async (input, signal) =>
      (await requests.call('message:send', input, { signal })) as OperationOutput<'message:send'>,
    emit,
    timings,
  });

  const onHello = (greeting: Hello): void => {
    hello = greeting;
    const mine = createLink({ send: connection.send, requestTimeoutMs, timings, onBroken: close });
    link = mine;
    emit('hello', greeting);
    if (resumes) {
      standing.up(mine);
      unread.up(mine);
      presence.up(mine);
      streams.up(mine);
    }
    const open = (): void => {
      wasReady = true;
      requests.up();
      setState('ready');
      outbox.up(greeting.userId);
    };
    // At first the places of the chats are read before anything else, so that what the application reads then
    // covers all that comes before the first event.
    if (!resumes || wasReady) open();
    if (!resumes) return;
    mine.run(async () => {
      await chats.up(mine);
      if (mine.alive && !wasReady) open();
    });
  };

  const onDown = (): void => {
    link?.end();
    link = undefined;
    chats.down();
    presence.down();
    typing.down();
    streams.down();
    requests.down();
    setState(wasReady ? 'reconnecting' : 'connecting');
  };

  const renew = (mine: Link): void => {
    mine.run(async () => {
      // If this fails, the connection ends and the next handshake asks again.
      const accessToken = await askToken('expiring').catch(() => undefined);
      if (accessToken !== undefined && mine.alive) {
        await requests.call('auth:refresh', { accessToken }).catch(() => undefined);
      }
    });
  };

  /** Events that the application hears only when it is their turn. */
  const receivers: { readonly [K in keyof ClientEvents]?: (data: ClientEvents[K]) => void } = {
    'message:created': (event) => chats.onLogged('message:created', event),
    'message:updated': (event) => chats.onLogged('message:updated', event),
    'message:deleted': (event) => chats.onLogged('message:deleted', event),
    'chat:members-changed': (event) => chats.onLogged('chat:members-changed', event),
    'chat:created': chats.onCreated,
    'chat:deleted': chats.onDeleted,
    'presence:changed': presence.onChanged,
    'typing:changed': typing.onChanged,
    'ai:started': streams.onStarted,
    'ai:delta': streams.onDelta,
    'ai:finished': (finished) => streams.onEnd(finished.streamId, { finished }),
    'ai:failed': (failed) => streams.onEnd(failed.streamId, { failed }),
  };

  const onEvent = (name: string, data: unknown): void => {
    if (name === 'session:expiring' && typeof token === 'function' && link) renew(link);
    if (!resumes) {
      emit(name as keyof ClientEvents, data as never);
      return;
    }
    const receive = Object.hasOwn(receivers, name) ? receivers[name as keyof typeof receivers] : undefined;
    if (receive) receive(data as never);
    else emit(name as keyof ClientEvents, data as never);
  };

  const close = (error?: Error): void => {
    if (closed) return;
    closed = error ?? new AtelierError('unavailable', 'The client is closed');
    connection.close();
    link?.end();
    link = undefined;
    chats.down();
    presence.down();
    streams.down();
    streams.close(closed);
    typing.close();
    outbox.close();
    requests.close(closed);
    setState('closed', error);
    events.clear(closed);
  };

  const connection = createConnection({
    url: options.url,
    token: askToken,
    tokenChanges: typeof token === 'function',
    settings: options.socket ?? {},
    timings,
    onHello,
    onEvent,
    onDown,
    onEnd: close,
  });

  return {
    unread,
    get state() {
      return state;
    },
    get hello() {
      return hello;
    },
    async ready() {
      if (closed) throw closed;
      if (state !== 'ready') await events.once('state', (change) => change.state === 'ready', Infinity);
      return hello as Hello;
    },
    async call<K extends OperationName>(name: K, input: OperationInput<K>, callOptions: CallOptions = {}) {
      return (await requests.call(name, withClientId(name, input), callOptions)) as OperationOutput<K>;
    },
    send(chatId, content, more = {}) {
      return this.call('message:send', { ...more, chatId, content });
    },
    presence,
    typing,
    outbox,
    streamText: (streamId) => streams.read(streamId),
    on: (name, listener) => events.on(name, listener),
    once: (name, predicate = () => true, { timeoutMs = 10_000 } = {}) => events.once(name, predicate, timeoutMs),
    close: () => close(),
  };
}
