/** A project on one or more nodes (a real database, documents and files) and a directory that is its sandbox's disk. */
import { directoryDisk } from '../../support/disks.ts';
import { isExcluded } from '../../../src/sandbox/disk/excluded.ts';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createJobs } from '../../../src/cluster/index.ts';
import { createFiles, type Files } from '../../../src/features/files/index.ts';
import {
  createBaseStore,
  createWorkspaceModels,
  createWorkspacePart,
  type WatchedDisk,
  type WorkspaceModels,
} from '../../../src/features/workspace/index.ts';
import type { SandboxPart } from '../../../src/features/sandboxes/index.ts';
import { ensureIndexes } from '../../../src/storage/database.ts';
import { newId, openDocumentWorld, PROJECT, type DocumentNode, type DocumentWorld } from '../../support/documents.ts';
import { silentLog as log } from '../../support/log.ts';

export const OWNER = newId();

export interface SyncedNode extends DocumentNode {
  files: Files;
}

export interface SyncedWorld extends AsyncDisposable {
  readonly nodes: readonly [SyncedNode, ...SyncedNode[]];
  readonly documents: DocumentWorld;
  readonly models: WorkspaceModels;
  readonly directory: string;
  /** Of the first node, as it is now. */
  readonly part: SandboxPart;
  /** What members were told. */
  readonly told: { path: string; reason: string }[];
  /** How often the sandbox was asked to be awake. */
  awakened: number;
  /** Whose sandbox it is from the next start on. */
  ownerId: string;
  /** The disk as it is used; a test may put something in the way of it. */
  disk: WatchedDisk;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Another directory, without anything in it. */
  replaceDirectory(): Promise<void>;
  /** The bus of the first node is back after a loss. */
  busReady(): void;
  /** What a program does, which is told. */
  write(path: string, content: string | Uint8Array): Promise<void>;
  move(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** A program has changed these. */
  changed(...paths: string[]): void;
  /** Changes were lost. */
  overflow(): void;
  read(path: string): Promise<string | undefined>;
  /** Paths and texts of the directory. */
  onDisk(): Promise<Record<string, string>>;
  /** Paths and texts of the project; of a blob its hash. */
  inProject(): Promise<Record<string, string>>;
  /** By a member, on one of the nodes. */
  create(path: string, text: string, node?: SyncedNode): Promise<string>;
  fileAt(path: string): Promise<{ fileId: string; path: string; kind: string } | undefined>;
}

export async function openSynced(count = 1): Promise<SyncedWorld> {
  const documents = await openDocumentWorld(count);
  const ends: (() => unknown)[] = [];
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-synced-'));
  const nodes = documents.nodes.map((node): SyncedNode => {
    const { connection, cluster, bus, gateway } = node;
    const files = createFiles({
      connection,
      projects: { require: async () => ({ access: 'write' }) },
      ownerOf: async () => world.ownerId,
      projectsOf: async () => [PROJECT],
      documents: node.feature,
      blobs: documents.blobs,
      secret: 'x'.repeat(32),
      dataDir,
      limits: cluster.limits,
      rooms: gateway.rooms,
      bus,
      nodes: cluster.nodes,
      jobs: createJobs({ connection, nodes: cluster.nodes, bus, log }),
      audit: { record: () => {}, flush: async () => {} },
      log,
      now: () => Date.now(),
    });
    ends.push(files.onRemoved((fileIds) => node.documents.filesRemoved(fileIds)));
    ends.push(() => files.close());
    return { ...node, files };
  });
  const [first] = nodes;
  if (!first) throw new Error('There is no node');
  const models = createWorkspaceModels(first.connection);
  await ensureIndexes(first.connection);

  const readyListeners = new Set<() => void>();
  let watcher: Parameters<WatchedDisk['watch']>[0] | undefined;
  const openDisk = (directory: string): WatchedDisk => {
    const disk = directoryDisk(directory);
    const more: Pick<WatchedDisk, 'watch' | 'close'> = {
      watch(own) {
        watcher = own;
        return () => {
          watcher = undefined;
        };
      },
      close: () => {},
    };
    return new Proxy(disk, {
      get(target, name) {
        const value: unknown = Reflect.get(more, name) ?? Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }) as WatchedDisk;
  };
  const newPart = createWorkspacePart({
    openDisk: async () => world.disk,
    storeOf: (projectId) => createBaseStore({ models, blobs: documents.blobs, projectId }),
    files: first.files,
    documents: first.feature.mirror,
    bus: {
      onReady(listener) {
        readyListeners.add(listener);
        return () => void readyListeners.delete(listener);
      },
    },
    onNodeDeath: () => () => {},
    rooms: { emit: (_room, _event, data) => void world.told.push(data) },
    log,
  });
  let directory = join(dataDir, 'work-0');
  await mkdir(directory);
  let part: SandboxPart | undefined;
  let directories = 0;
  const at = (path: string): string => join(directory, path);

  const world: SyncedWorld = {
    nodes: [first, ...nodes.slice(1)],
    documents,
    models,
    get directory() {
      return directory;
    },
    get part() {
      if (!part) throw new Error('It is not started');
      return part;
    },
    told: [],
    awakened: 0,
    ownerId: OWNER,
    disk: openDisk(directory),
    async start() {
      part = await newPart({
        projectId: PROJECT,
        ownerId: world.ownerId,
        sandbox: undefined as never,
        touch: () => {},
        awake: async () => void world.awakened++,
        hold: () => () => {},
      });
    },
    async stop() {
      await part?.close('left');
      part = undefined;
    },
    async replaceDirectory() {
      directory = join(dataDir, `work-${++directories}`);
      await mkdir(directory);
      world.disk = openDisk(directory);
    },
    busReady() {
      for (const listener of readyListeners) listener();
    },
    async write(path, content) {
      await mkdir(dirname(at(path)), { recursive: true });
      await writeFile(at(path), content);
      watcher?.changed([path]);
    },
    async move(from, to) {
      await mkdir(dirname(at(to)), { recursive: true });
      await rename(at(from), at(to));
      watcher?.changed([from, to]);
    },
    async remove(path) {
      await rm(at(path));
      watcher?.changed([path]);
    },
    changed: (...paths) => watcher?.changed(paths),
    overflow: () => watcher?.overflow(),
    read: (path) => readFile(at(path), 'utf8').catch(() => undefined),
    async onDisk() {
      const entries = await readdir(directory, { recursive: true, withFileTypes: true });
      const paths = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
        .filter((path) => !isExcluded(path));
      const pairs = paths.map(async (path) => [path, (await world.read(path)) ?? ''] as const);
      return Object.fromEntries(await Promise.all(pairs));
    },
    async inProject() {
      const pairs = (await first.files.mirror(PROJECT).list()).map(async ({ fileId, path, kind }) => {
        const text = kind === 'text' ? first.feature.text(fileId) : first.files.mirror(PROJECT).current(fileId);
        return [path, (await text) ?? ''] as const;
      });
      return Object.fromEntries(await Promise.all(pairs));
    },
    async create(path, text, node = first) {
      const [file] = await node.files.write(PROJECT, OWNER, [{ path, content: text }]);
      return file?._id.toHexString() ?? '';
    },
    async fileAt(path) {
      return (await first.files.mirror(PROJECT).list()).find((file) => file.path === path);
    },
    async [Symbol.asyncDispose]() {
      await world.stop();
      for (const end of ends.reverse()) await end();
      await documents[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return world;
}
