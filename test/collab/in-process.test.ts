/** A few seeds of thousands of edits each, in one process. */
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { openDocumentWorld } from '../support/documents.ts';
import { runInProcess } from './in-process.ts';

const SEEDS = Number(process.env['DOCUMENT_FUZZ_SEEDS'] ?? 2);
const EDITS = 3_000;
const TIMEOUT_MS = 60_000 + SEEDS * 20_000;

test(
  'editors on three nodes whose bus loses what it is told end up the same as the log',
  { timeout: TIMEOUT_MS },
  async () => {
    await using world = await openDocumentWorld(3);
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { problems, saved, rows } = await runInProcess(world, seed, EDITS);
      expect(problems, `seed ${seed}`).toEqual([]);
      expect(saved).toBeGreaterThan(50);
      // So many that snapshots were made meanwhile.
      expect(rows).toBeGreaterThan(LIMITS.documentTailRows);
    }
  },
);
