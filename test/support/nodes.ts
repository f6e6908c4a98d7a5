/** Several whole servers in this process on one database, and on one Redis where a test gives it. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedMongo } from '../../src/storage/embedded-mongo/index.ts';
import { freshDatabaseUri } from './database.ts';
import { startServer, type TestServer } from './server.ts';

export interface TestNodes extends AsyncDisposable {
  readonly nodes: readonly TestServer[];
}

export async function startNodes(count: number, env: Record<string, string> = {}): Promise<TestNodes> {
  const ends: (() => PromiseLike<unknown>)[] = [];
  const endAll = async (): Promise<void> => {
    for (const end of ends.reverse()) await end();
    ends.length = 0;
  };
  try {
    const shared = {
      JWT_SECRET: randomBytes(32).toString('hex'),
      AUTH_PEPPER: randomBytes(32).toString('hex'),
      ...(await sharedDatabase(ends)),
      ...env,
    };
    const nodes: TestServer[] = [];
    for (let i = 0; i < count; i++) {
      const node = await startServer(shared);
      nodes.push(node);
      ends.push(() => node[Symbol.asyncDispose]());
    }
    return { nodes, [Symbol.asyncDispose]: endAll };
  } catch (error) {
    await endAll();
    throw error;
  }
}

async function sharedDatabase(ends: (() => PromiseLike<unknown>)[]): Promise<{ MONGODB_URI: string }> {
  const { MONGODB_URI } = freshDatabaseUri();
  if (MONGODB_URI) return { MONGODB_URI };
  const path = await mkdtemp(join(tmpdir(), 'atelier-test-'));
  ends.push(() => rm(path, { recursive: true, force: true }));
  const engine = await startEmbeddedMongo({ path });
  ends.push(() => engine.close());
  return { MONGODB_URI: engine.uri };
}
