/** Users with sessions and chats, written into a data directory before its server starts: registering thousands takes minutes. */
import { join } from 'node:path';
import { Types } from 'mongoose';
import { createAccessTokens } from '../src/features/auth/access-tokens.ts';
import { createAuthModels, type SessionRecord } from '../src/features/auth/model.ts';
import { createChatModels, type ChatRecord, type MembershipRecord } from '../src/features/chat/model.ts';
import { createUserModel, type UserRecord } from '../src/features/users/model.ts';
import { createLog } from '../src/observability/winston-log.ts';
import { connectDatabase } from '../src/storage/database.ts';

const DAY_MS = 86_400_000;

export interface Seeded {
  token: string;
  chatId: string;
}

/** One user for each place: `rooms` chats of `size` members each. */
export async function seed(dataDir: string, jwtSecret: string, rooms: number, size: number): Promise<Seeded[]> {
  const log = createLog({ level: 'warn', pretty: true });
  const database = await connectDatabase({ dataDir: join(dataDir), log });
  const { connection } = database;
  const accessTokens = createAccessTokens([jwtSecret], DAY_MS / 1_000, Date.now);
  const at = new Date();
  const endsAt = new Date(at.getTime() + DAY_MS);

  const users: UserRecord[] = [];
  const sessions: SessionRecord[] = [];
  const chats: ChatRecord[] = [];
  const memberships: MembershipRecord[] = [];
  const seeded: Seeded[] = [];
  for (let room = 0; room < rooms; room++) {
    const chatId = new Types.ObjectId();
    for (let place = 0; place < size; place++) {
      const userId = new Types.ObjectId();
      const sessionId = new Types.ObjectId();
      const name = `Bench ${room}.${place}`;
      users.push({ _id: userId, name, searchKeys: [name.toLowerCase()], createdAt: at, updatedAt: at });
      sessions.push({
        _id: sessionId,
        userId,
        method: 'register',
        tokenHash: sessionId.toHexString(),
        userAgent: 'bench',
        ip: '127.0.0.0',
        createdAt: at,
        lastSeenAt: at,
        expiresAt: endsAt,
        absoluteExpiresAt: endsAt,
        purgeAt: endsAt,
      });
      memberships.push({
        _id: new Types.ObjectId(),
        chatId,
        userId,
        role: place === 0 ? 'owner' : 'member',
        joinedAt: at,
        lastReadSeq: 0,
        starred: false,
        state: 'active' as const,
        rev: 0,
        changedAt: at,
      });
      const { accessToken } = accessTokens.sign(userId.toHexString(), sessionId.toHexString(), endsAt.getTime());
      seeded.push({ token: accessToken, chatId: chatId.toHexString() });
    }
    chats.push({
      _id: chatId,
      kind: 'group',
      name: `Bench ${room}`,
      memberCount: size,
      createdBy: (users.at(-size) as UserRecord)._id,
      createdAt: at,
      lastActivityAt: at,
      status: 'active',
    });
  }
  const models = createChatModels(connection);
  await createUserModel(connection).collection.insertMany(users);
  await createAuthModels(connection).sessions.collection.insertMany(sessions);
  await models.chats.collection.insertMany(chats);
  await models.memberships.collection.insertMany(memberships);
  await database.close();
  await log.close();
  return seeded;
}
