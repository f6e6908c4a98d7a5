/**
 * The changes made here that the server has not acknowledged: how many, and what of them the next message carries.
 * What would grow without bound is not kept, because the document itself has it: then it is read from there.
 */
import { mergeUpdates } from 'yjs';

/** Merging costs more than linearly, so what waits is merged before it is long. */
const MERGE_AT = 128;

export interface UpdateBatch {
  update: Uint8Array;
  /** Says which changes it carries, to `saved`. */
  upTo: number;
}

export class UnsavedUpdates {
  readonly #maxBytes: number;
  #made = 0;
  #saved = 0;
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  /** Whether what waits is all that is neither sent nor saved. */
  #complete = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#made - this.#saved;
  }

  /** The number of the newest change. */
  get newest(): number {
    return this.#made;
  }

  /** False: changes that are not sent are in the document only. */
  get complete(): boolean {
    return this.#complete;
  }

  add(update: Uint8Array): void {
    this.#made++;
    if (!this.#complete) return;
    this.#waiting.push(update);
    this.#bytes += update.byteLength;
    if (this.#bytes > this.#maxBytes) this.forget();
    else if (this.#waiting.length >= MERGE_AT) this.#waiting = [mergeUpdates(this.#waiting)];
  }

  /** Something in the document is not on the server, though it was not made while we looked on. */
  addUnseen(): void {
    this.#made++;
    this.forget();
  }

  /** What is not sent is to be read from the document from now on. */
  forget(): void {
    this.#waiting = [];
    this.#bytes = 0;
    this.#complete = false;
  }

  /** Everything up to now is on its way or on the server: what comes is kept again. */
  restart(): void {
    this.#waiting = [];
    this.#bytes = 0;
    this.#complete = true;
  }

  /** All that waits, as one update. */
  take(): UpdateBatch | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    const update = this.#waiting.length === 1 ? first : mergeUpdates(this.#waiting);
    this.restart();
    return { update, upTo: this.#made };
  }

  saved(upTo: number): void {
    this.#saved = Math.max(this.#saved, upTo);
  }
}
