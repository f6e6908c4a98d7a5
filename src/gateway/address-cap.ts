/** Counts open transports per address, so that one address cannot take them all. */
export class AddressCap {
  readonly #open = new Map<string, number>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  allows(ip: string): boolean {
    return (this.#open.get(ip) ?? 0) < this.#max;
  }

  add(ip: string): void {
    this.#open.set(ip, (this.#open.get(ip) ?? 0) + 1);
  }

  remove(ip: string): void {
    const left = (this.#open.get(ip) ?? 1) - 1;
    if (left > 0) this.#open.set(ip, left);
    else this.#open.delete(ip);
  }
}
