/** A project with a text file in it, made by the SDK. */
import type { AtelierClient } from '../../src/client/index.ts';
import type { Person } from './server.ts';

export interface TestFile {
  projectId: string;
  fileId: string;
}

/** The others become its editors. */
export async function makeTextFile(
  owner: AtelierClient,
  { content, editors = [] }: { content?: string; editors?: readonly Person[] } = {},
): Promise<TestFile> {
  const { project } = await owner.call('project:create', { name: 'A project' });
  for (const { id } of editors) {
    await owner.call('project:add-member', { projectId: project.id, userId: id, role: 'editor' });
  }
  const { file } = await owner.call('file:create', {
    projectId: project.id,
    path: 'notes.md',
    ...(content === undefined ? {} : { content }),
  });
  return { projectId: project.id, fileId: file.id };
}
