/** How reports and daily figures are stored. */
import { Schema, type Connection, type Model, type Types } from 'mongoose';
import type { ModelUsage } from '../ai/index.ts';
import type { ReportActionName, ReportedMessage, ReportReasonName } from './shapes.ts';

type ObjectId = Types.ObjectId;

export interface ReportRecord {
  /** Follows from reporter and message. */
  _id: ObjectId;
  state: 'open' | 'resolved';
  reporterId: ObjectId;
  reason: ReportReasonName;
  comment?: string;
  /** As it was. */
  message: ReportedMessage;
  createdAt: Date;
  resolution?: { action: ReportActionName; note?: string; by: ObjectId; at: Date };
  /** A resolved one is not kept for ever. */
  purgeAt?: Date;
}

export interface DayRecord {
  /** As 2026-01-31. */
  _id: string;
  /** Counted as they come. */
  messages: number;
  /** What is added when the day is over. */
  closed?: { activeUsers: number; newUsers: number; ai: ModelUsage[] };
}

/** One person was there on one day. */
export interface ActiveRecord {
  /** `<day>:<userId>` */
  _id: string;
  day: string;
  purgeAt: Date;
}

/** Open sockets of one node. */
export interface ConnectionsRecord {
  /** The node's id. */
  _id: string;
  count: number;
}

/** What something took when it was last measured. */
export interface SizeRecord {
  _id: string;
  bytes: number;
}

export interface AdminModels {
  sizes: Model<SizeRecord>;
  reports: Model<ReportRecord>;
  days: Model<DayRecord>;
  actives: Model<ActiveRecord>;
  connections: Model<ConnectionsRecord>;
}

export function createAdminModels(connection: Connection): AdminModels {
  const { ObjectId, Mixed } = Schema.Types;
  const report = new Schema<ReportRecord>(
    {
      state: { type: String, required: true },
      reporterId: { type: ObjectId, required: true },
      reason: { type: String, required: true },
      comment: String,
      message: { type: Mixed, required: true },
      createdAt: { type: Date, required: true },
      resolution: Mixed,
      purgeAt: Date,
    },
    { versionKey: false },
  );
  report.index({ state: 1, createdAt: -1, _id: -1 }, { name: 'state_newest' });
  report.index({ reporterId: 1 }, { name: 'reporter' });
  report.index({ purgeAt: 1 }, { name: 'purge', expireAfterSeconds: 0 });

  const day = new Schema<DayRecord>(
    { _id: String, messages: { type: Number, required: true }, closed: Mixed },
    { versionKey: false },
  );

  const active = new Schema<ActiveRecord>(
    { _id: String, day: { type: String, required: true }, purgeAt: { type: Date, required: true } },
    { versionKey: false },
  );
  active.index({ day: 1 }, { name: 'day' });
  active.index({ purgeAt: 1 }, { name: 'purge', expireAfterSeconds: 0 });

  const connections = new Schema<ConnectionsRecord>(
    { _id: String, count: { type: Number, required: true } },
    { versionKey: false },
  );

  const size = new Schema<SizeRecord>({ _id: String, bytes: { type: Number, required: true } }, { versionKey: false });

  return {
    sizes: connection.model<SizeRecord>('Size', size, 'sizes'),
    reports: connection.model<ReportRecord>('Report', report, 'reports'),
    days: connection.model<DayRecord>('DayFigures', day, 'dayFigures'),
    actives: connection.model<ActiveRecord>('ActiveDay', active, 'activeDays'),
    connections: connection.model<ConnectionsRecord>('NodeConnections', connections, 'nodeConnections'),
  };
}
