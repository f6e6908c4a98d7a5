/**
 * The stream log of several nodes: a string per stream on Redis, in UTF-16 so that an offset is a place in it. It ends
 * an hour after its last text; how much memory all of them may take is Redis' `maxmemory`.
 */
import { Fault, LIMITS } from '../protocol/index.ts';
import type { RedisConnections } from '../storage/redis.ts';
import { STREAM_LOG_MS, type StreamLog } from './stream-log.ts';

export interface RedisStreamLogOptions {
  redis: RedisConnections;
  /** Tells this deployment from others on the same Redis. */
  prefix: string;
}

const BYTES = 2;

/** Adds bytes at an offset, what is new of them. Answers with the length, 0 when something before them is missing. */
const APPEND = `
local offset, text, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local length = redis.call('STRLEN', KEYS[1])
if length == limit then return length end
if offset > length then
  redis.call('DEL', KEYS[1])
  return 0
end
length = redis.call('APPEND', KEYS[1], string.sub(text, length - offset + 1, limit - offset))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return length
`;

/** Answers with the length and the bytes from an offset on; with nothing when there is no such stream. */
const READ = `
if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
return { redis.call('STRLEN', KEYS[1]), redis.call('GETRANGE', KEYS[1], ARGV[1], -1) }
`;

export function createRedisStreamLog({ redis, prefix }: RedisStreamLogOptions): StreamLog {
  const { commands } = redis;
  const keyOf = (streamId: string): string => `${prefix}:stream:${streamId}`;

  return {
    async append(streamId, offset, text) {
      const bytes = Buffer.from(text, 'utf16le');
      const limit = LIMITS.streamChars * BYTES;
      const length = await reached(
        commands.eval(APPEND, 1, keyOf(streamId), offset * BYTES, bytes, limit, STREAM_LOG_MS),
      );
      return Number(length) / BYTES;
    },

    async read(streamId, offset) {
      const found = await reached(commands.callBuffer('eval', READ, 1, keyOf(streamId), offset * BYTES));
      if (found === null) return undefined;
      const [length, bytes] = found as [number, Buffer];
      return { text: bytes.toString('utf16le'), offset: Math.min(offset, length / BYTES) };
    },

    async remove(streamId) {
      await reached(commands.del(keyOf(streamId)));
    },

    async close() {},
  };
}

async function reached<T>(command: Promise<T>): Promise<T> {
  try {
    return await command;
  } catch (error) {
    throw new Fault('unavailable', 'The text of running answers is out of reach', { cause: error });
  }
}
