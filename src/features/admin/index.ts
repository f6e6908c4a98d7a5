/** Those who answer for the whole server: who they are, what is reported to them, and what they do and see. */
import type { Connection } from 'mongoose';
import type { Bus, Clock, DatabaseNodes, Jobs, Limits } from '../../cluster/index.ts';
import type { AuditStore } from '../../observability/audit-store.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, type Handlers, HOUR_MS, type Rooms, type UserContext } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { ModelUsage } from '../ai/index.ts';
import type { ChatFeature } from '../chat/index.ts';
import type { Users } from '../users/index.ts';
import type { adminContract, adminEvents } from './contract.ts';
import { Figures, type Price } from './figures.ts';
import { createAdminHandlers } from './handlers.ts';
import { createAdminModels } from './model.ts';
import { OpenConnections } from './open-connections.ts';
import { People } from './people.ts';
import { Reports } from './reports.ts';
import { Tally } from './tally.ts';
import { UploadSize } from './upload-size.ts';

export type { Price } from './figures.ts';

export interface AdminDeps {
  connection: Connection;
  users: Users;
  chat: Pick<ChatFeature, 'service' | 'moderate'>;
  rooms: Rooms<typeof adminEvents>;
  bus: Bus;
  nodes: DatabaseNodes;
  jobs: Jobs;
  limits: Limits;
  audit: AuditStore;
  log: Log;
  now: () => number;
  clock?: Clock;
  /** Lower-case: the account with this address is an administrator. */
  adminEmail: string | undefined;
  /** Ends all sessions of a user on every node; how many there were. */
  endSessions: (userId: string) => Promise<number>;
  /** What the assistants' answers that ended within a time have used. */
  aiUsage: (from: Date, to: Date) => Promise<ModelUsage[]>;
  prices: ReadonlyMap<string, Price>;
  /** Open sockets of this node. */
  connectionsHere: () => number;
  projectCount: () => Promise<number>;
  databaseBytes: () => Promise<number | undefined>;
  blobs: Pick<Blobs, 'list'>;
}

export interface Admin {
  handlers: Handlers<typeof adminContract>;
  /** Rejects with `forbidden` who is no administrator now. */
  requireAdmin(operation: string, context: UserContext): Promise<void>;
  /** Begins its jobs, and gives the role to the account that ADMIN_EMAIL names. Call it when the database has its indexes. */
  start(): Promise<void>;
  /** The account is gone. May be repeated. */
  forgetUser(userId: string): Promise<void>;
  /** Somebody is there. */
  active(userId: string): void;
  /** A message was stored by this node. */
  posted(): void;
  close(): Promise<void>;
}

export function createAdmin(deps: AdminDeps): Admin {
  const { connection, users, chat, rooms, bus, nodes, jobs, limits, audit, log, now, clock, adminEmail } = deps;
  const models = createAdminModels(connection);
  const tally = new Tally({ models, log, now });
  const figures = new Figures({
    models,
    directory: users.directory,
    aiUsage: deps.aiUsage,
    prices: deps.prices,
    now,
  });
  const connections = new OpenConnections({
    model: models.connections,
    nodes,
    alone: bus.alone,
    here: deps.connectionsHere,
    log,
    ...(clock ? { clock } : {}),
  });
  const uploads = new UploadSize({ blobs: deps.blobs, sizes: models.sizes, jobs, now });
  const reports = new Reports({ model: models.reports, chat: chat.service, limits, now });
  jobs.every('figures', HOUR_MS, async ({ signal }) => {
    await uploads.refresh();
    await figures.closeDays(signal);
  });

  return {
    handlers: createAdminHandlers({
      users,
      people: new People({ users, endSessions: deps.endSessions, adminEmail, now }),
      reports,
      figures,
      tally,
      connections,
      moderate: chat.moderate,
      projectCount: deps.projectCount,
      storage: async () => ({
        databaseBytes: (await deps.databaseBytes()) ?? null,
        uploadBytes: (await uploads.read()) ?? null,
      }),
      rooms,
      audit,
      now,
    }),

    async requireAdmin(operation, { session, origin }) {
      if (await users.standing.isAdmin(session.userId)) return;
      audit.record({ action: 'admin.refused', userId: session.userId, target: operation, ok: false, origin });
      throw new Fault('forbidden', 'This is for administrators of the server');
    },

    async start() {
      await uploads.refresh();
      if (adminEmail === undefined) return;
      const userId = await users.standing.grantByEmail(adminEmail);
      if (userId === undefined) return;
      log.warn('An account is now an administrator, because ADMIN_EMAIL names it', { userId });
      audit.record({
        action: 'admin.set-role',
        target: userId,
        ok: true,
        detail: { role: 'admin', by: 'ADMIN_EMAIL' },
      });
    },

    forgetUser: (userId) => reports.forgetUser(userId),
    active: (userId) => tally.active(userId),
    posted: () => tally.message(),
    async close() {
      await connections.close();
      await tally.close();
    },
  };
}
