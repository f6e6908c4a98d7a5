/** Takes an upload in: reserves its space, stores its bytes while they come, and finds out what they are. */
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { Types } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import {
  atMost,
  isImageType,
  tooLarge,
  TYPE_BYTES,
  withHead,
  type IncomingFile,
  type MediaInspector,
} from '../uploads/index.ts';
import type { AttachmentStore } from './attachment-store.ts';
import { blobKeyOf, type AttachmentFacts, type AttachmentKind, type StoredAttachment } from './model.ts';

/** Where the size of nearly every picture is found; else the whole picture is read. */
export const HEAD_BYTES = 256 * 1_024;
const UNKNOWN = 'application/octet-stream';
/** Stored as unknown, so that nothing can be talked into showing it as a document. */
const DOCUMENTS = /html|xml|svg|script/;

const MOST_BYTES: Record<AttachmentKind, number> = {
  image: LIMITS.imageBytes,
  voice: LIMITS.voiceBytes,
  file: LIMITS.fileBytes,
};

/** An upload whose bytes are stored, before it is known what becomes of it. */
export interface Arrived {
  id: Types.ObjectId;
  /** As the content says. */
  type: string | undefined;
  head: Uint8Array;
  sizeBytes: number;
  digest: string;
}

export interface IntakeDeps {
  store: AttachmentStore;
  blobs: Blobs;
  inspector: MediaInspector;
}

export class Intake {
  readonly #store: AttachmentStore;
  readonly #blobs: Blobs;
  readonly #inspector: MediaInspector;

  constructor({ store, blobs, inspector }: IntakeDeps) {
    this.#store = store;
    this.#blobs = blobs;
    this.#inspector = inspector;
  }

  /** Stores the content; what is clearly not of the kind is refused before. */
  async store(userId: string, file: IncomingFile, kind: AttachmentKind | undefined): Promise<Arrived> {
    const mostBytes = MOST_BYTES[kind ?? 'file'];
    const id = await this.#store.reserve(userId, file.name, Math.min(mostBytes, file.formBytes ?? mostBytes));
    try {
      const { head, content } = await withHead(file.content, HEAD_BYTES);
      const type = await this.#inspector.typeOf(head.subarray(0, TYPE_BYTES));
      if (kind === 'image' && !isImageType(type)) throw notOf(kind);
      if (kind === 'voice' && !isSound(type)) throw notOf(kind);
      const hash = createHash('sha256');
      const counted = async function* (): AsyncGenerator<Uint8Array> {
        for await (const chunk of atMost(content, mostBytes)) {
          hash.update(chunk);
          yield chunk;
        }
      };
      const { sizeBytes } = await this.#blobs.put(blobKeyOf(id), counted(), {
        contentType: UNKNOWN,
        signal: file.signal,
      });
      return { id, type, head, sizeBytes, digest: hash.digest('base64url') };
    } catch (error) {
      await this.#store.drop(id);
      throw error;
    }
  }

  /**
   * Says what it is and makes it the user's. Without a kind, a picture that may be an image is one, and everything else
   * is a file.
   */
  async finish(arrived: Arrived, kind: AttachmentKind | undefined): Promise<StoredAttachment> {
    try {
      return await this.#store.finish(arrived.id, await this.#factsOf(arrived, kind));
    } catch (error) {
      await this.#store.drop(arrived.id);
      throw error;
    }
  }

  discard({ id }: Arrived): Promise<void> {
    return this.#store.drop(id);
  }

  async #factsOf(arrived: Arrived, asked: AttachmentKind | undefined): Promise<AttachmentFacts> {
    const { type, sizeBytes, digest } = arrived;
    const kind = asked ?? (isImageType(type) && sizeBytes <= LIMITS.imageBytes ? 'image' : 'file');
    if (sizeBytes > MOST_BYTES[kind]) throw tooLarge(MOST_BYTES[kind]);
    if (kind === 'image' && isImageType(type)) {
      const picture = await this.#pictureOf(arrived);
      if (picture) return { kind, mime: type, sizeBytes, digest, ...picture };
    }
    if (kind === 'voice' && isSound(type)) {
      const sound = await this.#inspector.soundOf(type, () => this.#whole(arrived));
      if (sound?.hasAudio && !sound.hasVideo) {
        const { durationMs } = sound;
        return {
          kind,
          mime: soundTypeOf(type),
          sizeBytes,
          digest,
          ...(durationMs === undefined ? {} : { durationMs: Math.round(durationMs) }),
        };
      }
    }
    if (asked !== undefined && asked !== 'file') throw notOf(asked);
    return { kind: 'file', mime: type === undefined || DOCUMENTS.test(type) ? UNKNOWN : type, sizeBytes, digest };
  }

  async #pictureOf(arrived: Arrived): Promise<{ width: number; height: number } | undefined> {
    const { head, sizeBytes } = arrived;
    const found = await this.#inspector.pictureOf(async () => head);
    if (found || sizeBytes <= head.length) return found;
    return this.#inspector.pictureOf(() => this.#whole(arrived));
  }

  async #whole({ id }: Arrived): Promise<Uint8Array> {
    const blob = await this.#blobs.get(blobKeyOf(id));
    if (!blob) throw new Fault('unavailable', 'The upload is gone');
    return buffer(blob.body);
  }
}

/** A container that is named after video may hold sound only. */
const isSound = (type: string | undefined): type is string =>
  type !== undefined && (type.startsWith('audio/') || type === 'video/webm' || type === 'video/mp4');

const soundTypeOf = (type: string): string =>
  type === 'audio/x-m4a' ? 'audio/mp4' : type.replace(/^video\//, 'audio/');

const notOf = (kind: 'image' | 'voice'): Fault =>
  new Fault(
    'unsupported',
    kind === 'image'
      ? 'An image is a PNG, JPEG, GIF, WebP or AVIF file'
      : 'A voice message is a sound file that can be read',
  );
