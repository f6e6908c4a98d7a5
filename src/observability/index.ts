/** What the server tells about itself: lines for people, figures for machines, rows for whoever must answer later. */
export type { Audit, AuditEntry } from './audit.ts';
export { createAudit, createAuditModel, type AuditQuery, type AuditRecord, type AuditStore } from './audit-store.ts';
export { createLog, type LogLevel, type LogOptions, type OpenLog } from './winston-log.ts';
export { createErrorHook, type ErrorHook, type ErrorHookOptions } from './error-hook.ts';
export type { Log, LogFields } from './log.ts';
export { createMetrics, type Count, type Metrics } from './metrics.ts';
export { truncateIp } from './truncate-ip.ts';
