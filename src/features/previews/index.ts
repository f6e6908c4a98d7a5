/**
 * Previews: what listens on a port of a project's sandbox, on an origin of its own for the browsers of the project's
 * members. Programs in sandboxes are strangers to this server and to each other, so each port has another origin.
 */
import { createServer, ServerResponse, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Connection } from 'mongoose';
import { systemClock, type Clock } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, toFault } from '../../protocol/index.ts';
import { forward, forwardUpgrade, HEADER_BYTES } from './forward.ts';
import { createPreviewModels } from './model.ts';
import {
  NO_ANSWER_NOW,
  NO_PREVIEW,
  nobodyListens,
  noHttp,
  NOT_NOW,
  NOT_RUNNING,
  OWN_HEADERS,
  show,
  TOO_MANY,
  type Notice,
} from './pages.ts';
import { COOKIE_SECONDS, createPasses, TICKET_SECONDS, type Pass } from './pass.ts';
import { PreviewAddresses, type PreviewPlace } from './preview-address.ts';
import { cookieName, cookiesNamed, headersOutward, isForeign } from './preview-headers.ts';
import { Slugs } from './slugs.ts';

export interface PreviewsDeps {
  connection: Connection;
  /**
   * PREVIEW_URL: an origin, below whose host every preview has a name. Undefined: that of localhost at the port that is
   * listened on.
   */
  previewUrl: string | undefined;
  secret: string;
  /**
   * To a port of the project's sandbox; undefined where none runs. Rejects with `upstream` where nobody listens, and with
   * `unavailable` where it cannot be reached now, as while another server takes it over.
   */
  connect: (projectId: string, port: number, signal: AbortSignal) => Promise<Duplex | undefined>;
  isLive: (sessionId: string) => Promise<boolean>;
  /** Rejects with a Fault for who is no member, also of a public project. */
  requireMember: (projectId: string, userId: string) => Promise<unknown>;
  log: Log;
  now: () => number;
  clock?: Clock;
  connectionsPerProject?: number;
}

export interface Previews {
  /** Rejects for who is no member. The address serves once. */
  previewUrl(
    projectId: string,
    port: number,
    session: { userId: string; sessionId: string },
  ): Promise<{ url: string; expiresInSeconds: number }>;
  /** On PREVIEW_PORT; resolves with the port. */
  listen(port: number, host: string): Promise<number>;
  /** Asks again whether those may be here who are, or those of them that are meant. Also done from time to time. */
  recheck(isMeant?: (pass: Readonly<Pass>) => boolean): Promise<void>;
  forgetProject(projectId: string): Promise<void>;
  close(): Promise<void>;
}

/** No page of a program is expected there. */
const EXCHANGE_PATH = '/.well-known/atelier-preview';
/** Requests under way and upgraded connections: pages of unbundled modules open some hundred in a burst. */
const CONNECTIONS_PER_PROJECT = 256;
/** Of this server. */
const CONNECTIONS = 8_192;
const CONNECT_MS = 10_000;
/** How long somebody whose access ended unnoticed may keep what is open. */
const RECHECK_MS = 10_000;

interface Open {
  pass: Pass;
  end: () => void;
}

interface Admitted {
  place: PreviewPlace;
  pass: Pass;
}

export function createPreviews(deps: PreviewsDeps): Previews {
  return new PreviewServer(deps);
}

class PreviewServer implements Previews {
  readonly #deps: PreviewsDeps;
  /** Undefined until it is known where previews are. */
  #known: PreviewAddresses | undefined;
  readonly #slugs: Slugs;
  readonly #passes: ReturnType<typeof createPasses>;
  readonly #server: Server;
  readonly #open = new Set<Open>();
  readonly #sockets = new Set<Duplex>();
  readonly #stopRechecking: () => void;

  constructor(deps: PreviewsDeps) {
    this.#deps = deps;
    const { connection, previewUrl, secret, now, clock = systemClock } = deps;
    const { previews, used } = createPreviewModels(connection);
    if (previewUrl !== undefined) this.#known = new PreviewAddresses(previewUrl);
    this.#slugs = new Slugs(previews);
    this.#passes = createPasses({ used, secret, now });
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.maxConnections = CONNECTIONS;
    this.#server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#stopRechecking = clock.every(RECHECK_MS, () => void this.recheck());
  }

