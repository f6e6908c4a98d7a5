/** What the REST side needs from the rest of the server. */
import type { Readable } from 'node:stream';
import type { Request, Response, Router } from 'express';
import type { Limits } from '../cluster/limits.ts';
import type { Log } from '../observability/log.ts';
import type { Call, Contract, EventMap, RateClass, Session } from '../protocol/index.ts';

export interface RestDeps {
  contract: Contract;
  /** For the documents. */
  events: EventMap;
  call: Call;
  /** Rejects with `unauthenticated` when the token is not (or no longer) good. */
  authenticate: (accessToken: string) => Promise<Session>;
  limits: Pick<Limits, 'take'>;
  /** What a part behind means by its error, a `Fault` where it is expected; else the error as it is. */
  explain?: (error: unknown) => unknown;
  log: Log;
  metrics: RestMetrics;
  /** A user's picture, or undefined when there is no such user. */
  avatar: (userId: string) => Promise<Avatar | undefined>;
  /** What features serve besides operations. */
  routes?: readonly FeatureRoutes[];
  streams: Streams;
  /** What would have been sent by mail or phone; only off production, and only to this machine. */
  outbox?: () => unknown[];
  health: () => Promise<Health>;
  isReady: () => Promise<boolean>;
  metricsText: () => Promise<{ contentType: string; body: string }>;
  /** Proxies in front that set X-Forwarded-For; 0 = none is believed. */
  trustProxyHops: number;
  allowedOrigins: (origin: string) => boolean;
  production: boolean;
  /** With one, `/metrics` wants it as bearer token; without, only this machine may read it. */
  metricsToken?: string;
  serverId: string;
  /** Aborts when the server drains: event streams end then, and clients resume elsewhere. */
  closing?: AbortSignal;
  /** Between two comments that keep an idle event stream open; 15,000 ms if not given. */
  heartbeatMs?: number;
}

/** Uploads, downloads and the like: what no operation can be. They throw faults as handlers do. */
export type FeatureRoutes = (tools: RouteTools) => Router;

/** What a feature's own routes get of this side. */
export interface RouteTools {
  /** The signed-in caller, who pays a point of the rate. Rejects with `unauthenticated`. */
  session: (request: Request, response: Response, rate: RateClass) => Promise<Session>;
  /** Sends data in the envelope. */
  answer: (response: Response, data: unknown) => void;
}

export interface Avatar {
  contentType: string;
  /** Another one whenever the picture is. */
  etag: string;
  /** Called when somebody does not have it yet. */
  open: () => Promise<string | Readable>;
}

export interface RestMetrics {
  httpRequest: (request: { method: string; route: string; status: number; durationMs: number }) => void;
}

export interface Health {
  status: 'ok' | 'degraded' | 'down';
  message: string;
  timestamp: string;
  parts: unknown;
}

export interface Streams {
  /**
   * What a stream says from a text offset (UTF-16 units) on, until it ends or `signal` aborts. Its first step rejects
   * with `not_found` for whoever is not a member of the stream's chat.
   */
  watch: (streamId: string, userId: string, offset: number, signal: AbortSignal) => AsyncIterable<StreamItem>;
}

export interface StreamItem {
  event: 'started' | 'delta' | 'finished' | 'failed';
  /** `<streamId>:<offset>`: where somebody who has seen this item goes on. */
  id: string;
  data: unknown;
}
