/** When people were last there, kept for those who are not. */
import { Schema, Types, type Connection, type Model } from 'mongoose';

interface SeenRecord {
  _id: Types.ObjectId;
  lastSeen: Date;
}

export class LastSeen {
  readonly #model: Model<SeenRecord>;
  /** Departures that wait for their write. */
  readonly #noted = new Map<string, Date>();
  #writing: Promise<void> | undefined;

  constructor(connection: Connection) {
    const schema = new Schema<SeenRecord>({ lastSeen: { type: Date, required: true } }, { versionKey: false });
    this.#model = connection.model<SeenRecord>('Seen', schema, 'seen');
  }

  /** By user, as times of the wire; those who never left are left out. */
  async of(userIds: readonly string[]): Promise<Map<string, string>> {
    if (userIds.length === 0) return new Map();
    const rows = await this.#model.collection
      .find<SeenRecord>({ _id: { $in: userIds.map((id) => new Types.ObjectId(id)) } })
      .toArray();
    return new Map(rows.map((row) => [row._id.toHexString(), row.lastSeen.toISOString()]));
  }

  async forget(userId: string): Promise<void> {
    this.#noted.delete(userId);
    await this.#writing?.catch(() => {});
    await this.#model.collection.deleteOne({ _id: new Types.ObjectId(userId) });
  }

  /** The users' last connections have ended. Those of one turn, and of the time that a write takes, are written together. */
  async note(userIds: readonly string[], at: Date): Promise<void> {
    for (const userId of userIds) this.#noted.set(userId, at);
    this.#writing ??= this.#write();
    await this.#writing;
  }

  async #write(): Promise<void> {
    try {
      await new Promise((resolve) => setImmediate(resolve));
      while (this.#noted.size > 0) {
        const noted = [...this.#noted];
        this.#noted.clear();
        await this.#model.collection.bulkWrite(
          noted.map(([userId, at]) => ({
            updateOne: {
              filter: { _id: new Types.ObjectId(userId) },
              update: { $max: { lastSeen: at } },
              upsert: true,
            },
          })),
          { ordered: false },
        );
      }
    } finally {
      this.#writing = undefined;
    }
  }
}
