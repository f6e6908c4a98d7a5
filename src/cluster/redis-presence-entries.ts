/**
 * What Redis holds of presence. A node writes under a session, which is one beat that others watch: when it stops, its
 * entries are removed by whoever sees it first. A session that was called dead, or is not known to a Redis that came
 * back empty, is never taken up again: the node begins another, so removing the old one cannot touch what is new.
 *
 * Keys: a hash per user (`session/connection` → status), a set of users per session, and all sessions by their last
 * beat in Redis' own time. Each script touches one key, as a cluster demands.
 */
import type { RedisConnections } from '../storage/redis.ts';
import type { ConnectionStatus } from './presence-registry.ts';

export interface UserEntries {
  /** Something is different than before. */
  changed: boolean;
  /** Connections of the user on all nodes. */
  total: number;
}

/** A session without a beat for so long is dead. */
export const PRESENCE_EXPIRY_MS = 6_000;
/** Whoever removes a dead session has so long before another may do it. */
const CLAIM_MS = 5_000;
/** Users in one round trip. */
const BATCH = 200;

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local score = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or nil)
`;

/** A claimed session has the negative time of its claim for a beat. */
const BEAT = `${NOW}
local alive = 0
if ARGV[2] == 'begin' or (score and score > 0) then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  alive = 1
end
return { alive, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ${PRESENCE_EXPIRY_MS}) }
`;

const CLAIM = `${NOW}
if not score then return 0 end
local isDead = score > 0 and now - score >= ${PRESENCE_EXPIRY_MS}
local isForsaken = score <= 0 and now + score >= ${CLAIM_MS}
if not isDead and not isForsaken then return 0 end
redis.call('ZADD', KEYS[1], -now, ARGV[1])
return 1
`;

/** Makes the entries of one session exactly those given. */
const WRITE = `
local wanted, changed = {}, 0
for i = 2, #ARGV, 2 do wanted[ARGV[i]] = ARGV[i + 1] end
local found = redis.call('HGETALL', KEYS[1])
local total = #found / 2
for i = 1, #found, 2 do
  local field, status = found[i], found[i + 1]
  if string.sub(field, 1, #ARGV[1]) == ARGV[1] then
    if not wanted[field] then
      redis.call('HDEL', KEYS[1], field)
      total = total - 1
      changed = 1
    elseif wanted[field] ~= status then
      redis.call('HSET', KEYS[1], field, wanted[field])
      changed = 1
    end
    wanted[field] = nil
  end
end
for field, status in pairs(wanted) do
  redis.call('HSET', KEYS[1], field, status)
  total = total + 1
  changed = 1
end
return { changed, total }
`;

/** Every call rejects while Redis is out of reach. */
export class RedisPresenceEntries {
  readonly #redis: RedisConnections;
  readonly #prefix: string;

  constructor(redis: RedisConnections, prefix: string) {
    this.#redis = redis;
    this.#prefix = `${prefix}:presence`;
  }

  /** Keeps a session alive, or begins it. `alive` is false when it is called dead or not known. */
  async beat(session: string, begin: boolean): Promise<{ alive: boolean; dead: string[] }> {
    const answer = await this.#redis.commands.eval(BEAT, 1, this.#sessions, session, begin ? 'begin' : 'go on');
    const [alive, dead] = answer as [number, string[]];
    return { alive: alive === 1, dead };
  }

  /** True for one of those who want to remove a dead session. */
  async claim(session: string): Promise<boolean> {
    return (await this.#redis.commands.eval(CLAIM, 1, this.#sessions, session)) === 1;
  }

  /** Replaces what a session has of a user. */
  async write(
    session: string,
    userId: string,
    connections: ReadonlyMap<string, ConnectionStatus>,
  ): Promise<UserEntries> {
    const { commands } = this.#redis;
    const fields = [...connections].flatMap(([id, status]) => [`${session}/${id}`, status]);
    const listed =
      connections.size > 0
        ? // Before the entry, so that an entry is never left behind.
          commands.sadd(this.#usersOf(session), userId)
        : undefined;
    const written = commands.eval(WRITE, 1, this.#user(userId), `${session}/`, ...fields);
    const unlisted = connections.size > 0 ? undefined : commands.srem(this.#usersOf(session), userId);
    const [, answer] = await Promise.all([listed, written, unlisted]);
    const [changed, total] = answer as [number, number];
    return { changed: changed === 1, total };
  }

  /** Removes all of a session, batch by batch, each with what became of the users that it had. */
  async remove(session: string, removed: (users: ReadonlyMap<string, UserEntries>) => Promise<void>): Promise<void> {
    const { commands } = this.#redis;
    const userIds = await commands.smembers(this.#usersOf(session));
    await inBatches(userIds, async (batch) => {
      const entries = await Promise.all(batch.map((userId) => this.write(session, userId, new Map())));
      await removed(new Map(batch.map((userId, index) => [userId, entries[index] as UserEntries])));
    });
    await commands.del(this.#usersOf(session));
    await commands.zrem(this.#sessions, session);
  }

  /** The statuses of all connections of each user, in the order of the ids. */
  async read(userIds: readonly string[]): Promise<ConnectionStatus[][]> {
    const { commands, sharded } = this.#redis;
    if (sharded) {
      return (await Promise.all(userIds.map((userId) => commands.hvals(this.#user(userId))))) as ConnectionStatus[][];
    }
    const pipeline = commands.pipeline();
    for (const userId of userIds) pipeline.hvals(this.#user(userId));
    const answers = (await pipeline.exec()) ?? [];
    return answers.map(([error, statuses]) => {
      if (error) throw error;
      return statuses as ConnectionStatus[];
    });
  }

  get #sessions(): string {
    return `${this.#prefix}:sessions`;
  }

  #usersOf(session: string): string {
    return `${this.#prefix}:session:${session}`;
  }

  #user(userId: string): string {
    return `${this.#prefix}:user:${userId}`;
  }
}

/** One batch after the other: thousands at once would hold up everything else. */
export async function inBatches<T>(items: readonly T[], run: (batch: readonly T[]) => Promise<void>): Promise<void> {
  for (let from = 0; from < items.length; from += BATCH) await run(items.slice(from, from + BATCH));
}
