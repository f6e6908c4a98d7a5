/**
 * The agent's process: `ATELIER_SOCKET` is the server's socket, or `-` for its own stdin and stdout; `ATELIER_SECRET`
 * what proves that this is the sandbox's agent; `ATELIER_FENCE` the fence of the server that made the sandbox;
 * `ATELIER_ROLES` what it connects for; `ATELIER_LISTEN` the ports that it listens on for the server, as `npm:4873`;
 * with `ATELIER_ENDS_WITH_STDIN` it ends when its stdin does.
 */
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Role } from '../../src/sandbox/agent-protocol/index.ts';
import { Agent } from './agent.ts';
import { Connection, type ConnectionDeps } from './connection.ts';
import { Connector } from './connector.ts';
import { Listeners } from './listeners.ts';
import { readSettings } from './settings.ts';
import { StreamServer } from './stream-server.ts';

const settings = readSettings(process.env);
if (!settings) {
  console.error('ATELIER_SOCKET, ATELIER_SECRET, ATELIER_FENCE, ATELIER_ROLES or ATELIER_LISTEN is wrong');
  process.exit(78);
}
const { socketPath, secret, roles } = settings;

// What one terminal's output does to its screen, say, must not end the others.
process.on('uncaughtException', (error) => console.error(error));

const agent = new Agent();
const listeners = new Listeners();
if (roles.includes('bulk')) {
  try {
    await listeners.listen(settings.listeners);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
const streams = new StreamServer(listeners);

const fence = { highest: settings.fence };
const depsOf = (role: Role): ConnectionDeps => ({
  role,
  secret,
  fence,
  terminals: () => (role === 'terminal' ? agent.terminals : []),
  onWelcome: (stream, ended) => (role === 'terminal' ? agent : streams).serve(stream, ended),
  onMessage: (message) => (role === 'terminal' ? agent : streams).handle(message),
  onEnded: (reason) => console.error(reason),
});

const stopping = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopping.abort());
if (settings.endsWithStdin) process.stdin.resume().once('close', () => stopping.abort());
if (socketPath === undefined) {
  // Of its own: those of `process` write while everything else waits.
  const [input, output] = [new Socket({ fd: 0, writable: false }), new Socket({ fd: 1, readable: false })];
  const [role = 'terminal'] = roles;
  const connection = new Connection(Duplex.from({ readable: input, writable: output }), depsOf(role));
  stopping.signal.addEventListener('abort', () => connection.end('The agent stops'));
  await connection.closed;
} else {
  const connectors = roles.map((role) => new Connector(socketPath, depsOf(role)));
  stopping.signal.addEventListener('abort', () => connectors.forEach((connector) => connector.stop()));
  await Promise.all(connectors.map((connector) => connector.run()));
}
listeners.close();
agent.stop();
streams.stop();
process.exit(0);
