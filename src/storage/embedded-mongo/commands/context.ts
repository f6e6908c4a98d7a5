import type { Doc } from '../bson/values.ts';
import type { Store } from '../store/store.ts';
import type { Cursors, CursorReply } from './cursors.ts';

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

/** A command, with what every command needs read already. */
export interface Call extends Request {
  db: string;
  /** The namespace `db.collection`, where the command names a collection. */
  ns: string;
  /** Values of `let`. */
  vars: Doc | undefined;
}

export type Reply = Doc | CursorReply;

/** A command and the fields it understands beyond those common to all commands; others are refused. */
export interface Command {
  fields: string;
  run(context: Context, call: Call): Reply | Promise<Reply>;
}

/** Commands by lower-case name. */
export type Commands = Readonly<Record<string, Command>>;
