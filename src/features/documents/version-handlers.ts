/** One function for each operation on versions. */
import { Fault, LIMITS, type Handlers } from '../../protocol/index.ts';
import type { FileAccess } from './documents.ts';
import type { versionOperations } from './version-operations.ts';
import type { Versions } from './versions.ts';

export interface VersionHandlersDeps {
  versions: Versions;
  access: FileAccess;
  write: (fileId: string, text: string, userId: string) => Promise<{ sizeBytes: number }>;
}

export function createVersionHandlers(deps: VersionHandlersDeps): Handlers<typeof versionOperations> {
  const { versions, access, write } = deps;
  const requireWriter = async (fileId: string, userId: string): Promise<void> => {
    const granted = await access(fileId, userId);
    if (granted.access !== 'write') throw new Fault('forbidden', 'You may only read this file');
  };
  return {
    async 'doc:versions'({ fileId, limit = LIMITS.listDefault, cursor }, { session }) {
      await access(fileId, session.userId);
      return versions.list(fileId, { limit, cursor });
    },

    async 'doc:version'({ fileId, versionId }, { session }) {
      await access(fileId, session.userId);
      return versions.get(fileId, versionId);
    },

    async 'doc:save-version'({ fileId, name, clientId }, { session }) {
      await requireWriter(fileId, session.userId);
      return { version: await versions.saveNamed(fileId, session.userId, name, clientId) };
    },

    async 'doc:restore'({ fileId, versionId }, { session }) {
      const { userId } = session;
      await requireWriter(fileId, userId);
      const { text } = await versions.get(fileId, versionId);
      const version = await versions.saveBefore(fileId, userId);
      return { version, ...(await write(fileId, text, userId)) };
    },
  };
}
