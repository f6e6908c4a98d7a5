/** States of documents as bytes: what text they have, and what a change of the disk makes of them. */
import * as Y from 'yjs';
import { CONTENT, splice, type TextSplice } from '../documents/index.ts';

/** Runs with a Y.Doc of the state, which is gone afterwards. */
function withDoc<T>(state: Uint8Array, run: (doc: Y.Doc) => T): T {
  const doc = new Y.Doc();
  try {
    Y.applyUpdate(doc, state);
    return run(doc);
  } finally {
    doc.destroy();
  }
}

export const textOfState = (state: Uint8Array): string => withDoc(state, (doc) => doc.getText(CONTENT).toJSON());

export interface ShadowEdit {
  /** The state after it. */
  state: Uint8Array;
  /** What it adds to the state before. */
  update: Uint8Array;
  /** Under which it was made. */
  client: number;
}

/**
 * Splices of the state's text, made under `client`, or under a new id. An id may be used again only on a state that has
 * everything that was ever made under it.
 */
export function editState(state: Uint8Array, splices: readonly TextSplice[], client: number | undefined): ShadowEdit {
  return withDoc(state, (doc) => {
    const before = Y.encodeStateVector(doc);
    const known = Y.decodeStateVector(before);
    // After everything was applied: Yjs takes an id that comes with an update for a clash.
    if (client !== undefined) doc.clientID = client;
    else while (known.has(doc.clientID)) doc.clientID = new Y.Doc().clientID;
    doc.transact(() => splice(doc.getText(CONTENT), splices));
    return {
      state: Y.encodeStateAsUpdate(doc),
      update: Y.encodeStateAsUpdate(doc, before),
      client: doc.clientID,
    };
  });
}

/** Whether a state has everything that another has of one client. */
export function hasAllOf(client: number, state: Uint8Array, other: Uint8Array): boolean {
  const clockIn = (update: Uint8Array): number => Y.parseUpdateMeta(update).to.get(client) ?? 0;
  return clockIn(state) >= clockIn(other);
}

/** UTF-8 bytes of the text that two states have together. */
export const bytesTogether = (state: Uint8Array, update: Uint8Array): number =>
  withDoc(state, (doc) => {
    Y.applyUpdate(doc, update);
    return Buffer.byteLength(doc.getText(CONTENT).toJSON());
  });
