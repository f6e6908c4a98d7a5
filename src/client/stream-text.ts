/** One assistant stream's text as the application has heard it: each UTF-16 unit once, in order. */

/** Pieces kept that came early; beyond it they are dropped and read from the server with what is missing. */
export const EARLY_MAX = 200;

export class StreamText {
  readonly #deliver: (offset: number, text: string) => void;
  readonly #early = new Map<number, string>();
  #text = '';

  constructor(deliver: (offset: number, text: string) => void) {
    this.#deliver = deliver;
  }

  /** All text so far. */
  get text(): string {
    return this.#text;
  }

  /** Text is known to be missing before some that came. */
  get hasHole(): boolean {
    return this.#early.size > 0;
  }

  /** A piece whose first unit is number `offset`: what is new of it is delivered, what comes early is kept. */
  receive(offset: number, text: string): void {
    if (offset > this.#text.length) {
      const longest = Math.max(text.length, this.#early.get(offset)?.length ?? 0);
      if (longest === text.length && this.#early.size < EARLY_MAX) this.#early.set(offset, text);
      return;
    }
    this.#append(offset, text);
    for (let next = this.#due(); next !== undefined; next = this.#due()) {
      const early = this.#early.get(next) ?? '';
      this.#early.delete(next);
      this.#append(next, early);
    }
  }

  #due(): number | undefined {
    for (const offset of this.#early.keys()) if (offset <= this.#text.length) return offset;
    return undefined;
  }

  #append(offset: number, text: string): void {
    const at = this.#text.length;
    const fresh = text.slice(at - offset);
    if (fresh === '') return;
    this.#text += fresh;
    this.#deliver(at, fresh);
  }
}
