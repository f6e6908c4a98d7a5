/** Users with sessions and chats, written into a data directory before its server starts: registering thousands takes minutes. */
import { join } from 'node:path';
import { Types, type Connection } from 'mongoose';
import { createAccessTokens } from '../src/features/auth/access-tokens.ts';
import { createAuthModels, type SessionRecord } from '../src/features/auth/model.ts';
import { createChatModels, type ChatRecord, type MembershipRecord } from '../src/features/chat/model.ts';
import { createUserModel, type UserRecord } from '../src/features/users/model.ts';
import { createLog } from '../src/observability/winston-log.ts';
import { DAY_MS } from '../src/protocol/index.ts';
import { connectDatabase } from '../src/storage/database.ts';

export interface Seeded {
  token: string;
  chatId: string;
}

/** One user for each place: `rooms` chats of `size` members each. */
export async function seed(dataDir: string, jwtSecret: string, rooms: number, size: number): Promise<Seeded[]> {
  const log = createLog({ level: 'warn', pretty: true });
  const database = await connectDatabase({ dataDir: join(dataDir), log });
  const { connection } = database;
  const at = new Date();
  const people = await seedPeople(connection, jwtSecret, rooms * size);

  const chats: ChatRecord[] = [];
  const memberships: MembershipRecord[] = [];
  const seeded: Seeded[] = [];
  for (let room = 0; room < rooms; room++) {
    const chatId = new Types.ObjectId();
    for (let place = 0; place < size; place++) {
      const n = room * size + place;
      memberships.push({
        _id: new Types.ObjectId(),
        chatId,
        userId: people.userIds[n] as Types.ObjectId,
        role: place === 0 ? 'owner' : 'member',
        joinedAt: at,
        lastReadSeq: 0,
        starred: false,
        state: 'active' as const,
        rev: 0,
        changedAt: at,
      });
      seeded.push({ token: people.tokens[n] as string, chatId: chatId.toHexString() });
    }
    chats.push({
      _id: chatId,
      kind: 'group',
      name: `Bench ${room}`,
      memberCount: size,
      createdBy: people.userIds[room * size] as Types.ObjectId,
      createdAt: at,
      lastActivityAt: at,
      status: 'active',
    });
  }
  const models = createChatModels(connection);
  await models.chats.collection.insertMany(chats);
  await models.memberships.collection.insertMany(memberships);
  await database.close();
  await log.close();
  return seeded;
}

/** Users with a session each. */
export async function seedPeople(
  connection: Connection,
  jwtSecret: string,
  count: number,
): Promise<{ userIds: Types.ObjectId[]; tokens: string[] }> {
  const accessTokens = createAccessTokens([jwtSecret], DAY_MS / 1_000, Date.now);
  const at = new Date();
  const endsAt = new Date(at.getTime() + DAY_MS);
  const users: UserRecord[] = [];
  const sessions: SessionRecord[] = [];
  const tokens: string[] = [];
  for (let n = 0; n < count; n++) {
    const userId = new Types.ObjectId();
    const sessionId = new Types.ObjectId();
    const name = `Bench ${n}`;
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
    tokens.push(accessTokens.sign(userId.toHexString(), sessionId.toHexString(), endsAt.getTime()).accessToken);
  }
  await createUserModel(connection).collection.insertMany(users);
  await createAuthModels(connection).sessions.collection.insertMany(sessions);
  return { userIds: users.map(({ _id }) => _id), tokens };
}
