/**
 * One Socket.IO connection that comes back by itself: it signs in at every handshake, gives up a connection that does not
 * say hello, waits out what passes (an unreachable, busy or draining server) and ends at what does not (a token refused).
 */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import type { PROTOCOL_VERSION } from '../features/registry.ts';
import type { ErrorBody, FaultCode } from '../protocol/fault.ts';
import { AtelierError } from './atelier-error.ts';
import type { Send } from './answer.ts';
import type { Hello } from './operations.ts';
import { pauseMs, type Timings } from './timings.ts';

const PROTOCOL: typeof PROTOCOL_VERSION = 1;
/** Handshakes in a row that may be refused for their token before the client gives up. */
export const TOKENS_MAX = 4;
const PASSING: ReadonlySet<FaultCode> = new Set(['unavailable', 'rate_limited', 'timeout', 'internal']);

/** `refused` and `expiring`: the token given before no longer serves, or not for long. */
export type TokenReason = 'connect' | 'refused' | 'expiring';
export type TokenSource = string | ((reason: TokenReason) => string | Promise<string>);
export type SocketSettings = Partial<ManagerOptions & SocketOptions>;

export interface ConnectionDeps {
  url: string;
  /** Asked at every handshake. */
  token: (reason: TokenReason) => Promise<string>;
  /** Whether another token may come after one that was refused. */
  tokenChanges: boolean;
  settings: SocketSettings;
  timings: Timings;
  onHello: (hello: Hello) => void;
  /** Every other event. */
  onEvent: (name: string, data: unknown) => void;
  /** A connection that had said hello is gone; another is on its way unless `onEnd` follows. */
  onDown: () => void;
  /** The connection will not come back. */
  onEnd: (error: AtelierError) => void;
}

export interface Connection {
  send: Send;
  close(): void;
}

export function createConnection(deps: ConnectionDeps): Connection {
  let reason: TokenReason = 'connect';
  /** Which handshake a token was asked for: a late one must not answer for the next. */
  let handshake = 0;
  let greeted = false;
  let ended = false;
  let refusals = 0;
  let tries = 0;
  let sessionEnd: AtelierError | undefined;
  let helloTimer: ReturnType<typeof setTimeout> | undefined;
  let againTimer: ReturnType<typeof setTimeout> | undefined;

  const socket: Socket = io(deps.url, {
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    timeout: 5_000,
    reconnectionDelay: 300,
    reconnectionDelayMax: 2_000,
    ...deps.settings,
    forceNew: true,
    auth: (answer) => {
      const mine = ++handshake;
      deps.token(reason).then(
        (token) => {
          if (mine !== handshake || ended) return;
          reason = 'connect';
          helloTimer = setTimeout(() => again(0), deps.timings.helloMs);
          answer({ token, protocol: PROTOCOL });
        },
        (cause: unknown) => {
          if (mine !== handshake || ended) return;
          refused(new AtelierError('unauthenticated', 'There is no token', { cause }));
        },
      );
    },
  });

  /** Forgets the handshake under way; true if its connection had said hello. */
  const drop = (): boolean => {
    const was = greeted;
    handshake++;
    greeted = false;
    clearTimeout(helloTimer);
    return was;
  };

  const end = (error: AtelierError): void => {
    if (ended) return;
    close();
    deps.onEnd(error);
  };

  const close = (): void => {
    ended = true;
    drop();
    clearTimeout(againTimer);
    socket.offAny();
    socket.disconnect();
  };

  /** Socket.IO does not come back by itself when either side ended the connection on purpose. */
  const again = (afterMs: number): void => {
    clearTimeout(againTimer);
    againTimer = setTimeout(() => {
      socket.connect();
    }, afterMs);
    socket.disconnect();
  };

  const refused = (error: AtelierError): void => {
    const passes = PASSING.has(error.code);
    if (!passes && (error.code !== 'unauthenticated' || !deps.tokenChanges || ++refusals >= TOKENS_MAX)) {
      end(error);
      return;
    }
    if (!passes) reason = 'refused';
    again(Math.max(error.retryAfterMs ?? 0, pauseMs(deps.timings, tries++)));
  };

  socket.on('connect_error', (error: Error & { data?: unknown }) => {
    // Active: the server was not reached, and Socket.IO tries again by itself.
    if (ended || socket.active) return;
    drop();
    refused(refusalOf(error));
  });

  socket.on('disconnect', () => {
    const was = drop();
    if (ended) return;
    if (was) deps.onDown();
    if (sessionEnd) end(sessionEnd);
    else if (!socket.active) again(pauseMs(deps.timings, tries++));
  });

  // Also between the opening of a transport and the handshake, when there is no 'disconnect'.
  socket.io.on('close', () => {
    if (!greeted) drop();
  });

  socket.onAny((name: string, data: unknown) => {
    if (name === 'hello') {
      clearTimeout(helloTimer);
      greeted = true;
      refusals = 0;
      tries = 0;
      deps.onHello(data as Hello);
      return;
    }
    if (name === 'session:closed') {
      const why = (data as { reason: string }).reason;
      if (why === 'expired' && deps.tokenChanges) reason = 'refused';
      else sessionEnd = new AtelierError('unauthenticated', `The session has ended: ${why}`, { detail: data });
    }
    deps.onEvent(name, data);
  });

  return {
    send: (name, input, ack) => {
      socket.emit(name, input, ack);
    },
    close,
  };
}

/** `connect_error` with `data = { code, message, detail?, retryAfterMs? }`; anything else is not our server. */
function refusalOf(error: Error & { data?: unknown }): AtelierError {
  const { data } = error;
  if (typeof data === 'object' && data !== null && 'code' in data && 'message' in data) {
    return AtelierError.of(data as ErrorBody);
  }
  return new AtelierError('unsupported', `The server refuses the connection: ${error.message}`, { cause: error });
}
