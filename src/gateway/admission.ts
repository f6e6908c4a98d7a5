/** Who may open a connection, whatever is spoken on it: pages of allowed origins, and so many of one address. */
import type { IncomingMessage } from 'node:http';
import { LIMITS, type Origin } from '../protocol/index.ts';
import { AddressCap } from './address-cap.ts';
import { originOf } from './handshake.ts';

export interface AdmissionOptions {
  trustedHops: number;
  /** Whether a browser page of this origin may connect; requests without an Origin are not from a page. */
  allowsOrigin: (origin: string) => boolean;
  /** Multiplies the connection caps; 0 switches them off. */
  capScale: number;
}

export type Admitted = { origin: Origin; leave: () => void } | { refused: 'origin' | 'full' | 'stopping' };

export class Admission {
  readonly maxPerUser: number;
  readonly #trustedHops: number;
  readonly #allowsOrigin: (origin: string) => boolean;
  readonly #addresses: AddressCap;
  #closed = false;

  constructor({ trustedHops, allowsOrigin, capScale }: AdmissionOptions) {
    const cap = (base: number): number => (capScale === 0 ? Infinity : base * capScale);
    this.#trustedHops = trustedHops;
    this.#allowsOrigin = allowsOrigin;
    this.#addresses = new AddressCap(cap(LIMITS.connectionsPerIp));
    this.maxPerUser = cap(LIMITS.connectionsPerUser);
  }

  /** Nobody may come in any more. */
  close(): void {
    this.#closed = true;
  }

  /** Why a connection cannot come in; `full` counts only for those that are new. */
  refusal(request: IncomingMessage, isNew = true): 'origin' | 'full' | 'stopping' | undefined {
    if (this.#closed) return 'stopping';
    const { origin } = request.headers;
    if (origin !== undefined && !this.#allowsOrigin(origin)) return 'origin';
    return isNew && !this.#addresses.allows(this.originOf(request).ip) ? 'full' : undefined;
  }

  /** Lets a connection in, which counts until it leaves. */
  admit(request: IncomingMessage): Admitted {
    const refused = this.refusal(request);
    if (refused) return { refused };
    const origin = this.originOf(request);
    this.add(origin.ip);
    return { origin, leave: () => this.remove(origin.ip) };
  }

  add(ip: string): void {
    this.#addresses.add(ip);
  }

  remove(ip: string): void {
    this.#addresses.remove(ip);
  }

  originOf(request: IncomingMessage): Origin {
    return originOf(request, this.#trustedHops);
  }
}
