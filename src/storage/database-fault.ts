/** What an error of the driver means for whoever asked. */
import { mongo } from 'mongoose';
import { Fault } from '../protocol/index.ts';

/** Labels of answers that say "not now": a primary that stepped down, a server that stops. */
const PASSING_LABELS = ['RetryableError', 'RetryableWriteError'];

/** The database cannot be asked now, or its answer was lost. */
export const unreachable = (cause: unknown): Fault =>
  new Fault('unavailable', 'The database is out of reach; the outcome is unknown', { cause, retryAfterMs: 1_000 });

/** `unavailable` for an error that says that the database is away, which is no bug; any other as it is. */
export function explainDatabase(error: unknown): unknown {
  return isAway(error) ? unreachable(error) : error;
}

function isAway(error: unknown): boolean {
  if (!(error instanceof mongo.MongoError)) return false;
  const isConnection = [
    mongo.MongoNetworkError,
    mongo.MongoServerSelectionError,
    mongo.MongoNotConnectedError,
    mongo.MongoTopologyClosedError,
    mongo.MongoWriteConcernError,
  ].some((kind) => error instanceof kind);
  return isConnection || PASSING_LABELS.some((label) => error.hasErrorLabel(label));
}
