/** The computers of projects: who may use one, where it is, and what it is given while it runs. */
import type { Connection } from 'mongoose';
import type { DatabaseNodes, Leases, NodeCalls } from '../../cluster/index.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, type Handlers, type Rooms } from '../../protocol/index.ts';
import type { Sandbox, SandboxDriver, SandboxKind, SandboxLimits } from '../../sandbox/driver.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { May, ProjectPort } from '../projects/index.ts';
import type { sandboxesContract, sandboxesEvents } from './contract.ts';
import { createSandboxHandlers, type SandboxHandlerDeps } from './handlers.ts';
import { Machine } from './machine.ts';
import { createSandboxModels } from './model.ts';
import type { RunningSandbox, SandboxPart } from './project-sandbox.ts';
import { ProjectVolumes } from './project-volumes.ts';
import { Sandboxes, type Place } from './sandboxes.ts';
import type { SandboxView } from './shapes.ts';
import { VolumeArchives } from './volume-archive.ts';
import { VolumeRoom } from './volume-room.ts';

export type { RunningSandbox, SandboxPart } from './project-sandbox.ts';
export type { Place } from './sandboxes.ts';
export { Port } from './shapes.ts';

export interface SandboxesFeatureDeps<P extends Record<string, SandboxPart>> {
  connection: Connection;
  /** Why there is none, and how to switch it on, is told to whoever asks. */
  driver: SandboxDriver | { off: string };
  /** Of the machine: its engine and its folder of sandboxes. */
  hostId: string;
  nodes: DatabaseNodes;
  leases: Leases;
  calls: NodeCalls;
  rooms: Pick<Rooms<typeof sandboxesEvents>, 'emit'>;
  projects: Pick<ProjectPort, 'require'>;
  /** For what would be lost with a volume in memory. */
  blobs: Pick<Blobs, 'put' | 'get' | 'remove' | 'list'>;
  ownerOf: (projectId: string) => Promise<string>;
  /** Programs of a driver without isolation may do all that the server may: this says for whom. */
  isTrusted: (userId: string) => Promise<boolean>;
  makeParts: (running: RunningSandbox) => Promise<P>;
  /** The address at which a member sees what listens on a port. */
  previewUrl: SandboxHandlerDeps['previewUrl'];
  /** The ports that programs listen on, as the parts know them. */
  portsOf: (parts: P) => number[];
  limits: Readonly<Record<SandboxKind, SandboxLimits & { perUser: number }>>;
  perHost: number;
  warm: number;
  idleMs: number;
  /** A volume that nobody has used for so long is archived and removed. */
  unusedVolumeMs: number;
  audit: Audit;
  log: Log;
  now: () => number;
}

