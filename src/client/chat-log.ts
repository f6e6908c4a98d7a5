/**
 * One chat's events as the application has heard them: each once, in the order of `rev`, none left out.
 * What comes early is kept until what is before it has come.
 */

/** Events kept that came early. Beyond it they are dropped and read from the server's log with what is missing. */
export const EARLY_MAX = 500;

export interface LogEvent {
  rev: number;
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

  /** A page of the log from the present position to `position`; what it leaves out has no event any more. */
  page(events: readonly LogEvent[], position: number): void {
    const due = [...events, ...this.#early.values()].filter((event) => event.rev <= position);
    for (const event of due.sort((a, b) => a.rev - b.rev)) this.#deliver(event);
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
