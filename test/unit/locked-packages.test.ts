/** The part of the project's lock file that the sandbox image is installed from. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { lockedPackages, type PackageLock } from '../../src/sandbox/image/locked-packages.ts';

const lock: PackageLock = {
  lockfileVersion: 3,
  packages: {
    '': {},
    'node_modules/a': { version: '1.0.0', optional: true, dependencies: { b: '^1', c: '^1' } },
    'node_modules/a/node_modules/b': { version: '1.5.0', dependencies: { c: '^1' } },
    'node_modules/b': { version: '2.0.0' },
    'node_modules/c': { version: '1.1.0', dev: true, optionalDependencies: { 'c-linux': '1', 'c-gone': '1' } },
    'node_modules/c-linux': { version: '1.1.0', optional: true, os: ['linux'] },
    'node_modules/other': { version: '9.0.0' },
  },
};

test('what the packages need is in it, and nothing else; only what depends on the machine may be missing', () => {
  const locked = lockedPackages(lock, ['a']);
  expect(JSON.parse(locked.manifest)).toMatchObject({ type: 'module', dependencies: { a: '1.0.0' } });
  const { packages } = JSON.parse(locked.lock) as PackageLock;
  expect(Object.keys(packages)).toEqual([
    '',
    'node_modules/a',
    'node_modules/a/node_modules/b',
    'node_modules/c',
    'node_modules/c-linux',
  ]);
  expect(Object.entries(packages).filter(([, { optional }]) => optional)).toHaveLength(1);
  expect(packages['node_modules/c-linux']).toMatchObject({ optional: true, os: ['linux'] });
  expect(packages['node_modules/c']).not.toHaveProperty('dev');
});

test('a package that the lock does not name is an error', () => {
  expect(() => lockedPackages(lock, ['missing'])).toThrow('missing');
  const own = JSON.parse(readFileSync('package-lock.json', 'utf8')) as PackageLock;
  expect(JSON.parse(lockedPackages(own, ['node-pty']).lock)).toHaveProperty(['packages', 'node_modules/node-pty']);
});
