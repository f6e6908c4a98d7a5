/** Frames of one connection in a second: a sender paces itself by it, a receiver ends a link that has none left. */
export class FrameBudget {
  readonly #perSecond: number;
  #left: number;
  #atMs: number;

  /** `nowMs`: of any clock that only goes forth. */
  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
    this.#atMs = nowMs;
  }

  /** Takes one frame; false when there is none. What is not used adds up to that of one second. */
  take(nowMs: number): boolean {
    this.#left = Math.min(this.#perSecond, this.#left + ((nowMs - this.#atMs) * this.#perSecond) / 1_000);
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
