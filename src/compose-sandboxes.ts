/** Builds what runs in projects' sandboxes, and wires it: their terminals, their files, runs of code, packages, ports. */
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Connection } from 'mongoose';
import { createTunnels, type Cluster, type NodeCalls, type PulledStreams } from './cluster/index.ts';
import type { Config } from './config/index.ts';
import { createCode, type CodeFeature } from './features/code/index.ts';
import type { DocumentMirror } from './features/documents/index.ts';
import type { Files } from './features/files/index.ts';
import { createPackages, hostRegistries, registriesOf } from './features/packages/index.ts';
import { createPreviews, type Previews } from './features/previews/index.ts';
import type { Grant, May, ProjectsFeature } from './features/projects/index.ts';
import type { AtelierEvents } from './features/registry.ts';
import {
  createSandboxes,
  type RunningSandbox,
  type SandboxesFeature,
  type SandboxPart,
} from './features/sandboxes/index.ts';
import { createTerminals, type OwnedTerminals, type TerminalsFeature } from './features/terminals/index.ts';
import {
  createBaseStore,
  createWorkspaceModels,
  createWorkspacePart,
  removeBases,
} from './features/workspace/index.ts';
import type { AuditStore, Log } from './observability/index.ts';
import { DAY_MS, Fault, LIMITS, projectRoom, type Rooms } from './protocol/index.ts';
import type { SandboxDriver } from './sandbox/driver.ts';
import { watchPorts, type PortWatch } from './sandbox/port-watch.ts';
import { createSandboxDisk } from './sandbox/sandbox-disk.ts';
import type { Blobs } from './storage/blobs/index.ts';

export interface SandboxFeatureParts {
  config: Config;
  connection: Connection;
  cluster: Cluster;
  calls: NodeCalls;
  /** What can flood, between nodes. */
  streams: PulledStreams;
  driver: SandboxDriver | { off: string };
  /** Of this machine. */
  hostId: string;
  rooms: Rooms<AtelierEvents>;
  projects: Pick<ProjectsFeature, 'require' | 'ownerOf' | 'onAccessChanged'>;
  files: Pick<Files, 'contents' | 'mirror' | 'onTreeChanged'>;
  documents: DocumentMirror;
  blobs: Blobs;
  /** Whether nobody has had an account for longer. */
  isFirstAccount: (userId: string) => Promise<boolean>;
  /** Whom git names in what somebody commits. */
  authorOf: (userId: string) => Promise<{ name: string; email: string }>;
  isLiveSession: (sessionId: string) => Promise<boolean>;
  /** What addresses and passes are signed with; keys of their own are derived from it. */
  secret: string;
  audit: AuditStore;
  log: Log;
  now: () => number;
  onEnd: (end: () => Promise<void> | void) => void;
}

/** What each sandbox that runs on this node has. */
interface Parts extends Record<string, SandboxPart> {
  terminals: SandboxPart & { owned: OwnedTerminals };
  workspace: SandboxPart;
  packages: SandboxPart;
  ports: SandboxPart & { watch: PortWatch | undefined };
}

export interface SandboxFeatures {
  handlers: SandboxesFeature<Parts>['handlers'] & CodeFeature['handlers'] & TerminalsFeature['handlers'];
  terminals: Pick<TerminalsFeature, 'routes' | 'disconnected' | 'watched'>;
  previews: Pick<Previews, 'listen' | 'recheck'>;
  /** Removes what is kept of a project that is gone for good. */
  forgetProject(projectId: string): Promise<void>;
  start(): Promise<void>;
}

const MIB = 1_048_576;

