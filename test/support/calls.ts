/** Operations and events by a plain socket.io-client, typed by the contract. */
import type { Socket } from 'socket.io-client';
import type { AtelierContract, AtelierEvents } from '../../src/features/registry.ts';
import type { EventData, Input, Output } from '../../src/protocol/index.ts';

/** The data of an answer; rejects with the error's code, message and detail. */
export async function call<K extends keyof AtelierContract>(
  socket: Socket,
  name: K,
  input: Input<AtelierContract[K]>,
): Promise<Output<AtelierContract[K]>> {
  const answer = (await socket.timeout(10_000).emitWithAck(name, input)) as
    | { ok: true; data: Output<AtelierContract[K]> }
    | { ok: false; error: { code: string; message: string } };
  if (answer.ok) return answer.data;
  throw Object.assign(new Error(`${name}: ${answer.error.message}`), answer.error);
}

/** The code that a call is refused with, or `ok`. */
export const codeOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => 'ok',
    (error: { code: string }) => error.code,
  );

/** What a socket hears of an event from now on; the list grows. */
export function heard<K extends keyof AtelierEvents>(socket: Socket, event: K): EventData<AtelierEvents[K]>[] {
  const all: EventData<AtelierEvents[K]>[] = [];
  const name: string = event;
  socket.on(name, (data: unknown) => all.push(data as EventData<AtelierEvents[K]>));
  return all;
}

/** Every event of a chat's log that a socket hears, in the order heard. */
export function heardOfLog(socket: Socket, chatId: string): { event: string; rev: number; data: unknown }[] {
  const all: { event: string; rev: number; data: unknown }[] = [];
  const positioned = ['message:created', 'message:updated', 'message:deleted', 'chat:members-changed'];
  for (const event of positioned) {
    socket.on(event, (data: { chatId: string; rev: number }) => {
      if (data.chatId === chatId) all.push({ event, rev: data.rev, data });
    });
  }
  return all;
}
