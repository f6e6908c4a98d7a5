import { Mongoose, type Connection } from 'mongoose';

/** The connection that all models are made on. Models never use mongoose's global one. */
export interface Database {
  readonly connection: Connection;
  /** Whether the engine runs inside this process (no `MONGODB_URI`). */
  readonly embedded: boolean;
  /** Whether the database answers now. */
  ping(): Promise<boolean>;
  /** Settles when the embedded engine has died by itself: the process cannot go on. */
  readonly failed: Promise<Error>;
  close(): Promise<void>;
}

export type { Connection };
export { Mongoose };
