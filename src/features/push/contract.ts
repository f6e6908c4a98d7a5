/** Notifications for people who are away: operations. */
import { z } from 'zod';
import { Empty, givenName, LIMITS, operation } from '../../protocol/index.ts';

const base64url = (bytes: number): z.ZodString => {
  const length = Math.ceil((bytes * 8) / 6);
  // Some clients pad, which means nothing.
  return z.string().regex(new RegExp(`^[A-Za-z0-9_-]{${length}}={0,2}$`), `must be ${bytes} bytes in base64url`);
};

const Endpoint = z.url().max(LIMITS.pushEndpointLength).meta({ description: 'The address that the push service gave' });

const Clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day, as 22:00');
const TimeZone = z
  .string()
  .min(1)
  .max(64)
  .refine(isTimeZone, 'must be a time zone, as Europe/Berlin')
  .meta({ description: 'A name of the IANA time zone database' });

export const QuietHours = z
  .strictObject({ from: Clock, to: Clock, timeZone: TimeZone })
  .refine(({ from, to }) => from !== to, { path: ['to'], message: 'must not be the same as `from`' })
  .meta({ description: 'Each day; beyond midnight where `to` is before `from`' });
export type QuietHours = z.output<typeof QuietHours>;

export const PushSettings = z.object({
  enabled: z.boolean().meta({ description: 'False switches off everything, on all devices' }),
  quietHours: QuietHours.nullable(),
});
export type PushSettings = z.output<typeof PushSettings>;

const inOrder = (): string => 'push';

export const pushContract = {
  'push:key': operation({
    input: z.strictObject({}),
    output: z.object({ publicKey: z.string().meta({ description: 'VAPID, base64url' }) }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/push/key' },
    doc: "The `applicationServerKey` for a browser's `pushManager.subscribe`. Where push is off it is unsupported, as are the other operations of push.",
  }),
  'push:subscribe': operation({
    input: z.strictObject({
      subscription: z.strictObject({
        endpoint: Endpoint,
        keys: z.strictObject({ p256dh: base64url(65), auth: base64url(16) }),
        expirationTime: z.number().nullable().optional().meta({ description: 'Not used' }),
      }),
      deviceName: givenName(1, 100).optional(),
    }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: inOrder,
    http: { route: 'POST /api/push/subscriptions' },
    doc: `Sends notifications to this device while no connection of the user is open, for as long as the session lasts. Takes what \`PushSubscription.toJSON()\` gives. Of more than ${LIMITS.pushSubscriptionsPerUser} devices the oldest goes.`,
  }),
  'push:unsubscribe': operation({
    input: z.strictObject({ endpoint: Endpoint }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: inOrder,
    http: { route: 'DELETE /api/push/subscriptions' },
    doc: 'Sends nothing more to this device. One that is not subscribed is no error.',
  }),
  'push:settings': operation({
    input: z.strictObject({ enabled: z.boolean().optional(), quietHours: QuietHours.nullable().optional() }),
    output: PushSettings,
    auth: 'user',
    rate: 'writes',
    orderKey: inOrder,
    http: { route: 'PUT /api/push/settings' },
    doc: 'Changes what is given and tells what holds. What comes within the quiet hours is not sent later.',
  }),
};

function isTimeZone(name: string): boolean {
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
