import { LARGEST_DOCUMENT } from '../store/store.ts';
import { ANY_FIELDS, type Commands } from './command.ts';

/** The version that drivers and tools see: what is spoken here is a subset of it. */
const VERSION = [7, 0, 0, 0];
const WIRE_VERSION = 21;
/** The largest message accepted, which clients are told. */
export const LARGEST_MESSAGE = 48_000_000;

const hello = () => ({
  helloOk: true,
  isWritablePrimary: true,
  ismaster: true,
  maxBsonObjectSize: LARGEST_DOCUMENT,
  maxMessageSizeBytes: LARGEST_MESSAGE,
  maxWriteBatchSize: 100_000,
  logicalSessionTimeoutMinutes: 30,
  minWireVersion: 0,
  maxWireVersion: WIRE_VERSION,
  ok: 1,
});

/** What clients ask about the server itself. */
export const serverCommands: Commands = {
  hello: { fields: ANY_FIELDS, run: hello },
  ismaster: { fields: ANY_FIELDS, run: hello },
  // Indexes lie in the same file.
  dbstats: { fields: '', run: ({ store }) => ({ storageSize: store.sizeBytes, indexSize: 0, ok: 1 }) },
  ping: { fields: '', run: () => ({ ok: 1 }) },
  buildinfo: { fields: '', run: () => ({ version: VERSION.slice(0, 3).join('.'), versionArray: VERSION, ok: 1 }) },
  endsessions: { fields: '', run: () => ({ ok: 1 }) },
};
