/** Files of projects: operations and events. */
import { z } from 'zod';
import { event, Id, LIMITS } from '../../protocol/index.ts';
import { fileOperations } from './file-operations.ts';
import { File } from './shapes.ts';
import { transferOperations } from './transfer-operations.ts';

export const filesContract = { ...fileOperations, ...transferOperations };

const theFile = z.object({ projectId: Id, file: File });
const many = `To the project's room. A change of more than ${LIMITS.fileEventsPerChange} files is one file:tree-changed instead.`;

export const filesEvents = {
  'file:created': event({ data: theFile, doc: `A file was made or restored. ${many}` }),
  'file:changed': event({
    data: theFile,
    doc: "A file's content was saved, at most once per 2 s and file, or its language was set. To the project's room.",
  }),
  'file:renamed': event({ data: theFile.extend({ oldPath: z.string() }), doc: `A file has moved. ${many}` }),
  'file:deleted': event({ data: theFile, doc: `A file was deleted. ${many}` }),
  'file:tree-changed': event({
    data: z.object({ projectId: Id }),
    doc: "So many files have changed that each by itself is not told: read file:tree again. To the project's room.",
  }),
};
