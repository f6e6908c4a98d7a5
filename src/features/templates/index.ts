/** The files that a new project begins with: real ones, in `starters`, which build as they are. */
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface StarterFile {
  path: string;
  content: string;
}

const STARTERS = fileURLToPath(new URL('starters', import.meta.url));

const read = new Map<string, Promise<readonly StarterFile[]>>();

/** In the order of their paths; the template `empty` has none. */
export async function templateFiles(template: string): Promise<readonly StarterFile[]> {
  if (template === 'empty') return [];
  let files = read.get(template);
  if (!files) {
    files = readAll(join(STARTERS, template));
    read.set(template, files);
    // A file system that fails may recover.
    files.catch(() => read.delete(template));
  }
  return files;
}

async function readAll(folder: string): Promise<readonly StarterFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
  return Promise.all(
    names.map(async (name) => ({ path: pathOf(name), content: await readFile(join(folder, name), 'utf8') })),
  );
}

/** A leading underscore stands for a point: tools that pack or copy folders pass over `.gitignore`, or obey it. */
const pathOf = (name: string): string =>
  name
    .split(sep)
    .map((part) => part.replace(/^_/, '.'))
    .join('/');
