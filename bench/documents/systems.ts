/** What is compared: Atelier, hocuspocus and y-websocket's server, with the same documents in their storage. */
import { Redis } from 'ioredis';
import { startRedis } from '../../test/support/redis.ts';
import { startNode, type ServerProcess } from '../server-process.ts';
import type { DocumentClient } from './clients.ts';
import type { StoredState } from './trace.ts';

export interface DocumentShape {
  /** What is stored of each document. */
  documents: readonly StoredState[];
  nodes: 1 | 2;
}

export interface DocumentSystem {
  readonly nodes: readonly ServerProcess[];
  /** Connects and opens a document; the `n`th client, which is on the `n`th node, by turns. */
  client(document: number, n: number): DocumentClient;
  /** Of all nodes, all threads. */
  cpuSeconds(): number;
  /** What the nodes have sent through Redis so far. */
  redis(): Promise<RedisFigures>;
  stop(): Promise<void>;
}

export interface RedisFigures {
  publishes: number;
  bytesIn: number;
  bytesOut: number;
}

export interface SystemKind {
  name: string;
  start(shape: DocumentShape): Promise<DocumentSystem>;
}

export interface RunOptions {
  count: number;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  client: (url: string, document: number, n: number) => DocumentClient;
  clean: () => Promise<void>;
}

/** Starts the nodes, and where there are several a Redis of their own. */
export async function run({ count, args, env, client, clean }: RunOptions): Promise<DocumentSystem> {
  const between = count > 1 ? await startRedis() : undefined;
  const reader = between && new Redis(between.url);
  const nodes: ServerProcess[] = [];
  // One after another: the first one brings a database to its version.
  for (let n = 0; n < count; n++) {
    nodes.push(await startNode(args, { ...env, ...(between ? { REDIS_URL: between.url } : {}) }));
  }
  return {
    nodes,
    client: (document, n) => client((nodes[n % nodes.length] as ServerProcess).url, document, n),
    cpuSeconds: () => nodes.reduce((sum, node) => sum + node.cpuSeconds(), 0),
    async redis() {
      if (!reader) throw new Error('There is no Redis between the nodes');
      const info = await reader.info('everything');
      const read = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
      const calls = (name: string): number =>
        Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
      return {
        publishes: calls('publish') + calls('spublish'),
        bytesIn: read('total_net_input_bytes'),
        bytesOut: read('total_net_output_bytes'),
      };
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
      reader?.disconnect();
      await between?.[Symbol.asyncDispose]();
      await clean();
    },
  };
}
