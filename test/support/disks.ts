/** Both forms of a workspace's disk. */
import { LIMITS } from '../../src/protocol/index.ts';
import { createDirectoryDisk } from '../../src/sandbox/disk/directory-disk.ts';
import type { WorkspaceDisk } from '../../src/sandbox/disk/workspace-disk.ts';

export const directoryDisk = (directory: string, mostBytes: number = LIMITS.projectFileBytes): WorkspaceDisk =>
  createDirectoryDisk({ directory, textBytes: LIMITS.documentTextBytes, mostBytes });
