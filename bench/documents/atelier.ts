/** The built server with everything on, as `npm start` runs it; only rate limits and caps are off. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SocketIoClient, YjsClient, type DocumentClient } from './clients.ts';
import { seedDocuments } from './seed.ts';
import { run, type SystemKind } from './systems.ts';
import { ATELIER, ATELIER_EACH, ATELIER_YJS } from './verdict.ts';

/** Accounts that the connections take by turns. */
const PEOPLE = 64;

export const atelier: SystemKind = kind(
  ATELIER,
  (url, token, fileId) => new SocketIoClient({ url, token, fileId, gathers: true }),
);

export const atelierEach: SystemKind = kind(
  ATELIER_EACH,
  (url, token, fileId) => new SocketIoClient({ url, token, fileId, gathers: false }),
);

export const atelierYjs: SystemKind = kind(
  ATELIER_YJS,
  (url, token, fileId) => new YjsClient({ url, path: `/yjs/${fileId}?token=${token}` }),
);

function kind(name: string, connect: (url: string, token: string, fileId: string) => DocumentClient): SystemKind {
  return {
    name,
    async start({ documents, nodes }) {
      const dataDir = await mkdtemp(join(tmpdir(), 'atelier-bench-'));
      const jwtSecret = randomBytes(32).toString('hex');
      const { tokens, fileIds } = await seedDocuments(dataDir, jwtSecret, PEOPLE, documents);
      return run({
        count: nodes,
        args: [process.env['BENCH_MAIN'] ?? 'dist/main.js'],
        env: {
          PORT: '0',
          DATA_DIR: dataDir,
          JWT_SECRET: jwtSecret,
          RATE_LIMIT_SCALE: '0',
          LOG_LEVEL: 'warn',
        },
        client: (url, document, n) => connect(url, tokens[n % PEOPLE] as string, fileIds[document] as string),
        clean: () => rm(dataDir, { recursive: true, force: true }),
      });
    },
  };
}
