/** What is registered by topic, in the order of its registration; one function may be there twice. */
export class Registered<F> {
  readonly #byTopic = new Map<string, Set<{ call: F }>>();

  add(topic: string, call: F): () => void {
    const entry = { call };
    const entries = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, entries.add(entry));
    return () => {
      if (entries.delete(entry) && entries.size === 0 && this.#byTopic.get(topic) === entries) {
        this.#byTopic.delete(topic);
      }
    };
  }

  has(topic: string): boolean {
    return this.#byTopic.has(topic);
  }

  /** Those of now: what is added or removed while they run does not change the round. */
  of(topic: string): F[] {
    return [...(this.#byTopic.get(topic) ?? [])].map(({ call }) => call);
  }

  clear(): void {
    this.#byTopic.clear();
  }
}
