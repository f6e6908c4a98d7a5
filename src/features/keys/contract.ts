/** The key directory of end-to-end encryption: operations and events. The server keeps keys and reads none of them. */
import { z } from 'zod';
import { ClientId, Empty, event, Id, LIMITS, operation, Time } from '../../protocol/index.ts';

export const DeviceId = z
  .string()
  .regex(/^[\w-]{1,64}$/, 'must be 1 to 64 of a-z, A-Z, 0-9, _ and -')
  .meta({ description: 'Chosen by the client, unique among the devices of its user' });

const KeyId = z.string().min(1).max(64).meta({ description: 'Chosen by the client, never used again for another key' });

const Key = z
  .string()
  .max(LIMITS.keyLength)
  .regex(/^[A-Za-z0-9+/_-]+={0,2}$/, 'must be base64')
  .meta({ description: `Opaque to the server: base64, at most ${LIMITS.keyLength} characters` });

const SignedPreKey = z.strictObject({ id: KeyId, key: Key, signature: Key });
const OneTimeKey = z.strictObject({ id: KeyId, key: Key });
export type SignedPreKey = z.output<typeof SignedPreKey>;
export type OneTimeKey = z.output<typeof OneTimeKey>;

const device = { deviceId: DeviceId, identityKey: Key, signedPreKey: SignedPreKey };

export const Device = z
  .object({
    ...device,
    updatedAt: Time,
    oneTimeKeys: z.int().optional().meta({ description: 'How many are left; of own devices only' }),
  })
  .meta({ id: 'Device' });
export type Device = z.output<typeof Device>;

export const KeyBundle = z
  .object({
    ...device,
    oneTimeKey: OneTimeKey.optional().meta({ description: 'Nobody else gets it; missing when none was left' }),
  })
  .meta({ id: 'KeyBundle' });
export type KeyBundle = z.output<typeof KeyBundle>;

export const keysContract = {
  'keys:publish': operation({
    input: z.strictObject({
      ...device,
      oneTimeKeys: z
        .array(OneTimeKey)
        .max(LIMITS.oneTimeKeysPerPublish)
        .refine((keys) => new Set(keys.map(({ id }) => id)).size === keys.length, { error: 'must have different ids' })
        .default([]),
      replaceIdentity: z
        .boolean()
        .default(false)
        .meta({ description: 'The device begins anew: its one-time keys so far are void' }),
    }),
    output: z.object({ oneTimeKeys: z.int().meta({ description: 'How many are left to be claimed' }) }),
    auth: 'user',
    rate: 'writes',
    orderKey: () => 'keys',
    maxBytes: LIMITS.keysPublishBytes,
    doc: `Publishes the keys of one of the caller's devices (at most ${LIMITS.devicesPerUser}) or adds one-time keys (at most ${LIMITS.oneTimeKeysPerDevice} wait to be claimed). Another identity key than the one published is a conflict unless replaceIdentity says that it is meant; so is another key under a known id. Publishing the same again changes nothing.`,
  }),
  'keys:claim': operation({
    input: z.strictObject({
      userId: Id,
      deviceIds: z.array(DeviceId).min(1).max(LIMITS.devicesPerUser).optional(),
      clientId: ClientId.optional(),
    }),
    output: z.object({ items: z.array(KeyBundle) }),
    auth: 'user',
    rate: 'writes',
    orderKey: () => 'keys',
    doc: 'What it takes to begin an encrypted session with each of the named devices of a user, else with all: its keys and one one-time key, which nobody else ever gets. Who shares no chat with the user, or between whom and the user a block stands, gets not_found.',
  }),
  'keys:list': operation({
    input: z.strictObject({ userId: Id }),
    output: z.object({ items: z.array(Device) }),
    auth: 'user',
    rate: 'reads',
    doc: "The devices of a user, without one-time keys. As with keys:claim, a chat must be shared; one's own are always seen.",
  }),
  'keys:remove': operation({
    input: z.strictObject({ deviceId: DeviceId }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: () => 'keys',
    doc: "Removes one of the caller's devices and its keys.",
  }),
};

export const keysEvents = {
  'keys:low': event({
    data: z.object({ deviceId: DeviceId, remaining: z.int() }),
    doc: `A claim left fewer than ${LIMITS.oneTimeKeysLow} one-time keys of the caller's device; publish new ones.`,
  }),
};
