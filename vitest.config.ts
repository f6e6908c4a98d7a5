import { configDefaults, defineConfig } from 'vitest/config';
import { hasPackage, hasSandboxImage } from './test/support/parts.ts';

/** Tests run from the TypeScript sources; `--import tsx` lets the worker threads that the code starts load them too. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Installing, building and serving the starters takes a minute and a package registry: `npm run test:starters`.
    exclude: [
      ...configDefaults.exclude,
      ...(process.env['STARTERS'] ? [] : ['test/starters/**']),
      ...(hasPackage('node-pty')
        ? []
        : [
            'test/sandbox/**',
            'test/socket/terminals*.test.ts',
            'test/socket/code.test.ts',
            'test/socket/migrating.test.ts',
          ]),
      ...((await hasSandboxImage()) ? [] : ['test/docker/**']),
    ],
    pool: 'forks',
    // One process runs many files: loading the server anew for each took longer than most tests of it.
    isolate: false,
    // Tests wait more than they compute: for moments of calm, for expiries, for processes.
    maxWorkers: 3,
    execArgv: ['--import', './test/support/typescript.mjs'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // What comes about comes at once, but on a busy machine only after a while.
    expect: { poll: { timeout: 10_000 } },
  },
});
