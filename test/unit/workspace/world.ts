/** A project and a disk: real Y.Docs and a real directory, and what is stored around them, which survives a crash. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as Y from 'yjs';
import { TextDiffer } from '../../../src/features/documents/text-differ.ts';
import { seedUpdate } from '../../../src/features/documents/seed.ts';
import {
  Workspace,
  type BaseHead,
  type BaseRecord,
  type BaseStore,
  type BlobContent,
  type Blobs,
  type LeftOut,
  type LiveTexts,
  type ProjectFile,
  type ProjectFiles,
  type WorkspaceDisk,
} from '../../../src/features/workspace/index.ts';
import { Fault } from '../../../src/protocol/index.ts';
import { isExcluded } from '../../../src/sandbox/disk/excluded.ts';
import { directoryDisk } from '../../support/disks.ts';
import { silentLog } from '../../support/log.ts';

/** Thrown by the action that a crash comes after or before, and by all that follow. */
export class Crash extends Error {}

/** Counts durable actions; one of them may be the last. */
export class Fuse {
  count = 0;
  /** What was done, in order. */
  readonly names: string[] = [];
  #at: number | undefined;
  #isBurnt = false;

  /** The action of this number (from 1 on) is done, and nothing after it. 0: none is. */
  burnAfter(count: number | undefined): void {
    this.count = 0;
    this.names.length = 0;
    this.#at = count;
    this.#isBurnt = count === 0;
  }

  get isBurnt(): boolean {
    return this.#isBurnt;
  }

  assertWhole(): void {
    if (this.#isBurnt) throw new Crash();
  }

  did(name: string): void {
    this.names.push(name);
    this.#isBurnt ||= ++this.count === this.#at;
    this.assertWhole();
  }
}

/** Methods that change something durable. */
const DURABLE = new Set([
  'begin', 'save', 'remove', 'merge', 'createText', 'createBlob', 'becomeBlob', 'move', 'put', 'keep',
  'stage', 'replace', 'place', 'take', 'putBack', 'forget',
]); // prettier-ignore

/** The same, with a crash after one of its actions. */
function fused<T extends object>(port: T, fuse: Fuse): T {
  return new Proxy(port, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => unknown;
      if (!DURABLE.has(String(name))) {
        return (...args: unknown[]) => {
          fuse.assertWhole();
          return method(...args);
        };
      }
      return async (...args: unknown[]) => {
        fuse.assertWhole();
        const result = await method(...args);
        fuse.did(String(name));
        return result;
      };
    },
  });
}

class MemoryStore implements BaseStore {
  readonly rows = new Map<string, BaseRecord>();
  #mark: string | undefined;

  async mark(): Promise<string | undefined> {
    return this.#mark;
  }

  async begin(mark: string): Promise<void> {
    this.rows.clear();
    this.#mark = mark;
  }

  async heads(): Promise<BaseHead[]> {
    return [...this.rows.values()].map(({ fileId, path, kind, hash, step }) => ({
      fileId,
      path,
      kind,
      hash,
      step: step.kind,
    }));
  }

  async load(fileId: string): Promise<BaseRecord | undefined> {
    return structuredClone(this.rows.get(fileId));
  }

  async save(record: BaseRecord): Promise<BaseRecord> {
    if ((this.rows.get(record.fileId)?.rev ?? 0) !== record.rev) throw new Fault('conflict', 'Not the last one');
    const next = structuredClone({ ...record, rev: record.rev + 1 });
    this.rows.set(record.fileId, next);
    return structuredClone(next);
  }

  async remove(fileId: string): Promise<void> {
    this.rows.delete(fileId);
  }
}

/** The project's side: its files, their documents and blobs. */
export class Project implements ProjectFiles, LiveTexts, Blobs {
  readonly files = new Map<string, ProjectFile>();
  readonly docs = new Map<string, Y.Doc>();
  readonly versions = new Map<string, Buffer[]>();
  readonly kept = new Map<string, Buffer[]>();

