/** What a backup holds. A collection that nobody names here is in it. */
import { CHAT_BACKUP } from './features/chat/index.ts';
import type { DumpPlan } from './storage/backup/index.ts';

export const BACKUP_PLAN: DumpPlan = {
  leftOut: new Set([
    // Its version is in the manifest.
    'schema',
    // Who runs now, and what tells this deployment from others on one Redis: a copy is another one.
    'nodes',
    'nodeConnections',
    'deployment',
    // A session that was revoked after the backup must not come back; everybody signs in again.
    'sessions',
    'retiredTokens',
    'devices',
    // They end with their sessions.
    'pushSubscriptions',
    // One that was revoked after the backup must not come back.
    'projectInvites',
    // What a sandbox's disk has is not known to the copy: it is compared with it as if it were new.
    'workspaces',
    // Codes and counters that end within a day.
    'phones',
    'otpTallies',
    'lockouts',
  ]),
  // Leases are in it: their fences stand in documents, and must go on above those.
  // A project that is read has its owner's membership.
  // No file is ahead of its tree; what a change still needs (documents, texts that wait for theirs) is read after it.
  // So is the version that a file's row says, and after that the content that the version names.
  first: [...CHAT_BACKUP.first, 'projects', 'projectMembers', 'files', 'filetrees', 'fileversions', 'filecontents'],
  orders: CHAT_BACKUP.orders,
};