  async previewUrl(
    projectId: string,
    port: number,
    { userId, sessionId }: { userId: string; sessionId: string },
  ): Promise<{ url: string; expiresInSeconds: number }> {
    await this.#deps.requireMember(projectId, userId);
    const slug = await this.#slugs.of(projectId);
    const ticket = this.#passes.ticket({ projectId, userId, sessionId }, port);
    const origin = this.#addresses.originOf({ slug, port });
    return { url: `${origin}${EXCHANGE_PATH}?ticket=${ticket}`, expiresInSeconds: TICKET_SECONDS };
  }

  async listen(port: number, host: string): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    const taken = (this.#server.address() as AddressInfo).port;
    this.#known ??= new PreviewAddresses(`http://localhost:${taken}`);
    return taken;
  }

  get #addresses(): PreviewAddresses {
    if (!this.#known) throw new Fault('unavailable', 'Previews are off here: set PREVIEW_URL');
    return this.#known;
  }

  async recheck(isMeant: (pass: Readonly<Pass>) => boolean = () => true): Promise<void> {
    const answers = new Map<string, Promise<boolean>>();
    const meant = [...this.#open].filter(({ pass }) => isMeant(pass));
    await Promise.all(
      meant.map(async ({ pass, end }) => {
        const key = `${pass.sessionId} ${pass.projectId}`;
        // While it cannot be asked nobody is sent away.
        const answer = answers.get(key) ?? this.#isAllowed(pass).catch(() => true);
        answers.set(key, answer);
        if (!(await answer)) end();
      }),
    );
  }

  forgetProject(projectId: string): Promise<void> {
    return this.#slugs.forget(projectId);
  }

  async close(): Promise<void> {
    this.#stopRechecking();
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.#server.close();
    for (const { end } of this.#open) end();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    try {
      const isExchange = request.method === 'GET' && request.url?.startsWith(`${EXCHANGE_PATH}?`);
      if (isExchange && (await this.#exchange(request, response))) return;
      const admitted = isExchange ? undefined : await this.#admit(request);
      if (!admitted) return show(request, response, NO_PREVIEW);
      const problem = await this.#through(admitted, response, async (connection) => {
        await forward({ request, place: admitted.place, addresses: this.#addresses, connection }, response);
      });
      if (problem) show(request, response, problem);
    } catch (error) {
      this.#failed(request, response, error);
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // The other side may go at any time.
    socket.on('error', () => socket.destroy());
    const response = responseOn(request, socket);
    try {
      const isWebSocket = request.headers.upgrade?.toLowerCase() === 'websocket';
      const admitted = isWebSocket ? await this.#admit(request) : undefined;
      if (!admitted) return show(request, response, NO_PREVIEW);
      const problem = await this.#through(admitted, socket, async (connection) => {
        const forwarding = { request, place: admitted.place, addresses: this.#addresses, connection };
        response.detachSocket(socket as Socket);
        const refusal = await forwardUpgrade(forwarding, socket, head).catch((error: unknown) => {
          response.assignSocket(socket as Socket);
          throw error;
        });
        if (!refusal) return;
        response.assignSocket(socket as Socket);
        const headers = headersOutward(refusal, admitted.place, this.#addresses);
        response.writeHead(refusal.statusCode ?? 502, { ...headers, connection: 'close' });
        refusal.pipe(response);
        await once(response, 'close');
      });
      if (problem) show(request, response, problem);
    } catch (error) {
      this.#failed(request, response, error);
    }
  }

  /** Who presents a cookie of this project and may still see it. */
  async #admit(request: IncomingMessage): Promise<Admitted | undefined> {
    const place = this.#addresses.placeOf(request.headers.host);
    if (!place || !request.url?.startsWith('/') || isForeign(request, place, this.#addresses)) return undefined;
    const passes = cookiesNamed(request, cookieName(this.#addresses)).map((value) => this.#passes.fromCookie(value));
    if (!passes.some(Boolean)) return undefined;
    const projectId = await this.#slugs.projectOf(place.slug);
    const pass = passes.find((one) => one?.projectId === projectId);
    return pass && (await this.#isAllowed(pass)) ? { place, pass } : undefined;
  }

  async #isAllowed({ projectId, userId, sessionId }: Pass): Promise<boolean> {
    const isMember = this.#deps.requireMember(projectId, userId).then(
      () => true,
      (error: unknown) => {
        if (error instanceof Fault && (error.code === 'not_found' || error.code === 'forbidden')) return false;
        throw error;
      },
    );
    const [member, live] = await Promise.all([isMember, this.#deps.isLive(sessionId)]);
    return member && live;
  }

  /** Turns a one-time address into a cookie. False where it is wrong or used, and no cookie is there already. */
  async #exchange(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const place = this.#addresses.placeOf(request.headers.host);
    const ticket = new URLSearchParams(request.url?.slice(EXCHANGE_PATH.length)).get('ticket');
    if (!place || ticket === null) return false;
    const pass = await this.#passes.use(ticket, place.port);
    const isRight =
      pass && pass.projectId === (await this.#slugs.projectOf(place.slug)) && (await this.#isAllowed(pass));
    if (!isRight && !(await this.#admit(request))) return false;
    const attributes = `Path=/; Max-Age=${COOKIE_SECONDS}; HttpOnly; SameSite=None; Secure; Partitioned`;
    response.writeHead(303, {
      ...OWN_HEADERS,
      location: '/',
      ...(isRight
        ? { 'set-cookie': `${cookieName(this.#addresses)}=${this.#passes.cookie(pass)}; ${attributes}` }
        : {}),
    });
    response.end();
    return true;
  }

  /** Connects to the program and lets `work` go on for as long as its visitor may be here. Resolves with what went wrong. */
  async #through(
    { place, pass }: Admitted,
    visitor: Duplex | ServerResponse,
    work: (connection: Duplex) => Promise<void>,
  ): Promise<Notice | undefined> {
    const { connect, connectionsPerProject = CONNECTIONS_PER_PROJECT } = this.#deps;
    // Gone while it was asked who they are: their going is not told again.
    if (visitor.destroyed) return undefined;
    const ofProject = [...this.#open].filter((open) => open.pass.projectId === pass.projectId).length;
    if (ofProject >= connectionsPerProject) return TOO_MANY;
    const gone = new AbortController();
    let connection: Duplex | undefined;
    const end = (): void => {
      gone.abort();
      connection?.destroy();
    };
    const open = {
      pass,
      end() {
        end();
        visitor.destroy();
      },
    };
    visitor.once('close', end);
    this.#open.add(open);
    try {
      connection = await connect(
        pass.projectId,
        place.port,
        AbortSignal.any([gone.signal, AbortSignal.timeout(CONNECT_MS)]),
      );
      if (!connection) return NOT_RUNNING;
      connection.on('error', () => connection?.destroy());
      if (gone.signal.aborted) return undefined;
      await work(connection);
      return undefined;
    } catch (error) {
      if (gone.signal.aborted || visitor.destroyed) return undefined;
      if (connection) return noHttp(place.port);
      const code = error instanceof DOMException && error.name === 'TimeoutError' ? 'timeout' : toFault(error).code;
      if (code === 'upstream') return nobodyListens(place.port);
      if (code === 'quota_exceeded') return TOO_MANY;
      if (code === 'unavailable' || code === 'not_found' || code === 'timeout') return NO_ANSWER_NOW;
      throw error;
    } finally {
      visitor.off('close', end);
      this.#open.delete(open);
      connection?.destroy();
    }
  }

  #failed(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    this.#deps.log.error('A preview could not be served', { error });
    if (response.headersSent) response.destroy();
    else show(request, response, NOT_NOW);
  }
}

/** To answer on a connection that wanted to stop being HTTP. */
function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.on('error', () => {});
  response.once('finish', () => socket.end());
  return response;
}
