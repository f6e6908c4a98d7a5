/** A terminal that a test types into. */
import type { Socket } from 'socket.io-client';
import { expect } from 'vitest';
import { call, heard } from '../support/calls.ts';

export interface Shell {
  terminalId: string;
  /** All that it has shown so far. */
  text(): string;
  type(data: string): Promise<unknown>;
  sees(what: string | RegExp, timeoutMs?: number): Promise<void>;
}

export async function openShell(socket: Socket, projectId: string): Promise<Shell> {
  const output = heard(socket, 'terminal:output');
  const env = { NO_COLOR: '1' };
  const { terminalId, chunks } = await call(socket, 'terminal:open', { projectId, cols: 120, rows: 30, env });
  const text = (): string =>
    Buffer.concat([
      ...chunks.map(({ data }) => data),
      ...output.filter((piece) => piece.terminalId === terminalId).map(({ data }) => data),
    ]).toString();
  return {
    terminalId,
    text,
    type: (data) => call(socket, 'terminal:input', { terminalId, data }),
    sees: (what, timeout = 20_000) =>
      expect.poll(text, { timeout })[typeof what === 'string' ? 'toContain' : 'toMatch'](what),
  };
}
