/** A log that says nothing. */
import type { Log } from '../../src/observability/log.ts';

const nothing = (): void => {};
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => silentLog };
