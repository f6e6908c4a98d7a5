/** Tickets that have been used: only these are kept, and no more of them than their hash. */
import { Schema, type Connection, type Model } from 'mongoose';

export interface UsedTicketRecord {
  /** A keyed hash of the ticket. */
  _id: string;
  /** Sessions have ended by then unless it is used again. */
  purgeAt: Date;
}

export function createTicketModel(connection: Connection): Model<UsedTicketRecord> {
  const schema = new Schema<UsedTicketRecord>(
    { _id: { type: String, required: true }, purgeAt: { type: Date, required: true } },
    { versionKey: false },
  );
  schema.index({ purgeAt: 1 }, { expireAfterSeconds: 0, name: 'purge' });
  return connection.model<UsedTicketRecord>('UsedTicket', schema, 'usedTickets');
}
