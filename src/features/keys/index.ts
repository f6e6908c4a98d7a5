/** The key directory of end-to-end encryption: who may see whose keys, and who hears that keys run out. */
import { Types, type Connection } from 'mongoose';
import type { Limits } from '../../cluster/limits.ts';
import type { Audit } from '../../observability/audit.ts';
import { Fault, LIMITS, userRoom, type Handlers, type Rooms } from '../../protocol/index.ts';
import type { Blocks } from '../blocks/index.ts';
import { derivedId } from '../chat/index.ts';
import type { keysContract, keysEvents } from './contract.ts';
import { KeyDirectory } from './key-directory.ts';
import { createKeyModels } from './model.ts';

export interface KeysDeps {
  connection: Connection;
  rooms: Rooms<typeof keysEvents>;
  limits: Limits;
  blocks: Pick<Blocks, 'between'>;
  /** Which of the users share a chat with `userId`. */
  sharing: (userId: string, otherIds: readonly string[]) => Promise<Set<string>>;
  audit: Audit;
  now: () => number;
}

export interface KeysFeature {
  handlers: Handlers<typeof keysContract>;
  /** Removes the keys of somebody whose account has ended. */
  forgetUser(userId: string): Promise<void>;
}

/**
 * One-time keys that one user takes of another: enough for sessions between all devices of both, and of a few
 * re-installed ones, while a device's keys last for days against somebody who only wants to use them up.
 */
const CLAIMS_PER_PAIR = { points: 100, windowSeconds: 24 * 3_600 };

export function createKeys(deps: KeysDeps): KeysFeature {
  const { rooms, limits, blocks, sharing, audit, now } = deps;
  const models = createKeyModels(deps.connection);
  const directory = new KeyDirectory(models, now);

  /** Who may not know of the user's devices may not know whether there are any. */
  async function assertVisible(callerId: string, userId: string): Promise<void> {
    if (callerId === userId) return;
    const [shared, blocked] = await Promise.all([sharing(callerId, [userId]), blocks.between(callerId, [userId])]);
    if (!shared.has(userId) || blocked.has(userId)) throw new Fault('not_found', 'There is no such user');
  }

  return {
    async forgetUser(userId) {
      const own = { userId: new Types.ObjectId(userId) };
      await models.devices.collection.deleteMany(own);
      await models.oneTimeKeys.collection.deleteMany(own);
    },

    handlers: {
      async 'keys:publish'(input, { session: { userId }, origin }) {
        const { remaining, replaced } = await directory.publish(userId, input);
        if (replaced) {
          audit.record({ action: 'keys.replace-identity', userId, target: input.deviceId, ok: true, origin });
        }
        return { oneTimeKeys: remaining };
      },

      async 'keys:claim'({ userId, deviceIds, clientId }, { session }) {
        const callerId = session.userId;
        await assertVisible(callerId, userId);
        const { items, taken } = await directory.claim({
          userId,
          deviceIds,
          claimId:
            clientId === undefined ? new Types.ObjectId() : derivedId(callerId, 'keys:claim', callerId, clientId),
          kept: clientId !== undefined,
          admit: (devices) => limits.consume('keys:claim', `${callerId}-${userId}`, CLAIMS_PER_PAIR, devices),
        });
        for (const { deviceId, remaining } of taken) {
          if (remaining < LIMITS.oneTimeKeysLow) rooms.emit(userRoom(userId), 'keys:low', { deviceId, remaining });
        }
        return { items };
      },

      async 'keys:list'({ userId }, { session }) {
        await assertVisible(session.userId, userId);
        return { items: await directory.list(userId, session.userId === userId) };
      },

      async 'keys:remove'({ deviceId }, { session: { userId }, origin }) {
        const removed = await directory.remove(userId, deviceId);
        if (removed) audit.record({ action: 'keys.remove-device', userId, target: deviceId, ok: true, origin });
        return {};
      },
    },
  };
}
