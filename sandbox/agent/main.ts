/**
 * The agent's process: `ATELIER_SOCKET` is the server's socket, `ATELIER_SECRET` what proves that this is the sandbox's
 * agent, `ATELIER_FENCE` the fence of the server that made the sandbox.
 */
import { Agent } from './agent.ts';
import { Connector } from './connector.ts';

const { ATELIER_SOCKET: path, ATELIER_SECRET: secret, ATELIER_FENCE: fence = '0' } = process.env;
if (!path || !secret || !/^\d{1,15}$/.test(fence)) {
  console.error('ATELIER_SOCKET, ATELIER_SECRET and ATELIER_FENCE have to be set');
  process.exit(78);
}

// What one terminal's output does to its screen, say, must not end the others.
process.on('uncaughtException', (error) => console.error(error));

const agent = new Agent();
const connector = new Connector(
  {
    path,
    secret,
    role: 'terminal',
    terminals: () => agent.terminals,
    onWelcome: (socket, ended) => agent.serve(socket, ended),
    onMessage: (message) => agent.handle(message),
    onEnded: (reason) => console.error(reason),
  },
  Number(fence),
);
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => connector.stop());
await connector.run();
agent.stop();
process.exit(0);
