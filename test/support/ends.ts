/** What a test has started, to be ended newest first. */
export class Ends implements AsyncDisposable {
  readonly #ends: (() => unknown)[] = [];

  use<T extends AsyncDisposable | Disposable>(part: T): T {
    this.#ends.push(() => (Symbol.asyncDispose in part ? part[Symbol.asyncDispose]() : part[Symbol.dispose]()));
    return part;
  }

  defer(end: () => unknown): void {
    this.#ends.push(end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}
