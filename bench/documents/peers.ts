/** The two others: their packages are installed on the first run, beside the benches and not among our dependencies. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { YjsClient, type YjsAddress } from './clients.ts';
import { run, type SystemKind } from './systems.ts';
import { HOCUSPOCUS, Y_WEBSOCKET } from './verdict.ts';

const FOLDER = 'bench/peers';

export const hocuspocus: SystemKind = peer(HOCUSPOCUS, 'hocuspocus.mjs', (url, name) => ({
  url,
  path: '/',
  named: name,
}));

export const yWebsocket: SystemKind = peer(Y_WEBSOCKET, 'y-websocket.mjs', (url, name) => ({ url, path: `/${name}` }));

function peer(name: string, script: string, address: (url: string, document: string) => YjsAddress): SystemKind {
  return {
    name,
    async start({ documents, nodes }) {
      install();
      const store = await mkdtemp(join(tmpdir(), 'atelier-bench-'));
      // As each of them writes a document when it stores it: its whole state, in one file.
      await Promise.all(documents.map(({ state }, n) => writeFile(join(store, nameOf(n)), state)));
      return run({
        count: nodes,
        args: [join(FOLDER, script)],
        env: { STORE: store },
        client: (url, document) => new YjsClient(address(url, nameOf(document))),
        clean: () => rm(store, { recursive: true, force: true }),
      });
    },
  };
}

const nameOf = (document: number): string => `document-${document}`;

function install(): void {
  if (existsSync(join(FOLDER, 'node_modules', '.package-lock.json'))) return;
  const npm = spawnSync('npm', ['ci', '--prefix', FOLDER, '--no-audit', '--no-fund'], { stdio: 'inherit' });
  if (npm.status !== 0) throw new Error(`The packages of ${FOLDER} could not be installed`);
}
