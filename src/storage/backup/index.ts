/** One archive of database and blobs: written, verified, put back. */
export { dump, type DumpOptions, type DumpPlan } from './dump.ts';
export { load, type LoadOptions } from './load.ts';
export { ArchiveUnusable, type Manifest } from './manifest.ts';
export { assertEmpty, assertUnused, begin, clear, finish, freeLeases, takeFences, TargetUnusable } from './target.ts';
export { verifyArchive } from './verify.ts';