export interface SandboxesFeature<P extends Record<string, SandboxPart>> {
  handlers: Handlers<typeof sandboxesContract>;
  /** Rejects as `projects.require`, also those who are no members, and where sandboxes are off. */
  require(projectId: string, userId: string, may: May): Promise<void>;
  /** Of one's own, without a project. Rejects where sandboxes are off. */
  requireUse(userId: string): Promise<void>;
  /** Where the project's sandbox runs; undefined when it does not. */
  find(projectId: string): Promise<Place<P> | undefined>;
  /** Where the project's sandbox runs; starts it where it does not. */
  use(projectId: string): Promise<Place<P>>;
  /** A sandbox that runs something and goes. Whoever takes it ends it. */
  takeRun(projectId: string | undefined, ownerId: string): Promise<Sandbox>;
  endRun(sandbox: Sandbox): Promise<void>;
  /** Removes what is kept of a project that is gone for good. */
  forgetProject(projectId: string): Promise<void>;
  /** Takes over what was left on this machine, and goes on doing so. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** How long another node may take to say how a sandbox is. */
const VIEW_MS = 5_000;

export function createSandboxes<P extends Record<string, SandboxPart>>(
  deps: SandboxesFeatureDeps<P>,
): SandboxesFeature<P> {
  const { connection, driver, nodes, calls, projects, isTrusted, portsOf, audit } = deps;
  const models = createSandboxModels(connection);
  const isGone = (nodeId: string): Promise<boolean> => nodes.isGone(nodeId);
  const mostBytes = deps.limits.project.volumeBytes;
  const archives = new VolumeArchives({ models, blobs: deps.blobs, mostBytes, log: deps.log });
  const parts = 'off' in driver ? undefined : on(driver);

  function on(driver: SandboxDriver) {
    const nodeId = nodes.id;
    const machine = new Machine({ ...deps, driver, models, nodeId, isGone });
    const removeVolume = (volume: string): Promise<void> => driver.removeVolume(volume);
    const volumes = new ProjectVolumes({ ...deps, models, nodeId, isGone, removeVolume });
    const sandboxes = new Sandboxes<P>({ ...deps, driver, machine, archives, volumes, nodeId });
    const room = new VolumeRoom({
      ...deps,
      driver,
      volumes,
      volumeBytes: mostBytes,
      giveUp: (projectId) => sandboxes.giveUpVolume(projectId),
    });
    const stops = [
      calls.serve('sandbox.start', (request) => sandboxes.useHere(idOf(request))),
      calls.serve('sandbox.stop', async (request) => {
        const { projectId, reason } = request as { projectId: string; reason: 'stopped' | 'deleted' };
        await sandboxes.stopHere(projectId, reason);
      }),
      calls.serve('sandbox.view', async (request) => viewHere(idOf(request))),
      nodes.onDeath(() => {
        sandboxes.sweep().catch((error: unknown) => deps.log.warn('leftovers could not be looked for', { error }));
      }),
    ];
    return { driver, machine, sandboxes, room, stops };
  }

  function requireOn() {
    if (!parts) throw new Fault('unavailable', 'off' in driver ? driver.off : '');
    return parts;
  }

  async function requireUse(userId: string): Promise<void> {
    const { driver } = requireOn();
    if (driver.kind === 'local' && !(await isTrusted(userId))) {
      throw new Fault('unavailable', "Programs run on the server's own machine here, for its first account only");
    }
  }

  async function requireMember(projectId: string, userId: string, may: May): Promise<void> {
    const { role } = await projects.require(projectId, userId, may);
    if (role === undefined) throw new Fault('forbidden', 'Only members of the project may do that');
  }

  function viewHere(projectId: string): SandboxView {
    const base = { projectId, isolated: true, survives: false, files: 'quota' as const, ports: [] };
    if (!parts) return { ...base, status: 'off' };
    const { driver, sandboxes } = parts;
    const running = sandboxes.here.find((one) => one.projectId === projectId);
    return {
      ...base,
      status: sandboxes.statusHere(projectId),
      driver: driver.kind,
      isolated: driver.kind !== 'local',
      survives: driver.survives,
      files: driver.volumes,
      ...(running ? { startedAt: new Date(running.startedAtMs).toISOString(), ports: portsOf(running.parts) } : {}),
    };
  }

  async function view(projectId: string): Promise<SandboxView> {
    const place = await parts?.sandboxes.find(projectId);
    if (place?.kind !== 'there') return viewHere(projectId);
    return (await calls.call(place.nodeId, 'sandbox.view', { projectId }, VIEW_MS)) as SandboxView;
  }

  return {
    requireUse,
    async require(projectId, userId, may) {
      await requireMember(projectId, userId, may);
      await requireUse(userId);
    },
    find: async (projectId) => parts?.sandboxes.find(projectId),
    use: (projectId) => requireOn().sandboxes.use(projectId),
    async takeRun(projectId, ownerId) {
      const wanted = { kind: 'run' as const, projectId, ownerId, volume: undefined, fence: 0 };
      return (await requireOn().machine.take(wanted)).sandbox;
    },
    endRun: (sandbox) => requireOn().machine.end(sandbox),
    async forgetProject(projectId) {
      await parts?.sandboxes.forget(projectId);
      await archives.forget(projectId);
    },

    async start() {
      if (!parts) return;
      await parts.sandboxes.start();
      parts.room.start();
    },

    async close() {
      if (!parts) return;
      for (const stop of parts.stops) stop();
      await parts.room.close();
      await parts.sandboxes.close();
      await parts.machine.close();
      await parts.driver.close();
    },

    handlers: createSandboxHandlers({
      async require(projectId, userId, may) {
        await requireMember(projectId, userId, may);
        if (may !== 'read') await requireUse(userId);
      },
      view,
      start: async (projectId) => void (await requireOn().sandboxes.use(projectId)),
      stop: async (projectId) => requireOn().sandboxes.stop(projectId, 'stopped'),
      async previewUrl(projectId, port, session) {
        requireOn();
        return deps.previewUrl(projectId, port, session);
      },
      audit,
    }),
  };
}

const idOf = (request: unknown): string => (request as { projectId: string }).projectId;
