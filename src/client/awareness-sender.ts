/** Tells the server of the own awareness state: the newest only, one message at a time, and never faster than eyes see. */
import { type Awareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import { AtelierError } from './atelier-error.ts';
import { isRefusal } from './document-errors.ts';

/** A cursor that follows every key moves smoothly enough, and a burst of keys costs others little. */
export const AWARENESS_EVERY_MS = 50;

export interface AwarenessSenderDeps {
  awareness: Awareness;
  send: (update: Uint8Array) => Promise<unknown>;
  onError: (error: AtelierError) => void;
}

interface AwarenessChange {
  added: number[];
  updated: number[];
  removed: number[];
}

export class AwarenessSender {
  readonly #deps: AwarenessSenderDeps;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending = false;
  #started = false;
  /** There is something newer than what was sent. */
  #dirty = false;
  /** A refusal was told, and nothing was taken since. */
  #refused = false;

  constructor(deps: AwarenessSenderDeps) {
    this.#deps = deps;
    deps.awareness.on('update', this.#onUpdate);
  }

  /** The document is open: the own state is told anew. */
  start(): void {
    const { awareness } = this.#deps;
    this.#started = true;
    this.#dirty = false;
    // Others have forgotten it and remember its clock.
    const state = awareness.getLocalState();
    if (state !== null) awareness.setLocalState(state);
  }

  stop(): void {
    this.#started = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Others are told that there is nobody here any more; the own state stays, and its next change shows it again. */
  leave(): void {
    const { awareness, send } = this.#deps;
    const meta = awareness.meta.get(awareness.clientID);
    if (!this.#started || awareness.getLocalState() === null || !meta) return;
    awareness.meta.set(awareness.clientID, { clock: meta.clock + 1, lastUpdated: meta.lastUpdated });
    send(encodeAwarenessUpdate(awareness, [awareness.clientID], new Map())).catch(() => undefined);
  }

  destroy(): void {
    this.stop();
    this.#deps.awareness.off('update', this.#onUpdate);
  }

  // Also when somebody else removed it: y-protocols has raised its clock then, to say that we are still there.
  #onUpdate = ({ added, updated, removed }: AwarenessChange): void => {
    const { clientID } = this.#deps.awareness;
    if (![added, updated, removed].some((clients) => clients.includes(clientID))) return;
    this.#dirty = true;
    if (this.#started) this.#flush();
  };

  #flush(): void {
    if (!this.#dirty || this.#sending || this.#timer || !this.#started) return;
    const { awareness, send, onError } = this.#deps;
    this.#dirty = false;
    this.#sending = true;
    this.#wait(AWARENESS_EVERY_MS);
    send(encodeAwarenessUpdate(awareness, [awareness.clientID]))
      .then(() => (this.#refused = false))
      .catch((error: unknown) => {
        if (!this.#started || !(error instanceof AtelierError)) return;
        if (error.code === 'rate_limited') {
          this.#dirty = true;
          this.#wait(error.retryAfterMs ?? 10 * AWARENESS_EVERY_MS);
        } else if (isRefusal(error.code) && !this.#refused) {
          this.#refused = true;
          onError(error);
        }
      })
      .finally(() => {
        this.#sending = false;
        this.#flush();
      });
  }

  #wait(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, ms);
  }
}
