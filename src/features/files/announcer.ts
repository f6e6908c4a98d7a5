/** Tells of files: members of their project what has changed, every node which are gone, and who asks for it both. */
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

/** Something in a project's tree is another, and so are the contents of these blobs. */
export type TreeListener = (blobIds: readonly string[]) => void;

type RemovedListener = (fileIds: readonly string[]) => void;

/** Ids of one notice: it stays small. */
const BATCH = 1_000;

const TreeChanged = z.object({ blobIds: z.array(Id) });
const treeTopic = (projectId: string): string => `files:${projectId}`;

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
  changed({ projectId, created, replaced, converted, renamed, deleted }: FollowedChange): void {
    const { rooms } = this.#deps;
    this.removed(idsOf([...deleted, ...converted]));
    const renewed = [...replaced, ...converted];
    const count = created.length + renewed.length + renamed.length + deleted.length;
    if (count > 0) this.#treeChanged(projectId, idsOf(renewed));
    const room = projectRoom(projectId);
    if (count > LIMITS.fileEventsPerChange) {
      rooms.emit(room, 'file:tree-changed', { projectId });
      return;
    }
    for (const file of deleted) rooms.emit(room, 'file:deleted', { projectId, file: toFile(file) });
    for (const { file, oldPath } of renamed) {
      rooms.emit(room, 'file:renamed', { projectId, file: toFile(file), oldPath });
    }
    for (const file of created) rooms.emit(room, 'file:created', { projectId, file: toFile(file) });
    for (const file of renewed) this.saved(file);
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

  /** Called on this node for changes on any. One may be lost. Returns how to stop. */
  onTreeChanged(projectId: string, call: TreeListener): () => void {
    return this.#deps.bus.subscribe(treeTopic(projectId), (data) => {
      const notice = TreeChanged.safeParse(data);
      if (notice.success) call(notice.data.blobIds);
    });
  }

  close(): void {
    this.#unsubscribe();
    this.#listeners.clear();
  }

  #treeChanged(projectId: string, blobIds: readonly string[]): void {
    for (let i = 0; i === 0 || i < blobIds.length; i += BATCH) {
      this.#deps.bus.publish(treeTopic(projectId), { blobIds: blobIds.slice(i, i + BATCH) });
    }
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

const idsOf = (files: readonly FileRecord[]): string[] => files.map(({ _id }) => _id.toHexString());
