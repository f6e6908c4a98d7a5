/**
 * One chat's events as the application has heard them: each once, in the order of `rev`, none left out.
 * What comes early is kept until what is before it has come.
 */

/** Events kept that came early. Beyond it they are dropped and read from the server's log with what is missing. */
export const EARLY_MAX = 500;

export interface LogEvent {
  rev: number;
  /** It tells of no message, so no page has it. */
  alone?: true;
  deliver: () => void;
}

export class ChatLog {
  readonly #early = new Map<number, LogEvent>();
  #position: number | undefined;
  #head = 0;

  /** The rev up to which everything was delivered; undefined until `place`. */
  get position(): number | undefined {
    return this.#position;
  }

  /** The highest rev that is known to exist. */
  get head(): number {
    return this.#head;
  }

  /** The log is known to have more than was delivered. */
  get behind(): boolean {
    return this.#position !== undefined && this.#head > this.#position;
  }

  /** An event as it came from the server: delivered, kept or, when it was delivered before, dropped. */
  receive(event: LogEvent): void {
    if (event.rev <= (this.#position ?? 0)) return;
    this.noteHead(event.rev);
    const isNext = event.rev - 1 === this.#position;
    if (isNext || this.#early.size < EARLY_MAX) this.#early.set(event.rev, event);
    this.#flush();
  }

  /** The server's log reaches at least to `rev`. */
  noteHead(rev: number): void {
    this.#head = Math.max(this.#head, rev);
  }

  /**
   * Says where the application's knowledge begins. An event that came before this call is new to the application
   * also when the position read meanwhile covers it already.
   */
  place(position: number): void {
    if (this.#position !== undefined) return;
    this.noteHead(position);
    this.#position = Math.min(position, this.#earliest() - 1);
    this.#flush();
  }

  /** As `place`, where only the first event that came can say where. */
  placeAtFirst(): void {
    const first = this.#earliest();
    if (first !== Infinity) this.place(first - 1);
  }

  /**
   * A page of the log from the present position to `position`: what changed in it, in its present state and in the order
   * to be told. The `rev` of such a state may lie above `position`. One that lies below what was delivered has been told
   * already; what came early and lies within the page is in it, unless it stands alone.
   */
  page(states: readonly LogEvent[], position: number): void {
    const from = this.#position ?? 0;
    const alone = Array.from(this.#early.values())
      .filter((event) => event.alone && event.rev > from && event.rev <= position)
      .sort((a, b) => a.rev - b.rev);
    const deliverAlone = (before: number): void => {
      while (alone[0] && alone[0].rev < before) alone.shift()?.deliver();
    };
    for (const state of states) {
      if (state.rev <= from) continue;
      deliverAlone(state.rev);
      state.deliver();
    }
    deliverAlone(Infinity);
    this.skip(position);
  }

  /** Goes on from `position` whatever was before it. */
  skip(position: number): void {
    if (position > (this.#position ?? 0)) this.#position = position;
    this.noteHead(position);
    for (const rev of Array.from(this.#early.keys())) if (rev <= position) this.#early.delete(rev);
    this.#flush();
  }

  #earliest(): number {
    let first = Infinity;
    for (const rev of this.#early.keys()) first = Math.min(first, rev);
    return first;
  }

  #flush(): void {
    if (this.#position === undefined) return;
    for (let next = this.#early.get(this.#position + 1); next; next = this.#early.get(this.#position + 1)) {
      this.#deliver(next);
    }
  }

  #deliver(event: LogEvent): void {
    this.#early.delete(event.rev);
    if (this.#position === undefined || event.rev <= this.#position) return;
    this.#position = event.rev;
    event.deliver();
  }
}
