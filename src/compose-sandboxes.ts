/** Builds what runs in projects' sandboxes, and wires it: their terminals, their files, runs of code, their ports. */
import type { Connection } from 'mongoose';
import type { Cluster, NodeCalls } from './cluster/index.ts';
import type { Config } from './config/index.ts';
import { createCode, type CodeFeature } from './features/code/index.ts';
import type { Files } from './features/files/index.ts';
import type { ProjectsFeature } from './features/projects/index.ts';
import type { AtelierEvents } from './features/registry.ts';
import { createSandboxes, type SandboxesFeature, type SandboxPart } from './features/sandboxes/index.ts';
import type { AuditStore, Log } from './observability/index.ts';
import { LIMITS, type Rooms } from './protocol/index.ts';
import type { SandboxDriver } from './sandbox/driver.ts';

export interface SandboxFeatureParts {
  config: Config;
  connection: Connection;
  cluster: Cluster;
  calls: NodeCalls;
  driver: SandboxDriver | { off: string };
  /** Of this machine. */
  hostId: string;
  rooms: Rooms<AtelierEvents>;
  projects: Pick<ProjectsFeature, 'require' | 'ownerOf'>;
  files: Pick<Files, 'contents'>;
  isFirstAccount: (userId: string) => Promise<boolean>;
  audit: AuditStore;
  log: Log;
  now: () => number;
  onEnd: (end: () => Promise<void> | void) => void;
}

type Parts = Record<string, SandboxPart>;

export interface SandboxFeatures {
  handlers: SandboxesFeature<Parts>['handlers'] & CodeFeature['handlers'];
  /** Removes what is kept of a project that is gone for good. */
  forgetProject(projectId: string): Promise<void>;
  start(): Promise<void>;
}

const MIB = 1_048_576;

export function composeSandboxes(parts: SandboxFeatureParts): SandboxFeatures {
  const { config, connection, cluster, calls, driver, hostId, rooms, projects, files, audit, log, now, onEnd } = parts;
  const { nodes, leases } = cluster;
  const sandboxes = createSandboxes<Parts>({
    connection,
    driver,
    hostId,
    nodes,
    leases,
    calls,
    rooms,
    projects,
    ownerOf: (projectId) => projects.ownerOf(projectId),
    isTrusted: parts.isFirstAccount,
    makeParts: async () => ({}),
    portsOf: () => [],
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
    audit,
    log,
    now,
  });
  onEnd(() => sandboxes.close());

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
    async *filesOf(projectId) {
      for await (const { file, open } of files.contents(projectId, async () => {})) {
        yield { path: file.path, sizeBytes: file.sizeBytes, open };
      }
    },
    audit,
    log,
    now,
  });
  onEnd(() => code.close());

  return {
    handlers: { ...sandboxes.handlers, ...code.handlers },
    forgetProject: (projectId) => sandboxes.forgetProject(projectId),
    start: () => sandboxes.start(),
  };
}