export function composeSandboxes(deps: SandboxFeatureParts): SandboxFeatures {
  const { config, connection, cluster, calls, driver, hostId, rooms, projects, files } = deps;
  const { blobs, secret, audit, log, now, onEnd } = deps;
  const { nodes, leases, bus, limits } = cluster;
  const { streams } = deps;

  const packages = lazily(async () =>
    createPackages({
      cacheDir: join(config.sandboxDir, 'packages'),
      registries: config.sandboxRegistry
        ? registriesOf(config.sandboxRegistry)
        : await hostRegistries(process.env, log),
      audit,
      log,
      now,
    }),
  );
  onEnd(async () => (await packages.made)?.close());

  const terminals: TerminalsFeature = createTerminals({
    rooms,
    bus,
    streams,
    nodeId: nodes.id,
    onNodeDeath: (listener) => nodes.onDeath(listener),
    projects: {
      require: requireUse,
      onAccessChanged: (listener) => projects.onAccessChanged(listener),
    },
    async ownerOf(projectId, { start }) {
      const place = start ? await sandboxes.use(projectId) : await sandboxes.find(projectId);
      if (!place) return undefined;
      if (place.kind === 'there') return terminals.ownerOn(place.nodeId, projectId);
      return place.running.parts.terminals.owned.owner;
    },
    authorOf: deps.authorOf,
    blobs,
    limits,
    secret,
    log,
    now,
  });
  onEnd(() => terminals.close());

  const workspaces = { models: createWorkspaceModels(connection), blobs };
  const makeWorkspace = createWorkspacePart({
    openDisk: async ({ sandbox }) =>
      createSandboxDisk({
        streams: sandbox.link.streams,
        helper: { argv: sandbox.asUser(sandbox.helpers.files), env: { ...sandbox.env }, cwd: sandbox.workDir },
        directory: sandbox.workDir,
        log,
      }),
    storeOf: (projectId) => createBaseStore({ ...workspaces, projectId }),
    files,
    documents: deps.documents,
    bus,
    onNodeDeath: (listener) => nodes.onDeath(listener),
    rooms,
    log,
  });

  const sandboxes: SandboxesFeature<Parts> = createSandboxes<Parts>({
    connection,
    driver,
    hostId,
    nodes,
    leases,
    calls,
    rooms,
    projects,
    blobs,
    ownerOf: (projectId) => projects.ownerOf(projectId),
    isTrusted: deps.isFirstAccount,
    async makeParts(running) {
      const { projectId, sandbox } = running;
      // What may fail comes first: nothing else has to be taken back then.
      const workspace = await makeWorkspace(running);
      const owned = terminals.own(projectId, sandbox, () => running.awake());
      return {
        terminals: {
          owned,
          isBusy: () => owned.isWatched(),
          close: (how) => owned.close(how === 'left' ? 'moved' : 'lost'),
        },
        workspace,
        packages: packagesOf(running),
        ports: portsOf(running),
      };
    },
    portsOf: ({ ports }) => ports.watch?.ports() ?? [],
    previewUrl: async (projectId, port, session) => previews.previewUrl(projectId, port, session),
    limits: {
      project: {
        memoryBytes: config.sandboxMemoryMib * MIB,
        cpus: config.sandboxCpus,
        processes: LIMITS.sandboxProcesses,
        volumeBytes: config.sandboxVolumeMib * MIB,
        perUser: config.sandboxPerUser,
      },
      run: {
        memoryBytes: LIMITS.runMemoryMib * MIB,
        cpus: 0.5,
        processes: LIMITS.runProcesses,
        volumeBytes: LIMITS.runFilesBytes,
        perUser: config.sandboxPerUser,
      },
    },
    perHost: config.sandboxPerHost,
    warm: config.sandboxWarm,
    idleMs: config.sandboxIdleMinutes * 60_000,
    unusedVolumeMs: config.sandboxVolumeDays * DAY_MS,
    audit,
    log,
    now,
  });
  onEnd(() => sandboxes.close());

  const previews = createPreviews({
    connection,
    previewUrl: config.previewUrl,
    secret,
    connect: (projectId, port, signal) => connectTo(projectId, port, signal),
    isLive: deps.isLiveSession,
    requireMember: (projectId, userId) => sandboxes.require(projectId, userId, 'read'),
    log,
    now,
  });
  onEnd(() => previews.close());
  onEnd(
    projects.onAccessChanged(({ projectId, userIds }) => {
      void previews.recheck(
        (pass) => pass.projectId === projectId && (userIds === undefined || userIds.includes(pass.userId)),
      );
    }),
  );

  const code = createCode({
    connection,
    calls,
    rooms,
    nodeId: nodes.id,
    sandboxes: {
      require: (projectId, userId, may) => sandboxes.require(projectId, userId, may),
      requireUse: (userId) => sandboxes.requireUse(userId),
      async nodeOf(projectId) {
        const place = await sandboxes.use(projectId);
        return place.kind === 'here' ? nodes.id : place.nodeId;
      },
      async here(projectId) {
        const place = await sandboxes.use(projectId);
        if (place.kind === 'there') return undefined;
        return { sandbox: place.running.sandbox, done: place.running.hold() };
      },
      takeRun: (projectId, ownerId) => sandboxes.takeRun(projectId, ownerId),
      endRun: (sandbox) => sandboxes.endRun(sandbox),
    },
    async *filesOf(projectId, userId) {
      const check = (): Promise<void> => sandboxes.require(projectId, userId, 'read');
      for await (const { file, open } of files.contents(projectId, check)) {
        yield { path: file.path, sizeBytes: file.sizeBytes, open };
      }
    },
    audit,
    log,
    now,
  });
  onEnd(() => code.close());

  const tunnels = createTunnels({ streams, nodeId: nodes.id });
  onEnd(() => tunnels.close());
  onEnd(tunnels.serve('sandbox-port', (request, signal) => portHere(request as PortRequest, signal)));

  /** As `sandboxes.require`, with what the project allows. */
  async function requireUse(projectId: string, userId: string, may: May): Promise<Grant> {
    const grant = await projects.require(projectId, userId, may);
    await sandboxes.requireUse(userId);
    return grant;
  }

  /** To a port of a sandbox that runs on whatever node; undefined where it does not run. */
  async function connectTo(projectId: string, port: number, signal: AbortSignal): Promise<Duplex | undefined> {
    const place = await sandboxes.find(projectId);
    if (!place) return undefined;
    const request: PortRequest = { projectId, port };
    return place.kind === 'here'
      ? portHere(request, signal)
      : tunnels.open(place.nodeId, 'sandbox-port', request, signal);
  }

  async function portHere({ projectId, port }: PortRequest, signal: AbortSignal): Promise<Duplex> {
    const place = await sandboxes.find(projectId);
    if (place?.kind !== 'here') throw new Fault('unavailable', 'The sandbox does not run here');
    const { running } = place;
    await running.awake();
    const connection = await running.sandbox.link.streams.connect(port, signal);
    // Whoever has a page open, with hot reload, uses the sandbox.
    connection.once('close', running.hold());
    return connection;
  }

  function packagesOf(running: RunningSandbox): SandboxPart {
    const { projectId, sandbox } = running;
    const stops = (['npm', 'pip'] as const).map((listener) =>
      sandbox.link.streams.accept(listener, (stream) => {
        running.touch();
        packages().then(
          (served) => served.serve(listener, stream, { projectId }),
          (error: unknown) => {
            log.error('packages cannot be served', { error });
            stream.destroy();
          },
        );
      }),
    );
    return {
      async close() {
        for (const stop of stops) stop();
      },
    };
  }

  function portsOf({ projectId, sandbox }: RunningSandbox): Parts['ports'] {
    const { ports: argv } = sandbox.helpers;
    if (!argv) return { watch: undefined, close: async () => {} };
    const room = projectRoom(projectId);
    const watch = watchPorts({
      streams: sandbox.link.streams,
      command: { argv: sandbox.asUser(argv), env: { ...sandbox.env }, cwd: sandbox.homeDir },
      opened: (port) => rooms.emit(room, 'sandbox:port-opened', { projectId, port }),
      closed: (port) => rooms.emit(room, 'sandbox:port-closed', { projectId, port }),
      log,
      now: () => performance.now(),
    });
    return { watch, close: async () => watch.close() };
  }

  return {
    handlers: { ...sandboxes.handlers, ...terminals.handlers, ...code.handlers },
    terminals,
    previews,
    async forgetProject(projectId) {
      await sandboxes.forgetProject(projectId);
      await terminals.removeOfProject(projectId);
      await previews.forgetProject(projectId);
      await removeBases(workspaces, projectId);
    },
    start: () => sandboxes.start(),
  };
}

interface PortRequest {
  projectId: string;
  port: number;
}

/** Made when it is first asked for; a failure is forgotten, so that the next one tries again. */
function lazily<T>(make: () => Promise<T>): (() => Promise<T>) & { readonly made: Promise<T | undefined> } {
  let making: Promise<T> | undefined;
  const get = (): Promise<T> =>
    (making ??= make().catch((error: unknown) => {
      making = undefined;
      throw error;
    }));
  return Object.defineProperty(get, 'made', {
    get: () => making?.catch(() => undefined) ?? Promise.resolve(undefined),
  }) as never;
}
