/** How nodes learn that sessions have ended: a notice on the bus topic `ALL_NODES`. */
import { z } from 'zod';
import { Id } from '../../protocol/index.ts';

export const SessionRevoked = z.object({
  type: z.literal('session:revoked'),
  userId: Id,
  sessionIds: z.array(Id),
  reason: z.enum(['expired', 'revoked', 'logout', 'reuse', 'banned']),
});
export type SessionRevoked = z.output<typeof SessionRevoked>;

/** The notice, if a message of `ALL_NODES` is one. */
export function asSessionRevoked(data: unknown): SessionRevoked | undefined {
  const parsed = SessionRevoked.safeParse(data);
  return parsed.success ? parsed.data : undefined;
}
