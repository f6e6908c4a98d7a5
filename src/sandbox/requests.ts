/** What is asked of an agent: checked before it is sent, and waited for as long as the asker likes. */
import { Fault, withResolvers } from '../protocol/index.ts';
import { ProtocolError } from './agent-protocol/index.ts';

/** What the agent would end the link for is not sent. */
export function valid(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    throw error instanceof ProtocolError ? new Fault('invalid', error.message) : error;
  }
}

/** What the promise gives, unless the signal comes first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  // Nobody hears of it here where the signal was first.
  promise.catch(() => {});
  signal.throwIfAborted();
  const { promise: aborted, reject } = withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
