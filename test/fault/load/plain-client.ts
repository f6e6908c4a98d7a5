/**
 * A client without the SDK: socket.io-client, which resumes by `chat:heads` and `chat:sync` as docs/protocol.md says. On
 * each connection it also holds the server to its word: events of a chat come in the order of `rev`, without holes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { io, type Socket } from 'socket.io-client';
import type { Answer } from '../../../src/protocol/index.ts';
import type { Person } from '../../support/server.ts';
import type { TcpCutter } from '../../support/tcp-cutter.ts';
import { AGAIN_MS, PASSING, Record, type Acked, type LoadClient } from './load-client.ts';

interface Positioned {
  chatId: string;
  rev: number;
  message?: { id: string };
}

interface Page {
  items: { id: string; seq: number; rev: number }[];
  position: number;
  head: { rev: number };
  more: boolean;
}

/** One chat on one connection. */
interface Live {
  /** The rev of the last event. */
  lastRev?: number;
  /** Events that wait until what was missed before them has been read. */
  waiting: Positioned[] | undefined;
}

const ANSWER_MS = 10_000;

export async function startPlainClient(person: Person, cable: TcpCutter): Promise<LoadClient> {
  const record = new Record();
  const resumer = new Resumer(person, record);
  let closed = false;
  const socket = io(`http://127.0.0.1:${cable.port}`, {
    auth: { token: person.accessToken },
    transports: ['websocket'],
    forceNew: true,
    timeout: 5_000,
    reconnectionDelay: 300,
    reconnectionDelayMax: 2_000,
  });
  socket.onAny((_name: string, data: Partial<Positioned>) => {
    if (data.chatId !== undefined && data.rev !== undefined) resumer.receive(data as Positioned);
  });
  socket.on('connect', () => resumer.begin());
  socket.on('disconnect', () => {
    record.lost();
    // Socket.IO does not come back by itself from an end that the server wished for.
    if (!closed && !socket.active) setTimeout(() => closed || socket.connect(), AGAIN_MS);
  });
  socket.on('connect_error', () => {
    if (!closed && !socket.active) setTimeout(() => closed || socket.connect(), AGAIN_MS);
  });
  const ready = new Promise<void>((resolve) => {
    socket.on('hello', () => {
      resumer.resume(socket).then(() => {
        record.back();
        resolve();
      }, failed);
    });
  });
  const failed = (error: unknown): void => {
    // The next connection tries again.
    if (socket.connected && !closed) record.faults.push(`${person.id}: resuming: ${String(error)}`);
  };
  await ready;

  return {
    person,
    cable,
    heard: record.heard,
    outages: record.outages,
    faults: record.faults,
    passing: record.passing,
    async send(chatId, clientId, content) {
      for (;;) {
        if (closed) throw new Error('The client is closed');
        if (socket.connected) {
          const answer = await ask<Acked>(socket, 'message:send', { chatId, clientId, content });
          if (answer?.ok) return answer.data;
          record.passed(answer ? answer.error.code : 'no answer');
          if (answer && !PASSING.has(answer.error.code)) {
            record.faults.push(`${person.id}: message:send answered ${answer.error.code}: ${answer.error.message}`);
            throw new Error(answer.error.message);
          }
        }
        await pause(AGAIN_MS);
      }
    },
    close() {
      closed = true;
      socket.disconnect();
    },
  };
}

/** Undefined when no answer came. */
async function ask<T>(socket: Socket, name: string, input: object): Promise<Answer<T> | undefined> {
  try {
    return (await socket.timeout(ANSWER_MS).emitWithAck(name, input)) as Answer<T>;
  } catch {
    return undefined;
  }
}

class Resumer {
  readonly #person: Person;
  readonly #record: Record;
  /** Up to where each chat has been heard; it grows over connections. */
  readonly #positions = new Map<string, number>();
  #live = new Map<string, Live>();
  #resuming = true;

  constructor(person: Person, record: Record) {
    this.#person = person;
    this.#record = record;
  }

  receive(event: Positioned): void {
    const live = this.#liveOf(event.chatId);
    if (live.lastRev !== undefined && event.rev !== live.lastRev + 1) {
      this.#record.faults.push(`${this.#person.id}: ${event.chatId} went from ${live.lastRev} to ${event.rev}`);
    }
    live.lastRev = event.rev;
    if (live.waiting) live.waiting.push(event);
    else this.#take(event);
  }

  /** A connection has begun; events may come before its `hello`. */
  begin(): void {
    this.#resuming = true;
    this.#live = new Map<string, Live>();
  }

  /** After `hello`: what was missed, then what came meanwhile. Its chats are heard from their beginning. */
  async resume(socket: Socket): Promise<void> {
    const lives = this.#live;
    const heads = await this.#ask<{ items: { chatId: string; rev: number }[] }>(socket, 'chat:heads', {});
    for (const { chatId, rev } of heads.items) {
      for (let more = (this.#positions.get(chatId) ?? 0) < rev; more;) {
        const after = this.#positions.get(chatId) ?? 0;
        const page = await this.#ask<Page>(socket, 'chat:sync', { chatId, after, limit: 200 });
        if (lives !== this.#live) return;
        for (const { id } of page.items) this.#record.hear(chatId, id);
        this.#positions.set(chatId, page.position);
        more = page.more;
      }
      this.#release(this.#liveOf(chatId));
    }
    if (lives !== this.#live) return;
    this.#resuming = false;
    for (const live of lives.values()) this.#release(live);
  }

  /** From now on its events are heard as they come. */
  #release(live: Live): void {
    const { waiting } = live;
    live.waiting = undefined;
    for (const event of waiting ?? []) this.#take(event);
  }

  #take(event: Positioned): void {
    const position = this.#positions.get(event.chatId) ?? 0;
    if (event.rev <= position) return;
    if (event.rev !== position + 1) {
      this.#record.faults.push(`${this.#person.id}: ${event.chatId} lacks ${position + 1} before ${event.rev}`);
    }
    this.#positions.set(event.chatId, event.rev);
    if (event.message) this.#record.hear(event.chatId, event.message.id);
  }

  #liveOf(chatId: string): Live {
    const known = this.#live.get(chatId);
    if (known) return known;
    const live: Live = { waiting: this.#resuming ? [] : undefined };
    this.#live.set(chatId, live);
    return live;
  }

  /** Until it is answered; the server may be without its database for a while. */
  async #ask<T>(socket: Socket, name: string, input: object): Promise<T> {
    for (;;) {
      const answer = await ask<T>(socket, name, input);
      if (answer?.ok) return answer.data;
      if (!socket.connected) throw new Error('The connection ended');
      if (answer && !PASSING.has(answer.error.code)) throw new Error(answer.error.message);
      await pause(AGAIN_MS);
    }
  }
}
