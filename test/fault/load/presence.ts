/** When those who left without a word are seen to be gone, and whether presence is right in the end. */
import { setTimeout as pause } from 'node:timers/promises';
import type { SdkClient } from './sdk-client.ts';

export class GhostWatch {
  readonly #watchers: readonly SdkClient[];
  readonly #vanishedAtMs = new Map<string, number>();
  /** By watcher and user. */
  readonly #goneAtMs = new Map<string, number>();

  constructor(watchers: readonly SdkClient[]) {
    this.#watchers = watchers;
    for (const { sdk, person } of watchers) {
      sdk.on('presence:changed', ({ userId, status }) => {
        const key = `${person.id}:${userId}`;
        if (status === 'offline' && this.#vanishedAtMs.has(userId) && !this.#goneAtMs.has(key)) {
          this.#goneAtMs.set(key, performance.now());
        }
      });
    }
  }

  /** Call it before they vanish. */
  async watch(userIds: readonly string[]): Promise<void> {
    await Promise.all(this.#watchers.map(({ sdk }) => sdk.call('presence:watch', { userIds: [...userIds] })));
  }

  vanished(userId: string): void {
    this.#vanishedAtMs.set(userId, performance.now());
  }

  /** How long the slowest one was seen after it had gone; undefined when nobody left. Infinity: not told in time. */
  async goneAfterMs(timeoutMs: number): Promise<number | undefined> {
    if (this.#vanishedAtMs.size === 0) return undefined;
    const due = this.#vanishedAtMs.size * this.#watchers.length;
    const untilMs = performance.now() + timeoutMs;
    while (this.#goneAtMs.size < due && performance.now() < untilMs) await pause(50);
    if (this.#goneAtMs.size < due) return Infinity;
    const times = [...this.#goneAtMs].map(
      ([key, atMs]) => atMs - (this.#vanishedAtMs.get(key.slice(key.indexOf(':') + 1)) ?? 0),
    );
    return Math.max(...times);
  }

  /** Users whom a watcher sees otherwise than they are, after at most `timeoutMs`. */
  async wrong(present: readonly string[], timeoutMs: number): Promise<string[]> {
    const untilMs = performance.now() + timeoutMs;
    for (;;) {
      const wrong = (await Promise.all(this.#watchers.map((watcher) => this.#wrongFor(watcher, present)))).flat();
      if (wrong.length === 0 || performance.now() > untilMs) return wrong;
      await pause(200);
    }
  }

  async #wrongFor({ sdk, person }: SdkClient, present: readonly string[]): Promise<string[]> {
    const userIds = [...present, ...this.#vanishedAtMs.keys()];
    const wrong: string[] = [];
    for (let n = 0; n < userIds.length; n += 200) {
      const { items } = await sdk.call('presence:get', { userIds: userIds.slice(n, n + 200) });
      for (const { userId, status } of items) {
        const expected = this.#vanishedAtMs.has(userId) ? 'offline' : 'online';
        if (status !== expected) wrong.push(`${person.id} sees ${userId} ${status}, not ${expected}`);
      }
    }
    return wrong;
  }
}
