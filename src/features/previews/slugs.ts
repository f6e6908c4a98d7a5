/** Which project a preview's name stands for. A project gets its name when it is first asked for, and keeps it. */
import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { Types, type Model } from 'mongoose';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import type { PreviewRecord } from './model.ts';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const LENGTH = 16;
const REMEMBERED = 10_000;

export class Slugs {
  readonly #previews: Model<PreviewRecord>;
  /** Names never change hands, so what was found once holds; whether the project is still there others ask. */
  readonly #projects = new LRUCache<string, string>({ max: REMEMBERED });

  constructor(previews: Model<PreviewRecord>) {
    this.#previews = previews;
  }

  async of(projectId: string): Promise<string> {
    const _id = new Types.ObjectId(projectId);
    for (;;) {
      try {
        const found = await this.#previews.collection.findOneAndUpdate(
          { _id },
          { $setOnInsert: { slug: newSlug() } },
          { upsert: true, returnDocument: 'after' },
        );
        if (found) return (found as unknown as PreviewRecord).slug;
      } catch (error) {
        // Somebody asked for the first time in the same moment, or the name is taken.
        if (duplicateIndexOf(error) === undefined) throw error;
      }
    }
  }

  async projectOf(slug: string): Promise<string | undefined> {
    const known = this.#projects.get(slug);
    if (known !== undefined) return known;
    const found = await this.#previews.collection.findOne<PreviewRecord>({ slug });
    const projectId = found?._id.toHexString();
    if (projectId !== undefined) this.#projects.set(slug, projectId);
    return projectId;
  }

  async forget(projectId: string): Promise<void> {
    await this.#previews.collection.deleteOne({ _id: new Types.ObjectId(projectId) });
    for (const [slug, known] of this.#projects.entries()) if (known === projectId) this.#projects.delete(slug);
  }
}

const newSlug = (): string => Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
