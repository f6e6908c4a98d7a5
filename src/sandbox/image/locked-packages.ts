/** The few of the project's packages that the image has, at the versions that the project's lock file names. */

interface LockedPackage {
  version?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  [key: string]: unknown;
}

export interface PackageLock {
  lockfileVersion: number;
  packages: Record<string, LockedPackage>;
}

/** A package.json that asks for these packages, and the part of the lock that they need, both as JSON. */
export function lockedPackages(lock: PackageLock, names: readonly string[]): { manifest: string; lock: string } {
  const chosen = new Map<string, LockedPackage>();
  const choose = (from: string, name: string, isOptional: boolean): void => {
    const path = placeOf(lock, from, name);
    if (path === undefined) {
      if (isOptional) return;
      throw new Error(`The lock file has no ${name}`);
    }
    if (chosen.has(path)) return;
    const {
      dev: _dev,
      devOptional: _devOptional,
      optional: _optional,
      ...found
    } = lock.packages[path] as LockedPackage;
    // What only some machines have may be missing; of the rest nothing may.
    chosen.set(path, isOptional ? { ...found, optional: true } : found);
    for (const needed of Object.keys(found.dependencies ?? {})) choose(path, needed, isOptional);
    for (const needed of Object.keys(found.optionalDependencies ?? {})) choose(path, needed, true);
  };
  for (const name of names) choose('', name, false);
  const dependencies = Object.fromEntries(
    names.map((name) => [name, chosen.get(`node_modules/${name}`)?.version as string]),
  );
  const root = { name: 'atelier-sandbox', version: '0.0.0', private: true, type: 'module', dependencies };
  const packages = Object.fromEntries([...chosen].sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    manifest: JSON.stringify(root),
    lock: JSON.stringify({
      name: root.name,
      version: root.version,
      lockfileVersion: lock.lockfileVersion,
      requires: true,
      packages: { '': root, ...packages },
    }),
  };
}

/** Where a package finds another one: below itself, or further up. */
function placeOf({ packages }: PackageLock, from: string, name: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const path = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (packages[path]) return path;
    if (at === '') return undefined;
  }
}
