/** Tells of files: members of their project what has changed, and every node which are gone. */
import { z } from 'zod';
import { ALL_NODES, type Bus } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { Id, LIMITS, projectRoom, type Rooms } from '../../protocol/index.ts';
import type { FollowedChange } from './change-follower.ts';
import type { filesEvents } from './contract.ts';
import type { FileRecord } from './model.ts';
import { toFile } from './views.ts';

export interface AnnouncerDeps {
  rooms: Rooms<typeof filesEvents>;
  bus: Bus;
  log: Log;
}

type RemovedListener = (fileIds: readonly string[]) => void;

/** Ids of one notice: it stays small. */
const BATCH = 1_000;

const FilesRemoved = z.object({ type: z.literal('files:removed'), fileIds: z.array(Id) });

export class Announcer {
  readonly #deps: AnnouncerDeps;
  readonly #listeners = new Set<{ call: RemovedListener }>();
  readonly #unsubscribe: () => void;

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps;
    this.#unsubscribe = deps.bus.subscribe(ALL_NODES, (data) => {
      const notice = FilesRemoved.safeParse(data);
      if (notice.success) this.#hear(notice.data.fileIds);
    });
  }

  /** What is written is told when it has been saved. */
  changed({ projectId, created, replaced, renamed, deleted }: FollowedChange): void {
    const { rooms } = this.#deps;
    this.removed(deleted.map(({ _id }) => _id.toHexString()));
    const room = projectRoom(projectId);
    if (created.length + replaced.length + renamed.length + deleted.length > LIMITS.fileEventsPerChange) {
      rooms.emit(room, 'file:tree-changed', { projectId });
      return;
    }
    for (const file of deleted) rooms.emit(room, 'file:deleted', { projectId, file: toFile(file) });
    for (const { file, oldPath } of renamed) {
      rooms.emit(room, 'file:renamed', { projectId, file: toFile(file), oldPath });
    }
    for (const file of created) rooms.emit(room, 'file:created', { projectId, file: toFile(file) });
    for (const file of replaced) this.saved(file);
  }

  saved(record: FileRecord): void {
    const file = toFile(record);
    this.#deps.rooms.emit(projectRoom(file.projectId), 'file:changed', { projectId: file.projectId, file });
  }

  /** Nobody may have them open any more, on any node. */
  removed(fileIds: readonly string[]): void {
    for (let i = 0; i < fileIds.length; i += BATCH) {
      this.#deps.bus.publish(ALL_NODES, { type: 'files:removed', fileIds: fileIds.slice(i, i + BATCH) });
    }
  }

  onRemoved(call: RemovedListener): () => void {
    const entry = { call };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  close(): void {
    this.#unsubscribe();
    this.#listeners.clear();
  }

  #hear(fileIds: readonly string[]): void {
    for (const { call } of this.#listeners) {
      try {
        call(fileIds);
      } catch (error) {
        this.#deps.log.error('A listener of files broke', { error });
      }
    }
  }
}
