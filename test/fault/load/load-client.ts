/** One of the crowd, and what it was told. */
import type { Person } from '../../support/server.ts';
import type { TcpCutter } from '../../support/tcp-cutter.ts';

/** A time without connection, on this process's clock; `backAtMs` is set when operations flow again. */
export interface Outage {
  lostAtMs: number;
  backAtMs?: number;
}

export interface Acked {
  id: string;
  rev: number;
  seq: number;
}

export interface LoadClient {
  readonly person: Person;
  /** The way to the servers, of this client alone. */
  readonly cable: TcpCutter;
  /** Ids of the messages that the application heard, by chat, in the order in which it heard them. */
  readonly heard: ReadonlyMap<string, readonly string[]>;
  readonly outages: readonly Outage[];
  /** What must never happen: an event out of order on a connection, an answer that nobody expects. */
  readonly faults: readonly string[];
  /** How often which refusal said "not now". */
  readonly passing: ReadonlyMap<string, number>;
  /** Resolves with the answer; sends the same again while the answer is that there is none now. Rejects when the client is closed. */
  send(chatId: string, clientId: string, content: string): Promise<Acked>;
  /** Leaves without a word when the cable is silent. */
  close(): void;
}

/** What both kinds of clients write down. */
export class Record {
  readonly heard = new Map<string, string[]>();
  readonly outages: Outage[] = [];
  readonly faults: string[] = [];
  readonly passing = new Map<string, number>();

  passed(code: string): void {
    this.passing.set(code, (this.passing.get(code) ?? 0) + 1);
  }

  hear(chatId: string, messageId: string): void {
    const ids = this.heard.get(chatId);
    if (ids) ids.push(messageId);
    else this.heard.set(chatId, [messageId]);
  }

  lost(): void {
    if (this.outages.at(-1)?.backAtMs === undefined && this.outages.length > 0) return;
    this.outages.push({ lostAtMs: performance.now() });
  }

  back(): void {
    const last = this.outages.at(-1);
    if (last) last.backAtMs ??= performance.now();
  }
}

/** Refusals that say "not now"; the same `clientId` again finds out. */
export const PASSING: ReadonlySet<string> = new Set(['unavailable', 'timeout', 'rate_limited']);
/** Pause before the same is sent again. */
export const AGAIN_MS = 300;
