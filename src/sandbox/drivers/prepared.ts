/**
 * A driver that has to be prepared before it can be used, which may take minutes (an image is built) or fail for a while
 * (an engine is away). What was made before is found as soon as it is ready; nothing is built before somebody asks.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../observability/log.ts';
import { Fault } from '../../protocol/index.ts';
import type { DriverKind, SandboxDriver } from '../driver.ts';

export interface PreparedDriverOptions {
  /** What it says of itself until it is prepared. */
  expected: { kind: DriverKind; survives: boolean };
  /** Whether preparing takes no time. Rejects while that cannot be told. */
  isThere: () => Promise<boolean>;
  prepare: () => Promise<SandboxDriver>;
  log: Log;
}

/** Who starts something waits so long for the preparation. */
const WAIT_MS = 45_000;

export function createPreparedDriver({ expected, isThere, prepare, log }: PreparedDriverOptions): SandboxDriver {
  let ready: SandboxDriver | undefined;
  let preparing: Promise<SandboxDriver> | undefined;

  function prepared(): Promise<SandboxDriver> {
    preparing ??= prepare()
      .then((driver) => (ready = driver))
      .catch((error: unknown) => {
        preparing = undefined;
        log.warn('sandboxes cannot be started yet', { error });
        throw error;
      });
    return preparing;
  }

  /** The driver, if that takes no time. */
  async function atOnce(): Promise<SandboxDriver | undefined> {
    if (ready) return ready;
    return (await isThere()) ? prepared() : undefined;
  }

  async function require(): Promise<SandboxDriver> {
    const driver = await atOnce().catch(() => undefined);
    if (!driver) throw new Fault('unavailable', 'The engine of the sandboxes is out of reach', { retryAfterMs: 5_000 });
    return driver;
  }

  return {
    get kind() {
      return (ready ?? expected).kind;
    },
    get survives() {
      return (ready ?? expected).survives;
    },
    get isReady() {
      return ready !== undefined;
    },
    get volumes() {
      return ready?.volumes ?? 'quota';
    },
    async start(spec, signal) {
      const stopped = new AbortController();
      const late = delay(WAIT_MS, undefined, { signal: stopped.signal }).then(
        () => undefined,
        () => undefined,
      );
      const driver = ready ?? (await Promise.race([prepared(), late]).finally(() => stopped.abort()));
      if (driver) return driver.start(spec, signal);
      throw new Fault('unavailable', 'The sandbox image is being built, which takes some minutes', {
        retryAfterMs: 30_000,
      });
    },
    find: async () => (await atOnce())?.find() ?? [],
    adopt: async (id, fence) => (await require()).adopt(id, fence),
    remove: async (id) => (await require()).remove(id),
    removeVolume: async (volume) => (await require()).removeVolume(volume),
    roomBytes: async () => ready?.roomBytes() ?? Infinity,
    close: async () => ready?.close(),
  };
}
