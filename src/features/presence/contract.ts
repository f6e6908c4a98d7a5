/** Who is there: operations and events. */
import { z } from 'zod';
import { Empty, event, Id, LIMITS, operation, Time } from '../../protocol/index.ts';

export const PresenceStatus = z.enum(['online', 'away', 'busy', 'offline', 'unknown']);
export type PresenceStatus = z.output<typeof PresenceStatus>;

export const Presence = z
  .object({
    userId: Id,
    status: PresenceStatus,
    lastSeen: Time.nullable().meta({ description: 'When the last connection ended; null while there, or never seen' }),
  })
  .meta({ id: 'Presence' });
export type Presence = z.output<typeof Presence>;

const userIds = z.array(Id).max(LIMITS.presencePerRequest);

export const presenceContract = {
  'presence:set': operation({
    input: z.strictObject({ status: z.enum(['online', 'away', 'busy']) }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: () => 'presence',
    doc: 'How this connection shows. The user shows as the most present of all connections: busy, else online, else away.',
  }),
  'presence:get': operation({
    input: z.strictObject({ userIds: userIds.min(1) }),
    output: z.object({ items: z.array(Presence) }),
    auth: 'user',
    rate: 'reads',
    doc: 'Presence of users who share a chat with the caller and between whom no block stands; others are left out.',
  }),
  'presence:watch': operation({
    input: z.strictObject({ userIds }),
    output: z.object({ items: z.array(Presence) }),
    auth: 'user',
    rate: 'reads',
    orderKey: () => 'presence',
    doc: 'As presence:get; from now on presence:changed tells this socket of their changes. Replaces what the socket watched before; an empty list ends it.',
  }),
};

export const presenceEvents = {
  'presence:changed': event({
    data: Presence,
    doc: `A watched user's presence, ${LIMITS.presenceDebounceMs} ms after it changed.`,
  }),
};
