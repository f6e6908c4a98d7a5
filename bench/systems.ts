/** What is compared: Atelier and stock Socket.IO, on one node or on two, with the same members in the same rooms. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startRedis } from '../test/support/redis.ts';
import type { Member } from './load-client.ts';
import { seed } from './seed.ts';
import { startNode, type ServerProcess } from './server-process.ts';

export interface Shape {
  rooms: number;
  /** Members of each room; one connection each. */
  size: number;
  nodes: 1 | 2;
}

export interface System {
  name: string;
  /** Room by room; on two nodes a room's members alternate between them. */
  members: Member[];
  nodes: ServerProcess[];
  /** Of all nodes, all threads. */
  cpuSeconds(): number;
  /** Of the Redis between the nodes. */
  redisCpuSeconds(): Promise<number>;
  stop(): Promise<void>;
}

export type StartSystem = (shape: Shape) => Promise<System>;

export const startBare: StartSystem = async ({ rooms, size, nodes: count }) => {
  const between = count > 1 ? await startBetween() : undefined;
  const nodes = await startNodes(
    count,
    ['--import', './test/support/typescript.mjs', 'bench/bare-server.ts'],
    between?.env ?? {},
  );
  const members = Array.from({ length: rooms * size }, (_, n): Member => {
    const chatId = Math.floor(n / size)
      .toString(16)
      .padStart(24, '0');
    return { url: urlOf(nodes, n), auth: { chatId }, chatId, hasHello: false };
  });
  return systemOf(between ? 'socket.io + redis-adapter' : 'bare socket.io', members, nodes, between, async () => {});
};

/** The built server with everything on: embedded storage, durable writes, checks; only rate limits and caps are off. */
export const startAtelier: StartSystem = async ({ rooms, size, nodes: count }) => {
  const between = count > 1 ? await startBetween() : undefined;
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-bench-'));
  const jwtSecret = randomBytes(32).toString('hex');
  const seeded = await seed(dataDir, jwtSecret, rooms, size);
  const nodes = await startNodes(count, [process.env['BENCH_MAIN'] ?? 'dist/main.js'], {
    PORT: '0',
    DATA_DIR: dataDir,
    JWT_SECRET: jwtSecret,
    RATE_LIMIT_SCALE: '0',
    LOG_LEVEL: 'warn',
    ...between?.env,
  });
  const members = seeded.map(({ token, chatId }, n): Member => ({
    url: urlOf(nodes, n),
    auth: { token },
    chatId,
    hasHello: true,
  }));
  return systemOf('Atelier', members, nodes, between, () => rm(dataDir, { recursive: true, force: true }));
};

interface Between {
  env: NodeJS.ProcessEnv;
  cpuSeconds(): Promise<number>;
  stop(): Promise<void>;
}

/** A Redis of the run's own. */
async function startBetween(): Promise<Between> {
  const server = await startRedis();
  const client = new Redis(server.url);
  return {
    env: { REDIS_URL: server.url },
    async cpuSeconds() {
      const info = await client.info('cpu');
      const read = (name: string): number => Number(new RegExp(String.raw`${name}:([\d.]+)`).exec(info)?.[1]);
      return read('used_cpu_sys') + read('used_cpu_user');
    },
    async stop() {
      client.disconnect();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** One after another: the first one brings the database to its version. */
async function startNodes(count: number, args: readonly string[], env: NodeJS.ProcessEnv): Promise<ServerProcess[]> {
  const nodes: ServerProcess[] = [];
  for (let n = 0; n < count; n++) nodes.push(await startNode(args, env));
  return nodes;
}

const urlOf = (nodes: readonly ServerProcess[], n: number): string => (nodes[n % nodes.length] as ServerProcess).url;

function systemOf(
  name: string,
  members: Member[],
  nodes: ServerProcess[],
  between: Between | undefined,
  clean: () => Promise<void>,
): System {
  return {
    name,
    members,
    nodes,
    cpuSeconds: () => nodes.reduce((sum, node) => sum + node.cpuSeconds(), 0),
    redisCpuSeconds: async () => (await between?.cpuSeconds()) ?? 0,
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
      await between?.stop();
      await clean();
    },
  };
}
