import { UUID } from 'bson';
import type { Doc } from '../bson/values.ts';
import { ANY_FIELDS, refuseTransaction } from './common.ts';
import type { Command, Commands, Reply } from './context.ts';

/** The version that drivers and tools see: what is spoken here is a subset of it. */
const VERSION = [7, 0, 0, 0];
const WIRE_VERSION = 21;
const LARGEST_DOCUMENT = 16 * 1024 * 1024;
/** The largest message accepted, which clients are told. */
export const LARGEST_MESSAGE = 48_000_000;

function hello(): Reply {
  return {
    helloOk: true,
    isWritablePrimary: true,
    ismaster: true,
    maxBsonObjectSize: LARGEST_DOCUMENT,
    maxMessageSizeBytes: LARGEST_MESSAGE,
    maxWriteBatchSize: 100_000,
    localTime: new Date(),
    logicalSessionTimeoutMinutes: 30,
    minWireVersion: 0,
    maxWireVersion: WIRE_VERSION,
    readOnly: false,
    ok: 1,
  };
}

/** A command that always gives the same answer. */
function answer(reply: Doc, fields = ''): Command {
  return { fields, run: () => ({ ...reply, ok: 1 }) };
}

/** What clients ask about the server itself. */
export const serverCommands: Commands = {
  hello: { fields: ANY_FIELDS, run: hello },
  ismaster: { fields: ANY_FIELDS, run: hello },
  ping: answer({}),
  buildinfo: answer({
    version: VERSION.slice(0, 3).join('.'),
    versionArray: VERSION,
    gitVersion: 'embedded',
    modules: [],
    maxBsonObjectSize: LARGEST_DOCUMENT,
  }),
  connectionstatus: answer({ authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] } }, 'showPrivileges'),
  startsession: { fields: '', run: () => ({ id: { id: new UUID() }, timeoutMinutes: 30, ok: 1 }) },
  endsessions: answer({}),
  refreshsessions: answer({}),
  aborttransaction: { fields: 'recoveryToken', run: refuseTransaction },
  committransaction: { fields: 'recoveryToken', run: refuseTransaction },
};
