/** The layers of docs/architecture.md, checked against every import in src. */
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize, sep } from 'node:path';
import { expect, test } from 'vitest';

/** What each folder may import besides itself. `contract` and `registry` are the isomorphic files of the features. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  config: [],
  protocol: [],
  observability: ['protocol'],
  storage: ['protocol', 'observability', 'cluster'],
  cluster: ['protocol', 'observability', 'storage'],
  features: ['protocol', 'observability', 'storage', 'cluster', 'sandbox'],
  sandbox: ['protocol', 'observability', 'storage', 'cluster'],
  gateway: ['protocol', 'observability', 'cluster', 'contract'],
  rest: ['protocol', 'observability', 'cluster', 'contract'],
  docs: ['protocol', 'config', 'rest', 'contract'],
  client: ['protocol', 'contract'],
  'compose-sandboxes': ['config', 'protocol', 'observability', 'storage', 'cluster', 'sandbox', 'features', 'contract'],
  'compose-features': [
    'compose-sandboxes',
    'sandbox',
    'config',
    'protocol',
    'observability',
    'storage',
    'cluster',
    'features',
    'gateway',
    'rest',
    'contract',
  ],
  server: [
    'banner',
    'sandbox',
    'compose-features',
    'config',
    'protocol',
    'observability',
    'storage',
    'cluster',
    'features',
    'gateway',
    'rest',
    'docs',
    'contract',
  ],
  banner: ['config'],
  command: ['server', 'config', 'observability', 'storage'],
  main: ['banner', 'command', 'server', 'protocol'],
  migrate: ['command', 'server'],
  'backup-plan': ['features', 'storage'],
  'storage-parts': ['config', 'observability', 'storage'],
  backup: ['backup-plan', 'command', 'storage', 'storage-parts'],
  restore: ['command', 'config', 'features', 'observability', 'server', 'storage', 'storage-parts'],
};

/** Files that run in a browser too. */
const ISOMORPHIC = [
  /^protocol\//,
  /^client\//,
  /^features\/[^/]+\/contract\.ts$/,
  /^features\/registry\.ts$/,
  /^features\/files\/(paths|languages|shapes)\.ts$/,
];

/** What both a server and the agent in a sandbox are made of. */
const SHARED_WITH_AGENT = ['sandbox/agent-protocol/', 'sandbox/streams/', 'sandbox/disk/'];

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.split(sep).join('/'));

/** What one source imports, with relative paths as they are below `from`'s root. */
const importsOf = (from: string, source: string): Import[] => {
  const found = source.matchAll(
    /^\s*(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'|\bimport\('([^']+)'\)|^import\s+'([^']+)'/gm,
  );
  return [...found].map((match) => {
    const specifier = match[2] ?? match[3] ?? match[4] ?? '';
    const to = specifier.startsWith('.')
      ? normalize(join(dirname(from), specifier))
          .split(sep)
          .join('/')
      : specifier;
    return { from, to, typeOnly: match[1] !== undefined };
  });
};

const imports = files.flatMap((from) => importsOf(from, readFileSync(join('src', from), 'utf8')));

const isFile = (path: string): boolean => files.includes(path);
const folderOf = (path: string): string => path.replace(/\.ts$/, '').split('/')[0] ?? '';
const isContract = (path: string): boolean => /^features\/([^/]+\/contract|registry)\.ts$/.test(path);

test('every folder of src has its rule', () => {
  expect([...new Set(files.map(folderOf))].filter((folder) => !(folder in MAY_IMPORT))).toEqual([]);
});

test('folders import only what their layer allows', () => {
  const wrong = imports.filter(({ from, to }) => {
    if (!isFile(to)) return false;
    const [source, target] = [folderOf(from), folderOf(to)];
    if (source === target) return false;
    const allowed = MAY_IMPORT[source] ?? [];
    return !allowed.includes(target) && !(allowed.includes('contract') && isContract(to));
  });
  expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('the embedded engine knows nothing of the application', () => {
  const inside = (path: string): boolean => path.startsWith('storage/embedded-mongo/');
  const leaving = imports.filter(({ from, to }) => inside(from) && isFile(to) && !inside(to));
  expect(leaving.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('the agent in the sandbox and the server share what imports only Node, and nothing else', () => {
  const inside = (path: string): boolean => SHARED_WITH_AGENT.some((folder) => path.startsWith(folder));
  const leaving = imports.filter(({ from, to }) => inside(from) && !inside(to) && !to.startsWith('node:'));
  expect(leaving.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
  // What is said needs nothing at all.
  const isProtocol = (path: string): boolean => path.startsWith('sandbox/agent-protocol/');
  expect(imports.filter(({ from, to }) => isProtocol(from) && !isProtocol(to))).toEqual([]);

  const agent = readdirSync('sandbox/agent', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const agentImports = agent.flatMap((file) => {
    const path = join('sandbox/agent', file);
    return importsOf(path.split(sep).join('/'), readFileSync(path, 'utf8'));
  });
  expect(agentImports.length).toBeGreaterThan(0);
  const wrong = agentImports.filter(({ to }) => {
    const isOurs = /^(src|test|bench|sandbox)\//.test(to) || to.startsWith('../');
    return isOurs && !to.startsWith('sandbox/agent/') && !inside(to.replace(/^src\//, ''));
  });
  expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('isomorphic files import nothing of Node and of the server only types', () => {
  const builtin = new Set(builtinModules);
  const wrong = imports.filter(({ from, to, typeOnly }) => {
    if (!ISOMORPHIC.some((pattern) => pattern.test(from))) return false;
    if (to.startsWith('node:') || builtin.has(to)) return true;
    return from.startsWith('client/') && folderOf(to) === 'features' && isFile(to) && !typeOnly;
  });
  expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('only the files at the top of src read the configuration', () => {
  const wrong = imports.filter(
    ({ from, to }) =>
      folderOf(to) === 'config' && isFile(to) && from.includes('/') && !['config', 'docs'].includes(folderOf(from)),
  );
  expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('winston and prom-client have one importer each', () => {
  for (const name of ['winston', 'prom-client']) {
    const importers = new Set(imports.filter(({ to }) => to === name).map(({ from }) => from));
    expect([...importers].every((from) => from.startsWith('observability/'))).toBe(true);
  }
});
