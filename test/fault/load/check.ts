/** After the fault: what is stored, what was heard, and how they differ. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Message } from '../../../src/client/index.ts';
import type { Person, World } from '../../support/server.ts';
import type { Acked, LoadClient } from './load-client.ts';
import type { Sent } from './load.ts';

export interface Findings {
  /** Acknowledged, but not stored as acknowledged; and stored, but not heard by a member. */
  lost: number;
  /** Stored or heard twice. */
  doubled: number;
  /** Heard in another order than stored, or stored with holes. */
  disorder: number;
  /** From the end of the load until everybody had heard everything. */
  wholeAfterMs: number;
  /** The first few of each kind, for people. */
  examples: string[];
}

export interface Expectation {
  acked: readonly (Sent & Acked)[];
  /** Those who were to hear everything, with their chats. */
  listeners: ReadonlyMap<LoadClient, readonly string[]>;
  /** Reads the log as somebody who is in all the chats. */
  read: (chatId: string) => Promise<Message[]>;
  timeoutMs: number;
}

const LOOK_MS = 50;

export async function check({ acked, listeners, read, timeoutMs }: Expectation): Promise<Findings> {
  const startedAtMs = performance.now();
  const chatIds = new Set([...listeners.values()].flat());
  const logs = new Map<string, Message[]>();
  for (const chatId of chatIds) logs.set(chatId, await read(chatId));
  const findings = new Notes();
  checkLogs(logs, acked, findings);

  const isWhole = (): boolean =>
    [...listeners].every(([client, chats]) =>
      chats.every((chatId) => (client.heard.get(chatId)?.length ?? 0) >= (logs.get(chatId)?.length ?? 0)),
    );
  while (!isWhole() && performance.now() - startedAtMs < timeoutMs) await pause(LOOK_MS);
  const wholeAfterMs = performance.now() - startedAtMs;
  // What is doubled may still come.
  await pause(LOOK_MS);
  for (const [client, chats] of listeners) {
    for (const chatId of chats) checkHeard(client, chatId, logs.get(chatId) ?? [], findings);
  }
  return { ...findings.counts, wholeAfterMs, examples: findings.examples };
}

/** All messages of a chat, page by page, over HTTP. */
export async function readLog(world: World, as: Person, chatId: string): Promise<Message[]> {
  const all: Message[] = [];
  for (;;) {
    const path = `/api/chats/${chatId}/messages?limit=100&after=${all.at(-1)?.seq ?? 0}`;
    const { status, body } = await world.request('GET', path, { as });
    if (status !== 200) throw new Error(`${path}: ${JSON.stringify(body)}`);
    const { items } = body.data as unknown as { items: Message[] };
    all.push(...items);
    if (items.length < 100) return all;
  }
}

class Notes {
  readonly counts = { lost: 0, doubled: 0, disorder: 0 };
  readonly examples: string[] = [];

  note(kind: keyof Notes['counts'], example: string, count = 1): void {
    if (count === 0) return;
    if (this.counts[kind] === 0) this.examples.push(`${kind}: ${example}`);
    this.counts[kind] += count;
  }
}

function checkLogs(
  logs: ReadonlyMap<string, readonly Message[]>,
  acked: readonly (Sent & Acked)[],
  findings: Notes,
): void {
  const stored = new Map<string, Message>();
  for (const [chatId, log] of logs) {
    const contents = new Set<string>();
    log.forEach((message, n) => {
      stored.set(message.id, message);
      if (message.seq !== n + 1) findings.note('disorder', `${chatId} has seq ${message.seq} at place ${n + 1}`);
      if (contents.has(message.content)) findings.note('doubled', `${chatId} has "${message.content}" twice`);
      contents.add(message.content);
    });
  }
  for (const { id, seq, chatId, content } of acked) {
    const message = stored.get(id);
    if (message?.seq !== seq || message.chatId !== chatId || message.content !== content) {
      findings.note('lost', `"${content}" was acknowledged as ${id}, seq ${seq} of ${chatId}`);
    }
  }
}

function checkHeard(client: LoadClient, chatId: string, log: readonly Message[], findings: Notes): void {
  const heard = client.heard.get(chatId) ?? [];
  const places = new Map(log.map(({ id }, n) => [id, n]));
  const who = `${client.person.id} in ${chatId}`;
  const once = new Set(heard);
  findings.note('doubled', `${who} heard messages twice`, heard.length - once.size);
  const missed = log.filter(({ id }) => !once.has(id));
  findings.note('lost', `${who} has not heard seq ${missed[0]?.seq} of ${log.length}`, missed.length);
  let last = -1;
  for (const id of once) {
    const place = places.get(id) ?? -1;
    if (place < last) findings.note('disorder', `${who} heard ${id} late, or it is not stored`);
    last = Math.max(last, place);
  }
}
