import { readCall, type Commands, type Context, type Reply, type Request } from './commands/command.ts';
import { Cursors } from './commands/cursors.ts';
import { find } from './commands/matching.ts';
import { readCommands } from './commands/read.ts';
import { schemaCommands } from './commands/schema.ts';
import { serverCommands } from './commands/server.ts';
import { writeCommands } from './commands/write.ts';
import { errorReply, fail, MongoError } from './errors.ts';
import { docOf } from './store/scan.ts';
import { Store } from './store/store.ts';

/** How often expired documents are removed, unless told otherwise; MongoDB's own pace. */
const TTL_SECONDS = 60;
/** Documents removed in one transaction, so that writers do not wait long. */
const TTL_BATCH = 500;

const COMMANDS: Commands = { ...serverCommands, ...schemaCommands, ...readCommands, ...writeCommands };

/** Is told of errors that are bugs or failures of the machine; clients see only that something failed. */
export type OnError = (error: unknown, during: string) => void;

/** How an engine is set up. */
export interface EngineOptions {
  /** The directory that holds the database. */
  path: string;
  /** Whether an answer to a write waits for the disk; off only for tests that need no durability. */
  sync?: boolean | undefined;
  /** Pause between removals of expired documents. */
  ttlSeconds?: number | undefined;
  onError?: OnError | undefined;
}

/** Runs MongoDB commands on a directory. */
export interface Engine {
  /** Answers a command; never rejects. */
  run(request: Request): Promise<Reply>;
  close(): Promise<void>;
}

/** Opens a database directory. */
export function createEngine({ path, sync = true, ttlSeconds = TTL_SECONDS, onError }: EngineOptions): Engine {
  const store = new Store(path, sync);
  const context: Context = { store, cursors: new Cursors() };
  let closed = false;
  let sweeping: Promise<void> | undefined;
  const sweep = async () => {
    try {
      context.cursors.sweep(Date.now());
      store.releaseDeadReaders();
      await expire(store, () => closed);
    } catch (error) {
      onError?.(error, 'ttl');
    }
    sweeping = undefined;
  };
  const timer = setInterval(() => void (sweeping ??= sweep()), ttlSeconds * 1000);
  timer.unref();
  return {
    async run(request) {
      const [name = ''] = Object.keys(request.command);
      try {
        store.refresh();
        const key = name.toLowerCase();
        const command = Object.hasOwn(COMMANDS, key) ? COMMANDS[key] : undefined;
        if (!command) return fail(59, `no such command: '${name}'`);
        return await command.run(context, readCall(name, request, command.fields));
      } catch (error) {
        if (!(error instanceof MongoError)) onError?.(error, name);
        return errorReply(error);
      }
    },
    async close() {
      closed = true;
      clearInterval(timer);
      await sweeping;
      await store.close();
    },
  };
}

/** Removes the documents whose TTL indexes say that their time is over. */
async function expire(store: Store, stopped: () => boolean): Promise<void> {
  for (const { ns, indexes } of store.catalog.all().values()) {
    for (const { spec, fields } of indexes) {
      const [field] = fields;
      if (spec.expireAfterSeconds === undefined || !field) continue;
      const before = new Date(Date.now() - Number(spec.expireAfterSeconds) * 1000);
      const query = { filter: { [field.path]: { $lt: before } }, limit: TTL_BATCH };
      const expired = () => [...find(store, store.catalog.get(ns), query)];
      // Reads first: a sweep that finds nothing writes nothing.
      while (!stopped() && expired().length) {
        await store.write(() => {
          const collection = store.catalog.get(ns);
          if (collection) for (const row of expired()) store.remove(collection, row.idKey, docOf(row));
        });
      }
    }
  }
}
