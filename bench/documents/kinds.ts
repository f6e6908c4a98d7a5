/** The servers, in the order in which they take their turns. */
import { atelier, atelierEach, atelierYjs } from './atelier.ts';
import { hocuspocus, yWebsocket } from './peers.ts';
import type { SystemKind } from './systems.ts';

export const KINDS: readonly SystemKind[] = [hocuspocus, yWebsocket, atelier, atelierYjs];
/** Where it matters how many messages there are. */
export const SENDING_KINDS: readonly SystemKind[] = [...KINDS, atelierEach];
/** Those that know more than one node. */
export const NODE_KINDS: readonly SystemKind[] = [hocuspocus, atelier, atelierYjs];
