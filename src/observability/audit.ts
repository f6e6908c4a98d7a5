import type { Origin } from '../protocol/index.ts';

/** One thing that somebody did and that must be answerable for later. Append-only. */
export interface AuditEntry {
  /** As `auth.login`, `auth.refresh-reuse`, `chat.create`. */
  action: string;
  /** Who did it; undefined where nobody is signed in. */
  userId?: string;
  projectId?: string;
  /** What it was done to. */
  target?: string;
  ok: boolean;
  origin?: Origin;
  /** Small, without secrets. */
  detail?: Record<string, string | number | boolean>;
}

export interface Audit {
  /** Written in the background; a failure is logged and never fails what was done. */
  record(entry: AuditEntry): void;
  /** Resolves when everything recorded so far is stored. */
  flush(): Promise<void>;
}