  async list(): Promise<ProjectFile[]> {
    return structuredClone([...this.files.values()]);
  }

  async createText(file: { fileId: string; path: string }, state: Uint8Array): Promise<boolean> {
    if (this.#isTaken(file)) return false;
    if (!this.files.has(file.fileId)) this.files.set(file.fileId, { ...file, kind: 'text' });
    const doc = this.docs.get(file.fileId) ?? new Y.Doc();
    this.docs.set(file.fileId, doc);
    Y.applyUpdate(doc, state);
    return true;
  }

  async createBlob({ fileId, path }: { fileId: string; path: string }, content: BlobContent): Promise<boolean> {
    if (this.#isTaken({ fileId, path })) return false;
    if (this.files.has(fileId)) return true;
    this.versions.set(fileId, [await gathered(content)]);
    this.files.set(fileId, { fileId, path, kind: 'blob' });
    return true;
  }

  async becomeBlob(fileId: string): Promise<void> {
    const file = this.files.get(fileId);
    if (file?.kind !== 'text') return;
    this.files.set(fileId, { ...file, kind: 'blob' });
    this.kept.set(fileId, [...(this.kept.get(fileId) ?? []), Buffer.from(this.text(fileId))]);
  }

  async move(fileId: string, path: string): Promise<boolean> {
    const file = this.files.get(fileId);
    if (!file || this.#isTaken({ fileId, path })) return false;
    this.files.set(fileId, { ...file, path });
    return true;
  }

  async remove(fileId: string): Promise<void> {
    this.files.delete(fileId);
    this.docs.delete(fileId);
  }

  async state(fileId: string): Promise<Uint8Array> {
    return Y.encodeStateAsUpdate(this.#doc(fileId));
  }

  async merge(fileId: string, update: Uint8Array): Promise<void> {
    Y.applyUpdate(this.#doc(fileId), update);
  }

  async current(fileId: string): Promise<string | undefined> {
    const bytes = this.versions.get(fileId)?.at(-1);
    return bytes && createHash('sha256').update(bytes).digest('hex');
  }

  async *content(fileId: string): AsyncIterable<Uint8Array> {
    yield this.versions.get(fileId)?.at(-1) ?? Buffer.alloc(0);
  }

  async put(fileId: string, content: BlobContent): Promise<string> {
    this.versions.set(fileId, [...(this.versions.get(fileId) ?? []), await gathered(content)]);
    return (await this.current(fileId)) ?? '';
  }

  async keep(fileId: string, content: BlobContent): Promise<void> {
    this.kept.set(fileId, [...(this.kept.get(fileId) ?? []), await gathered(content)]);
  }

  /** By a member. */
  add(path: string, text: string): string {
    const fileId = newHex();
    this.files.set(fileId, { fileId, path, kind: 'text' });
    const doc = new Y.Doc();
    Y.applyUpdate(doc, seedUpdate(fileId, text).bytes);
    this.docs.set(fileId, doc);
    return fileId;
  }

  /** By somebody in an editor, whose changes come as updates, as they all do. */
  edit(fileId: string, change: (text: Y.Text) => void): void {
    const [doc, editor] = [this.#doc(fileId), new Y.Doc()];
    Y.applyUpdate(editor, Y.encodeStateAsUpdate(doc));
    change(editor.getText('content'));
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(editor, Y.encodeStateVector(doc)));
    editor.destroy();
  }

  text(fileId: string): string {
    return this.#doc(fileId).getText('content').toJSON();
  }

  at(path: string): ProjectFile | undefined {
    return [...this.files.values()].find((file) => file.path === path);
  }

  textAt(path: string): string | undefined {
    const file = this.at(path);
    return file && this.text(file.fileId);
  }

  #isTaken({ fileId, path }: { fileId: string; path: string }): boolean {
    const other = this.at(path);
    return other !== undefined && other.fileId !== fileId;
  }

  #doc(fileId: string): Y.Doc {
    const doc = this.docs.get(fileId);
    if (!doc) throw new Fault('not_found', 'There is no such document');
    return doc;
  }
}

async function gathered({ bytes }: BlobContent): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

let ids = 0;
const newHex = (): string => (++ids).toString(16).padStart(24, '0');

export interface World extends AsyncDisposable {
  readonly directory: string;
  readonly project: Project;
  readonly rows: Map<string, BaseRecord>;
  readonly fuse: Fuse;
  readonly disk: WorkspaceDisk;
  /** The workspace as it is now. */
  readonly workspace: Workspace;
  readonly leftOut: Map<string, LeftOut>;
  readonly failures: unknown[];
  /** Called before the disk swaps files: what another program does at that moment. */
  beforeSwap: (path: string) => Promise<void>;
  /** A new workspace on what is stored. The former one is closed. */
  restart(): Promise<void>;
  /** Tells of everything, and waits until nothing is left to do; `late`: and so long that files are gone for good. */
  settle(options?: { late?: boolean }): Promise<void>;
  /** The time for new names is over. */
  passTime(): void;
  readonly path: (path: string) => string;
  /** What is synchronised: paths and bytes. */
  files(): Promise<Map<string, string>>;
}

export async function openWorld(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'atelier-workspace-'));
  const [project, store, fuse] = [new Project(), new MemoryStore(), new Fuse()];
  const differ = new TextDiffer(silentLog);
  const disk = directoryDisk(directory);
  const racing: WorkspaceDisk = new Proxy(disk, {
    get(target, name) {
      const value = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      if (name !== 'replace') return value.bind(target);
      return async (id: string, path: string) => {
        await world.beforeSwap(path);
        return target.replace(id, path);
      };
    },
  });
  const waits = new Set<() => void>();
  const make = (): Workspace =>
    new Workspace({
      disk: fused(racing, fuse),
      live: fused<LiveTexts>(project, fuse),
      files: fused<ProjectFiles>(project, fuse),
      blobs: fused<Blobs>(project, fuse),
      store: fused<BaseStore>(store, fuse),
      differ,
      newFileId: newHex,
      newId: newHex,
      onLeftOut: (path, reason) => world.leftOut.set(path, reason),
      onFailed: (error) => {
        if (!(error instanceof Crash)) world.failures.push(error);
      },
      after: (_ms, callback) => {
        waits.add(callback);
        return () => void waits.delete(callback);
      },
    });
  let workspace = make();
  const world: World = {
    directory,
    project,
    rows: store.rows,
    fuse,
    disk,
    get workspace() {
      return workspace;
    },
    leftOut: new Map(),
    failures: [],
    beforeSwap: async () => {},
    async restart() {
      await workspace.close();
      waits.clear();
      workspace = make();
      try {
        await workspace.open();
      } catch (error) {
        if (!(error instanceof Crash)) throw error;
      }
      await workspace.idle();
    },
    async settle({ late = false } = {}) {
      const look = async (): Promise<void> => {
        workspace.treeChanged();
        workspace.rescan();
        for (const fileId of project.files.keys()) workspace.liveChanged(fileId);
        await workspace.idle();
      };
      await look();
      if (!late) return;
      while (waits.size > 0 && !fuse.isBurnt) {
        world.passTime();
        await workspace.idle();
        await look();
      }
    },
    passTime() {
      const all = [...waits];
      waits.clear();
      for (const callback of all) callback();
    },
    path: (path) => join(directory, path),
    async files() {
      const entries = await readdir(directory, { recursive: true, withFileTypes: true });
      const paths = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
        .filter((path) => !isExcluded(path));
      const pairs = paths.map(async (path) => [path, await readFile(join(directory, path), 'utf8')] as const);
      return new Map(await Promise.all(pairs));
    },
    async [Symbol.asyncDispose]() {
      fuse.burnAfter(undefined);
      await workspace.close();
      await differ.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return world;
}
