/** What a Yjs document holds, compared with what the server has. */
import * as Y from 'yjs';

export const isEmpty = (doc: Y.Doc): boolean => doc.store.clients.size === 0;

/** Whether something waits for what should have come before it. */
export const hasHoles = (doc: Y.Doc): boolean => doc.store.pendingStructs !== null || doc.store.pendingDs !== null;

/** Whether it holds insertions that are not in `stateVector`. */
export function aheadOf(doc: Y.Doc, stateVector: Uint8Array): boolean {
  const theirs = Y.decodeStateVector(stateVector);
  for (const client of doc.store.clients.keys()) {
    if (Y.getState(doc.store, client) > (theirs.get(client) ?? 0)) return true;
  }
  return false;
}

/** Whether it has deleted something that is not deleted by `updates`, which the server has: they carry all its deletions. */
export function lacksDeletions(doc: Y.Doc, updates: readonly Uint8Array[]): boolean {
  const theirs = Y.mergeDeleteSets(updates.map((update) => Y.decodeUpdate(update).ds));
  return !Y.equalDeleteSets(Y.createDeleteSetFromStructStore(doc.store), theirs);
}
