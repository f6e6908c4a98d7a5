/** Terminals in projects' sandboxes: on one node the sandbox, on any the people who watch and type. */
import type { Router } from 'express';
import type { Bus, Limits, PulledStreams } from '../../cluster/index.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, type Handlers, type Rooms } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { ProjectPort } from '../projects/index.ts';
import type { terminalsContract, terminalsEvents } from './contract.ts';
import { createHandlers } from './handlers.ts';
import { LocalOwner, type LocalOwnerDeps } from './local-owner.ts';
import type { OwnerOf, TerminalOwner } from './owner.ts';
import { Recordings } from './recordings.ts';
import { createRemoteOwners, serveOwners } from './remote-owner.ts';
import { TerminalWatches } from './terminal-watches.ts';

export type { OwnerOf, TerminalOwner } from './owner.ts';

export interface TerminalsDeps {
  rooms: Rooms<typeof terminalsEvents>;
  bus: Bus;
  streams: PulledStreams;
  /** This node among the others. */
  nodeId: string;
  /** Called with a node that has died. Returns how to stop. */
  onNodeDeath: (listener: (nodeId: string) => void) => () => void;
  projects: Pick<ProjectPort, 'require' | 'onAccessChanged'>;
  /**
   * Who has a project's sandbox: `own`'s answer on this node, `ownerOn` for another. Rejects while that is not settled:
   * it is asked again.
   */
  ownerOf: OwnerOf;
  /** Whom git names in what somebody commits. */
  authorOf: (userId: string) => Promise<{ name: string; email: string }>;
  blobs: Blobs;
  limits: Pick<Limits, 'take'>;
  /** What addresses of recordings are signed with; a key of its own is derived from it. */
  secret: string;
  log: Log;
  now: () => number;
}

/** The terminals of a sandbox that this node has. */
export interface OwnedTerminals {
  readonly owner: TerminalOwner;
  /** `moved`: viewers look for the next owner. `lost`: the sandbox and its terminals are no more. Repeatable. */
  close(how: 'moved' | 'lost'): Promise<void>;
}

export interface TerminalsFeature {
  handlers: Handlers<typeof terminalsContract>;
  /** Downloads of recordings. */
  routes: () => Router;
  /** This node has a project's sandbox from now on. */
  own(projectId: string, sandbox: LocalOwnerDeps['sandbox']): OwnedTerminals;
  /** The terminals of a project's sandbox that another node has. */
  ownerOn(nodeId: string, projectId: string): TerminalOwner;
  disconnected(connection: { id: string }): void;
  /** Removes a project's recordings. Repeatable. */
  removeOfProject(projectId: string): Promise<void>;
  /** Terminals that are watched on this node. */
  watched(): number;
  /** Lets go of sandboxes that were not closed before. */
  close(): Promise<void>;
}

export function createTerminals(deps: TerminalsDeps): TerminalsFeature {
  const { rooms, bus, streams, nodeId, projects, ownerOf, log, now } = deps;
  const recordings = new Recordings(deps);
  const owners = new Map<string, LocalOwner>();

  /** Members only, also of a public project: a terminal may show what is not in its files. */
  async function accessOf(projectId: string, userId: string): Promise<'read' | 'write'> {
    const { role, access } = await projects.require(projectId, userId, 'read');
    if (!role) throw new Fault('forbidden', 'Only its members may do that');
    return access;
  }

  const watches = new TerminalWatches({ rooms, ownerOf, nodeId, accessOf, log });
  const stops = [
    projects.onAccessChanged((change) => watches.accessChanged(change)),
    deps.onNodeDeath((deadId) => {
      for (const owner of owners.values()) owner.forgetNode(deadId);
    }),
    serveOwners({ bus, streams, nodeId }, (projectId) => owners.get(projectId)),
  ];

  return {
    handlers: createHandlers({
      watches,
      recordings,
      ownerOf,
      requireMember: accessOf,
      requireWriter: (projectId, userId) => projects.require(projectId, userId, 'write'),
      authorOf: deps.authorOf,
    }),
    routes: () => recordings.routes(),
    own(projectId, sandbox) {
      const owner = new LocalOwner({ projectId, sandbox, rooms, recordings, log, now });
      owners.set(projectId, owner);
      return {
        owner,
        async close(how) {
          if (owners.get(projectId) === owner) owners.delete(projectId);
          await owner.stop(how);
        },
      };
    },
    ownerOn: createRemoteOwners({ bus, streams }),
    disconnected: ({ id }) => watches.disconnected(id),
    removeOfProject: (projectId) => recordings.removeOfProject(projectId),
    watched: () => watches.size,
    async close() {
      for (const stop of stops) stop();
      watches.close();
      await Promise.all([...owners.values()].map((owner) => owner.stop('moved')));
    },
  };
}
