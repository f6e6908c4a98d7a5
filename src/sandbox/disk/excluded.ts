/** Which paths are not synchronised: what tools make by the thousand and can make again. */

/** The disk's own folder of what is on its way. */
export const STAGING_FOLDER = '.atelier-sync';

export const EXCLUDED_FOLDERS: ReadonlySet<string> = new Set([
  STAGING_FOLDER,
  'node_modules',
  '.git',
  '.hg',
  '.svn',
  // Build output.
  'dist',
  'build',
  'out',
  'target',
  'coverage',
  '.next',
  '.nuxt',
  '.output',
  '.svelte-kit',
  '.turbo',
  '.vite',
  '.parcel-cache',
  '.cache',
  // Python.
  '__pycache__',
  '.venv',
  'venv',
  '.pytest_cache',
  '.mypy_cache',
  '.ruff_cache',
  '.tox',
]);

/** Whether a path is left out: it lies in such a folder, or is one and ends with a slash. */
export const isExcluded = (path: string): boolean =>
  path
    .split('/')
    .slice(0, -1)
    .some((part) => EXCLUDED_FOLDERS.has(part));
