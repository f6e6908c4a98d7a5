import { isDoc, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';
import type { Store } from '../store/store.ts';
import type { CursorReply, Cursors } from './cursors.ts';

/** What commands work on. */
export interface Context {
  store: Store;
  cursors: Cursors;
}

/** A command as it came in. */
export interface Request {
  command: Doc;
  /** Lists of documents sent beside the command, as BSON. */
  sequences: ReadonlyMap<string, Buffer[]>;
}

/** A command that has been checked for what all commands have in common. */
export interface Call extends Request {
  db: string;
  /** The namespace `db.collection`, where the command names a collection. */
  ns: string;
}

/** An answer; only that of a cursor has a `batch`. */
export type Reply = Doc | CursorReply;

/** A command and the fields it understands beyond those common to all commands; others are refused. */
export interface Command {
  fields: string;
  run(context: Context, call: Call): Reply | Promise<Reply>;
}

/** Commands by lower-case name. */
export type Commands = Readonly<Record<string, Command>>;

/** Fields that any command may carry and that need no action here. */
const COMMON = '$db $readPreference $clusterTime lsid comment maxTimeMS readConcern writeConcern'.split(' ');
/** Of the handshake: a client tells what it likes, and newer clients tell more. */
export const ANY_FIELDS = '*';

/** Reads a command; throws if it has a field that would be ignored silently. */
export function readCall(name: string, { command, sequences }: Request, fields: string): Call {
  if (command['startTransaction'] || command['txnNumber'] !== undefined) {
    fail(20, 'Transaction numbers are only allowed on a replica set member or mongos');
  }
  if (fields !== ANY_FIELDS) refuseOthers(`the command ${name}`, command, [name, ...COMMON, ...fields.split(' ')]);
  const { writeConcern, readConcern } = command;
  const w = isDoc(writeConcern) ? (writeConcern['w'] ?? 1) : 1;
  if (w !== 0 && w !== 1 && w !== 'majority') fail(2, 'cannot use this w when a host is not replicated');
  if (isDoc(readConcern) && readConcern['level'] === 'snapshot') refuse("read concern 'snapshot'");
  const db = typeof command['$db'] === 'string' ? command['$db'] : 'admin';
  return { command, sequences, db, ns: typeof command[name] === 'string' ? `${db}.${command[name]}` : db };
}

/** Refuses options that are not known, unless they are off. */
export function refuseOthers(of: string, options: Doc, known: readonly string[]): void {
  const other = Object.keys(options).find((name) => !known.includes(name) && options[name]);
  if (other !== undefined) refuse(`the option '${other}' of ${of}`);
}
