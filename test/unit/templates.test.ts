import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { complaintOf } from '../../src/features/files/paths.ts';
import { Template } from '../../src/features/projects/shapes.ts';
import { templateFiles } from '../../src/features/templates/index.ts';

const contentOf = async (template: string, path: string): Promise<string | undefined> =>
  (await templateFiles(template)).find((file) => file.path === path)?.content;

interface Package {
  scripts: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const started = Template.options.filter((template) => template !== 'empty');

test('there is a starter for every template, and no other', async () => {
  const starters = await readdir(new URL('../../src/features/templates/starters', import.meta.url));
  expect(starters.sort()).toEqual(started.toSorted((a, b) => a.localeCompare(b)));
});

test.each(started)('the files of %s may be in a project as they are', async (template) => {
  const files = await templateFiles(template);
  expect(files.length).toBeGreaterThan(0);
  for (const { path, content } of files) {
    expect(complaintOf(path)).toBeUndefined();
    expect(path).not.toMatch(/(^|\/)_|node_modules|package-lock/);
    expect(content.endsWith('\n')).toBe(true);
    expect(content).not.toContain('\r');
  }
  expect(await templateFiles(template)).toBe(files);
});

test.each(started)('what %s needs is pinned exactly, and it has the scripts dev, build and start', async (template) => {
  const { scripts, dependencies, devDependencies } = JSON.parse(
    (await contentOf(template, 'package.json')) ?? '',
  ) as Package;
  expect(Object.keys(scripts)).toEqual(['dev', 'build', 'start']);
  for (const version of Object.values({ ...dependencies, ...devDependencies })) {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  }
  expect(await contentOf(template, '.gitignore')).toContain('node_modules/');
});

test('an empty project has no files', async () => {
  expect(await templateFiles('empty')).toEqual([]);
});
