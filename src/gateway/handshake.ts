/** Who may connect: origins and caps at the HTTP upgrade, the access token at CONNECT. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'socket.io';
import { z } from 'zod';
import { Fault, LIMITS, toFault, type Origin, type Session } from '../protocol/index.ts';

const Auth = z.object({ token: z.string().min(1).max(4_096), protocol: z.number().optional() });

export interface HandshakeDeps {
  authenticate: (accessToken: string) => Promise<Session>;
  protocolVersion: number;
  /** Sockets that the user has on this node. */
  connectionsOf: (userId: string) => number;
  maxConnectionsPerUser: number;
  /** The socket may connect; what it is sent now, the answer and perhaps `hello`, could leave together. */
  onPassed: (socket: Socket) => void;
  onBug: (error: unknown) => void;
}

/** Socket.IO's middleware form of the check. The refusal is `connect_error` with `data: { code, message, … }`. */
export function createHandshake(deps: HandshakeDeps): (socket: Socket, next: (error?: Error) => void) => void {
  const refused = new WeakSet<object>();
  return (socket, next) => {
    const refuse = (error: unknown): void => {
      const fault = toFault(error);
      if (fault.code === 'internal') deps.onBug(error);
      // Stock Socket.IO leaves a refused transport open, to try token after token on it.
      refused.add(socket.conn);
      setTimeout(() => socket.conn.close(), LIMITS.refusedCloseMs).unref();
      next(Object.assign(new Error(fault.message), { data: fault.toBody() }));
    };
    if (refused.has(socket.conn)) {
      refuse(new Fault('unauthenticated', 'This connection was refused before'));
      return;
    }
    check(socket, deps).then((session) => {
      socket.data = { session };
      deps.onPassed(socket);
      next();
    }, refuse);
  };
}

async function check(socket: Socket, deps: HandshakeDeps): Promise<Session> {
  const auth = Auth.safeParse(socket.handshake.auth);
  if (!auth.success) throw new Fault('unauthenticated', 'Connect with auth.token, an access token');
  if (auth.data.protocol !== undefined && auth.data.protocol !== deps.protocolVersion) {
    throw new Fault('unsupported', `This server speaks protocol ${deps.protocolVersion}`, {
      detail: { supported: [deps.protocolVersion] },
    });
  }
  const session = await deps.authenticate(auth.data.token);
  if (deps.connectionsOf(session.userId) >= deps.maxConnectionsPerUser) {
    throw new Fault('rate_limited', `At most ${deps.maxConnectionsPerUser} connections for one user`, {
      retryAfterMs: 5_000,
    });
  }
  return session;
}

/** Where a request came from, `trustedHops` proxies considered: the address that the outermost trusted one saw. */
export function originOf(request: IncomingMessage, trustedHops: number): Origin {
  let ip = request.socket.remoteAddress ?? '';
  if (trustedHops > 0) {
    const forwarded = String(request.headers['x-forwarded-for'] ?? '')
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean);
    const chain = [...forwarded, ip];
    ip = chain[Math.max(0, chain.length - 1 - trustedHops)] ?? '';
  }
  return { ip, userAgent: (request.headers['user-agent'] ?? '').slice(0, 200) };
}
