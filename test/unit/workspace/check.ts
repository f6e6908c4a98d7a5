/** What must hold when nothing is left to do. */
import { readFile } from 'node:fs/promises';
import { decodeText } from '../../../src/features/workspace/disk-text.ts';
import { isExcluded } from '../../../src/sandbox/disk/excluded.ts';
import type { World } from './world.ts';

/** What differs between the project and the disk. */
export async function differencesOf(world: World): Promise<string[]> {
  const { project, rows } = world;
  const found: string[] = [];
  const paths = new Set((await world.files()).keys());
  for (const { fileId, path, kind } of project.files.values()) {
    if (isExcluded(path)) continue;
    const row = rows.get(fileId);
    if (row?.path !== path || row.step.kind !== 'agreed') found.push(`${path}: ${row?.step.kind} at ${row?.path}`);
    if (!paths.delete(path)) {
      found.push(`${path} is not on the disk`);
      continue;
    }
    const bytes = await readFile(world.path(path));
    const [disk, live] =
      kind === 'blob'
        ? [String(bytes), String(project.versions.get(fileId)?.at(-1))]
        : [decodeText(bytes)?.text, Buffer.from(project.text(fileId)).toString()];
    if (disk !== live) found.push(`${path}: ${JSON.stringify(disk)} is not ${JSON.stringify(live)}`);
  }
  for (const path of paths) found.push(`${path} is not in the project`);
  if (rows.size > project.files.size) found.push('There are rows of no files');
  const staged = (await world.disk.ids()).length - 1;
  if (staged > 0) found.push(`${staged} files are left in the staging folder besides the mark`);
  return found;
}

/** How often a token is in the texts of the project. */
export function occurrences({ project }: World, token: string): number {
  let count = 0;
  for (const { fileId, kind } of project.files.values()) {
    if (kind === 'text') count += project.text(fileId).split(token).length - 1;
  }
  return count;
}
