/** A preview server in front of programs on ports of this machine, in place of a sandbox's. */
import { once } from 'node:events';
import { request as send, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { createPreviews, type Previews, type PreviewsDeps } from '../../src/features/previews/index.ts';
import { Fault } from '../../src/protocol/index.ts';
import { openTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';

export const PROJECT = 'a'.repeat(24);
export const OTHER_PROJECT = 'b'.repeat(24);
export const ADA = { userId: '1'.repeat(24), sessionId: '2'.repeat(24) };
export const EVE = { userId: '3'.repeat(24), sessionId: '4'.repeat(24) };

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface TestPreviews extends AsyncDisposable {
  previews: Previews;
  port: number;
  /** By project. */
  members: Map<string, Set<string>>;
  liveSessions: Set<string>;
  now: { ms: number };
  ask(url: string, options?: { method?: string; headers?: Record<string, string>; body?: string }): Promise<Answer>;
  /** A request whose answer is not read yet. */
  open(url: string, options?: { method?: string; headers?: Record<string, string> }): Promise<IncomingMessage>;
  /** Origin and cookie of a preview that was opened by its one-time address. */
  enter(port: number, who?: typeof ADA, projectId?: string): Promise<{ origin: string; host: string; cookie: string }>;
}

export async function startPreviews(options: Partial<PreviewsDeps> = {}, ownPort = 0): Promise<TestPreviews> {
  const database = await openTestDatabase();
  const members = new Map([
    [PROJECT, new Set([ADA.userId])],
    [OTHER_PROJECT, new Set([ADA.userId, EVE.userId])],
  ]);
  const liveSessions = new Set([ADA.sessionId, EVE.sessionId]);
  const now = { ms: Date.now() };
  const previews = createPreviews({
    connection: database.connection,
    previewUrl: 'http://localhost:3001',
    secret: 'a secret of at least thirty-two characters',
    connect: (_projectId, port, signal) => connectLocally(port, signal),
    isLive: async (sessionId) => liveSessions.has(sessionId),
    async requireMember(projectId, userId) {
      if (!members.get(projectId)?.has(userId)) throw new Fault('not_found', 'There is no such project');
    },
    log: silentLog,
    now: () => now.ms,
    ...options,
  });
  const port = await previews.listen(ownPort, '127.0.0.1');

  const open: TestPreviews['open'] = async (url, { method = 'GET', headers = {} } = {}) => {
    const { host, pathname, search } = new URL(url);
    const asked = send({ host: '127.0.0.1', port, method, path: pathname + search, headers: { host, ...headers } });
    asked.end();
    return ((await once(asked, 'response')) as [IncomingMessage])[0];
  };
  const ask: TestPreviews['ask'] = async (url, { method = 'GET', headers = {}, body } = {}) => {
    const { host, pathname, search } = new URL(url);
    const asked = send({ host: '127.0.0.1', port, method, path: pathname + search, headers: { host, ...headers } });
    asked.end(body);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: await text(answer) };
  };
  return {
    previews,
    port,
    members,
    liveSessions,
    now,
    ask,
    open,
    async enter(of, who = ADA, projectId = PROJECT) {
      const { url } = await previews.previewUrl(projectId, of, who);
      const { headers } = await ask(url);
      const { origin, host } = new URL(url);
      return { origin, host, cookie: headers['set-cookie']?.[0]?.split(';')[0] ?? '' };
    },
    async [Symbol.asyncDispose]() {
      await previews.close();
      await database.close();
    },
  };
}

/** As the sandbox's agent does: 127.0.0.1, then ::1. */
export async function connectLocally(port: number, signal: AbortSignal): ReturnType<PreviewsDeps['connect']> {
  for (const host of ['127.0.0.1', '::1']) {
    const socket = connect({ host, port });
    const stop = (): void => void socket.destroy(new Error('It is not wanted any more'));
    signal.addEventListener('abort', stop);
    try {
      await once(socket, 'connect');
      return socket;
    } catch {
      socket.destroy();
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
  throw new Fault('upstream', 'Nobody listens there');
}
