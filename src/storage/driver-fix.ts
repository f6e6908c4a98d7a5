/**
 * A fault of the MongoDB driver (7.9 has it still), mended from outside. When a write to a socket returns false the
 * driver waits for `drain`; but Node also returns false for a socket that has just been destroyed, and that one never
 * drains. An operation that is caught there waits for ever. When it is the monitor's, the database counts as out of
 * reach until the process ends, however long it has been back.
 */
import { createRequire } from 'node:module';

interface DriverConnection {
  error: Error | null;
  once(event: 'close', listener: () => void): void;
  off(event: 'close', listener: () => void): void;
  writeCommand: WriteCommand;
}

type WriteCommand = (this: DriverConnection, command: unknown, options: unknown) => Promise<void>;

/** Marks a class that is mended already. */
const MENDED = Symbol('mended');

/** Lets a write end with its connection, in every connection of this process. Safe to call twice. */
export function mendDriver(): void {
  // The copy that mongoose uses.
  const fromMongoose = createRequire(createRequire(import.meta.url).resolve('mongoose'));
  const { Connection } = fromMongoose('mongodb/lib/cmap/connection.js') as {
    Connection: { prototype: DriverConnection & { [MENDED]?: true } };
  };
  const { prototype } = Connection;
  if (prototype[MENDED]) return;
  prototype[MENDED] = true;
  const write = prototype.writeCommand;
  prototype.writeCommand = async function (command, options) {
    let onClose = (): void => {};
    const closed = new Promise<never>((_, reject) => {
      onClose = () => reject(this.error ?? new Error('The connection to the database closed'));
    });
    this.once('close', onClose);
    try {
      await Promise.race([write.call(this, command, options), closed]);
    } finally {
      this.off('close', onClose);
    }
  };
}
