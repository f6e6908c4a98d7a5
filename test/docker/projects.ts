/** Projects with sandboxes, and what their commands print. */
import type { Socket } from 'socket.io-client';
import { expect } from 'vitest';
import { call, heard } from '../support/calls.ts';

export async function projectOf(socket: Socket): Promise<string> {
  return (await call(socket, 'project:create', { name: 'A project', template: 'empty' })).project.id;
}

/** What a command in the project's sandbox prints, both outputs as they come. */
export async function exec(socket: Socket, projectId: string, command: string): Promise<string> {
  const output = heard(socket, 'code:output');
  const ends = heard(socket, 'code:exited');
  const { runId } = await call(socket, 'sandbox:exec', { projectId, command });
  await expect.poll(() => ends.some((end) => end.runId === runId), { timeout: 60_000 }).toBe(true);
  return output
    .filter((piece) => piece.runId === runId)
    .map(({ data }) => data)
    .join('');
}

export const statusOf = async (socket: Socket, projectId: string): Promise<string> =>
  (await call(socket, 'sandbox:status', { projectId })).sandbox.status;
