import { isDoc, type Doc } from '../bson/values.ts';
import { fail, refuse } from '../errors.ts';

/** Fields that any command may carry and that need no action here. */
const COMMON = new Set(
  '$db $readPreference $clusterTime lsid txnNumber autocommit startTransaction comment maxTimeMS readConcern writeConcern collation apiVersion apiStrict apiDeprecationErrors'.split(
    ' ',
  ),
);

/** Of the handshake: a client tells what it likes, and newer clients tell more. */
export const ANY_FIELDS = '*';

/** Checks what all commands have in common, and that the command has no field that would be ignored silently. */
export function checkCommand(name: string, command: Doc, fields: string): void {
  const own = new Set(fields.split(' '));
  for (const [key, value] of Object.entries(command)) {
    if (key === name || COMMON.has(key) || own.has(key) || fields === ANY_FIELDS) continue;
    if (value !== undefined && value !== null && value !== false) refuse(`the option '${key}' of ${name}`);
  }
  if (command['startTransaction'] !== undefined || command['autocommit'] === false) refuseTransaction();
  checkCollation(command['collation']);
  const { writeConcern, readConcern } = command;
  const w = isDoc(writeConcern) ? writeConcern['w'] : undefined;
  if (typeof w === 'number' && w > 1) fail(2, "cannot use 'w' > 1 when a host is not replicated");
  if (typeof w === 'string' && w !== 'majority') fail(79, `No write concern mode named '${w}' found`);
  if (isDoc(readConcern) && readConcern['level'] === 'snapshot') refuse("read concern 'snapshot'");
}

/** Throws for a collation other than the binary one. */
export function checkCollation(collation: unknown): void {
  if (isDoc(collation) && collation['locale'] !== 'simple') refuse('collation');
}

/** Throws MongoDB's error for transactions on a standalone server. */
export function refuseTransaction(): never {
  return fail(
    20,
    'Transaction numbers are only allowed on a replica set member or mongos: the embedded store has no transactions',
  );
}
