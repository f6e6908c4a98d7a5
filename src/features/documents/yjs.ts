/** The way in of stock Yjs providers, put together: tickets, upgrades, connections. */
import type { Connection } from 'mongoose';
import { createTicketModel } from './ticket-model.ts';
import { createTickets, type Tickets } from './tickets.ts';
import { createYjsUpgrade, type YjsUpgrade, type YjsUpgradeDeps } from './upgrade.ts';
import { YjsEndpoint, type YjsEndpointDeps } from './yjs-endpoint.ts';

/** Who comes in, and by what. */
export interface YjsDoors
  extends
    Pick<
      YjsEndpointDeps,
      'authenticate' | 'isLive' | 'limit' | 'messagesPerSecond' | 'maxPerUser' | 'onSlow' | 'clock'
    >,
    Pick<YjsUpgradeDeps, 'admit'> {
  /** Signs tickets. */
  secret: string;
  /** No session lasts longer. */
  sessionDays: number;
}

export interface YjsDeps extends Pick<YjsEndpointDeps, 'openPeer' | 'awareness' | 'bus' | 'onBug' | 'now'> {
  connection: Connection;
}

export interface Yjs {
  readonly tickets: Tickets;
  readonly upgrade: YjsUpgrade;
  /** Connections. */
  readonly size: number;
  /** What is kept for those who have not taken it. */
  readonly outboundBytes: number;
  /** Lets everybody go, who come back elsewhere. Resolves when they have gone. */
  drain(): Promise<void>;
  close(): void;
}

export function createYjs(doors: YjsDoors, { connection, ...deps }: YjsDeps): Yjs {
  const { admit, secret, sessionDays, ...rest } = doors;
  const tickets = createTickets({ model: createTicketModel(connection), secret, sessionDays, now: deps.now });
  const endpoint = new YjsEndpoint({ ...deps, ...rest, tickets });
  return {
    tickets,
    upgrade: createYjsUpgrade({ endpoint, admit, onBug: (error) => deps.onBug(error, {}) }),
    get size() {
      return endpoint.size;
    },
    get outboundBytes() {
      return endpoint.outboundBytes;
    },
    drain: () => endpoint.drain(),
    close: () => endpoint.close(),
  };
}
