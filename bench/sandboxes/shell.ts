/** A terminal on any of the computers that are compared: what is typed into it, and what it prints. */
import { spawn } from 'node-pty';
import { io, type Socket } from 'socket.io-client';
import { withResolvers } from '../../src/protocol/index.ts';
import { call } from '../../test/support/calls.ts';

/** Where a terminal is opened; plain data, so that another process can be told. */
export type Computer =
  | { kind: 'host' }
  | { kind: 'exec'; containerId: string; user: string }
  | { kind: 'atelier'; url: string; token: string; projectId: string };

export interface Shell {
  type(data: string): void;
  close(): Promise<void>;
  /** Of Atelier's, for others to attach to. */
  readonly terminalId?: string;
  /** Of what node-pty has started. */
  readonly pid?: number;
}

export type OnOutput = (bytes: Uint8Array) => void;

const SIZE = { cols: 80, rows: 24 };
const TERM = 'xterm-256color';

/** Opens a terminal with a login shell, or with a line for it. Output may come before this resolves. */
export async function openShell(computer: Computer, line: string | undefined, onOutput: OnOutput): Promise<Shell> {
  if (computer.kind === 'atelier') return openOverSocket(computer, line, onOutput);
  const bash = line === undefined ? ['bash', '-l'] : ['bash', '-lc', line];
  if (computer.kind === 'host') return openPty(bash, onOutput);
  const { containerId, user } = computer;
  return openPty(
    [
      'docker',
      'exec',
      '-it',
      '-u',
      user,
      '-w',
      '/work',
      '-e',
      `TERM=${TERM}`,
      '-e',
      'HOME=/home/dev',
      containerId,
      ...bash,
    ],
    onOutput,
  );
}

/** Sockets by address and token: a person has one for all terminals. */
const sockets = new Map<string, Promise<Socket>>();

export function socketOf({ url, token }: { url: string; token: string }): Promise<Socket> {
  const key = `${url} ${token}`;
  let socket = sockets.get(key);
  if (!socket) {
    socket = connectSocket(url, token);
    sockets.set(key, socket);
  }
  return socket;
}

export async function closeSockets(): Promise<void> {
  for (const socket of sockets.values()) (await socket).close();
  sockets.clear();
}

async function connectSocket(url: string, token: string): Promise<Socket> {
  const socket = io(url, { auth: { token }, transports: ['websocket'], forceNew: true });
  const { promise, resolve, reject } = withResolvers();
  socket.once('hello', () => resolve());
  socket.once('connect_error', reject);
  await promise;
  return socket;
}

async function openOverSocket(
  computer: Extract<Computer, { kind: 'atelier' }>,
  line: string | undefined,
  onOutput: OnOutput,
): Promise<Shell> {
  const socket = await socketOf(computer);
  // What follows the answer may be there before this goes on.
  let early: { terminalId: string; data: Uint8Array }[] | undefined = [];
  let terminalId: string | undefined;
  const listener = (output: { terminalId: string; data: Uint8Array }): void => {
    if (early) early.push(output);
    else if (output.terminalId === terminalId) onOutput(output.data);
  };
  socket.on('terminal:output', listener);
  const opened = await call(socket, 'terminal:open', {
    projectId: computer.projectId,
    ...SIZE,
    ...(line === undefined ? {} : { command: line }),
  });
  terminalId = opened.terminalId;
  for (const { data } of opened.chunks) onOutput(data);
  const missed = early;
  early = undefined;
  missed.forEach(listener);
  return {
    terminalId: opened.terminalId,
    type: (data) => void socket.emit('terminal:input', { terminalId, data }, () => {}),
    async close() {
      socket.off('terminal:output', listener);
      await call(socket, 'terminal:close', { terminalId: opened.terminalId });
    },
  };
}

function openPty([file = '', ...args]: readonly string[], onOutput: OnOutput): Shell {
  // Somebody's own profile is not what is measured.
  const env = { ...process.env, TERM, HOME: '/nonexistent' };
  const pty = spawn(file, args, { ...SIZE, name: TERM, encoding: null, cwd: '/', env });
  // Without an encoding it gives bytes, which its type does not say.
  (pty.onData as unknown as (listener: OnOutput) => void)(onOutput);
  const { promise: ended, resolve } = withResolvers();
  pty.onExit(() => resolve());
  return {
    pid: pty.pid,
    type: (data) => pty.write(data),
    async close() {
      pty.kill('SIGKILL');
      await ended;
    },
  };
}

/** Opens a login shell; resolves when it shows its prompt, with how long that took. */
export async function openPrompt(computer: Computer): Promise<{ shell: Shell; tookMs: number }> {
  const { promise: prompt, resolve } = withResolvers();
  let text = '';
  const startedAt = performance.now();
  const shell = await openShell(computer, undefined, (bytes) => {
    text += Buffer.from(bytes).toString('latin1');
    if (/[$#] /.test(text)) resolve();
  });
  await prompt;
  return { shell, tookMs: performance.now() - startedAt };
}
