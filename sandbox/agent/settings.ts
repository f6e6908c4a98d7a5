/** What the agent is told by its environment. */
import { LISTENER, ROLES, type Role } from '../../src/sandbox/agent-protocol/index.ts';

export interface Settings {
  /** The server's socket; undefined: the agent's own stdin and stdout are the connection, for its one role. */
  socketPath: string | undefined;
  secret: string;
  /** Of the server that made the sandbox. */
  fence: number;
  roles: Role[];
  /** Names and ports of the loopback that programs may connect to. */
  listeners: { name: string; port: number }[];
  /** It must not go on for a server that is not there any more. */
  endsWithStdin: boolean;
}

/** Undefined where something is missing or wrong. */
export function readSettings(env: NodeJS.ProcessEnv): Settings | undefined {
  const { ATELIER_SOCKET: path, ATELIER_SECRET: secret, ATELIER_FENCE: fence = '0' } = env;
  if (!path || !secret || !/^\d{1,15}$/.test(fence)) return undefined;
  const socketPath = path === '-' ? undefined : path;
  const roles = listOf(env['ATELIER_ROLES'] ?? ROLES.join(','));
  if (!roles.every((role): role is Role => ROLES.includes(role as Role))) return undefined;
  if (roles.length === 0 || (socketPath === undefined && roles.length > 1)) return undefined;
  const listeners = listOf(env['ATELIER_LISTEN'] ?? '').map((listener) => {
    const [name = '', port = ''] = listener.split(':');
    return { name, port: Number(port) };
  });
  if (
    !listeners.every(({ name, port }) => LISTENER.test(name) && Number.isInteger(port) && port > 0 && port < 65_536)
  ) {
    return undefined;
  }
  return {
    socketPath,
    secret,
    fence: Number(fence),
    roles,
    listeners,
    endsWithStdin: env['ATELIER_ENDS_WITH_STDIN'] !== undefined,
  };
}

const listOf = (list: string): string[] => list.split(',').filter((item) => item !== '');
