/**
 * A whole deployment on this machine: one database, one Redis, several server processes, each part of which a test may
 * kill, stop and bring back, and the network in between, which it may cut.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBalancer, type Balancer } from './balancer.ts';
import { freshDatabaseUri } from './database.ts';
import { startDatabaseProcess, type DatabaseProcess } from './database-process.ts';
import { Ends } from './ends.ts';
import { freePort } from './free-port.ts';
import { startProcess, testEnvironment, type ServerProcess } from './process.ts';
import { startRedis, type TestRedis } from './redis.ts';
import { openWorld, type World } from './server.ts';
import { startTcpCutter, type TcpCutter } from './tcp-cutter.ts';

export interface ClusterOptions {
  nodes: number;
  /** False for one node that is alone. */
  redis?: boolean;
  env?: Record<string, string>;
  /** What only the nth node has. */
  envOf?: (n: number) => Record<string, string>;
}

export interface ClusterNode {
  /** Its own address, past the balancer. */
  readonly url: string;
  /** The way from this node to Redis. */
  readonly redisLink: TcpCutter | undefined;
  /** The way from this node to the database; none to a database that is not the test's. */
  readonly databaseLink: TcpCutter | undefined;
  /** As `kill -9`. */
  kill(): Promise<void>;
  /** Asks it to end in order. */
  end(): Promise<void>;
  /** Starts it again at the same address, with the same data directory. */
  restart(): Promise<void>;
  /** It stands still as a whole: its sockets stay open and nothing answers. */
  freeze(): void;
  thaw(): void;
  output(): string;
}

export interface TestCluster extends AsyncDisposable {
  readonly nodes: readonly ClusterNode[];
  /** Undefined where `MONGODB_URI` names one that is not ours to kill. */
  readonly database: DatabaseProcess | undefined;
  readonly redis: TestRedis | undefined;
  readonly balancer: Balancer;
  /** People and requests, through one node. */
  world(node?: number): World;
  /** A way for one client: to its home while that answers, else to another node. */
  cable(home: number): Promise<TcpCutter>;
}

export async function startCluster(options: ClusterOptions): Promise<TestCluster> {
  const parts = new Ends();
  const directory = await mkdtemp(join(tmpdir(), 'atelier-cluster-'));
  parts.defer(() => rm(directory, { recursive: true, force: true }));
  try {
    return await start(options, directory, parts);
  } catch (error) {
    await parts[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(
  { nodes: count, redis: wantsRedis = true, env = {}, envOf = () => ({}) }: ClusterOptions,
  directory: string,
  parts: Ends,
): Promise<TestCluster> {
  const given = freshDatabaseUri();
  const database = given.MONGODB_URI ? undefined : parts.use(await startDatabaseProcess(join(directory, 'db')));
  const redis = wantsRedis ? parts.use(await startRedis()) : undefined;
  const shared = {
    ...testEnvironment(directory),
    LOG_LEVEL: 'warn',
    JWT_SECRET: randomBytes(32).toString('hex'),
    AUTH_PEPPER: randomBytes(32).toString('hex'),
    ACCESS_TOKEN_SECONDS: '7200',
    OTP_HOURLY_CAP: '100000',
    ...given,
    ...env,
  };
  const nodes: ClusterNode[] = [];
  for (let n = 0; n < count; n++) {
    const redisLink = redis && parts.use(await startTcpCutter({ host: '127.0.0.1', port: redis.port }));
    const databaseLink = database && parts.use(await startTcpCutter({ host: '127.0.0.1', port: database.port }));
    nodes.push(
      await startNode(
        {
          ...shared,
          DATA_DIR: join(directory, `node-${n}`),
          PORT: String(await freePort()),
          ...(redisLink ? { REDIS_URL: `redis://127.0.0.1:${redisLink.port}` } : {}),
          ...(databaseLink ? { MONGODB_URI: `mongodb://127.0.0.1:${databaseLink.port}` } : {}),
          ...envOf(n),
        },
        { redisLink, databaseLink },
        parts,
      ),
    );
  }
  const balancer = parts.use(startBalancer(nodes.map(({ url }) => url)));
  return {
    nodes,
    database,
    redis,
    balancer,
    world(node = 0) {
      return parts.use(openWorld(() => (nodes[node] as ClusterNode).url));
    },
    async cable(home) {
      return parts.use(await startTcpCutter(() => balancer.route(home)));
    },
    [Symbol.asyncDispose]: () => parts[Symbol.asyncDispose](),
  };
}

async function startNode(
  env: Record<string, string>,
  links: Pick<ClusterNode, 'redisLink' | 'databaseLink'>,
  parts: Ends,
): Promise<ClusterNode> {
  let server: ServerProcess = await startProcess(env);
  const { url } = server;
  let printed = '';
  const kill = async (): Promise<void> => void (await server.end('SIGKILL'));
  parts.defer(kill);
  return {
    url,
    ...links,
    kill,
    async end() {
      await server.end('SIGTERM');
    },
    async restart() {
      printed += server.output();
      server = await startProcess(env);
    },
    freeze: () => void process.kill(server.pid, 'SIGSTOP'),
    thaw: () => void process.kill(server.pid, 'SIGCONT'),
    output: () => printed + server.output(),
  };
}
