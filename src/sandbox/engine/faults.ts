/** What the engine answers when it does not do what it was asked for. */
import { Fault } from '../../protocol/index.ts';

/** Undefined where the engine has no such thing. */
export async function found<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** The HTTP status with which the engine has refused; undefined when it could not be asked. */
export const statusOf = (error: unknown): number | undefined => (error as { statusCode?: number }).statusCode;

/** A Fault that says what did not work, and what the engine has said. */
export function unavailable(what: string, cause: unknown): Fault {
  const { reason, json, message } = cause as { reason?: string; json?: { message?: string }; message?: string };
  return new Fault('unavailable', `${what}: ${json?.message ?? message ?? reason ?? 'no reason given'}`, { cause });
}
