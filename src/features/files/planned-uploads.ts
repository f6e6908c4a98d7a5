/**
 * Uploads that clients send by themselves, to an address that is given out before: the store's own where it has such,
 * else one of this server. What has come is read again here before it is a file: nobody can change it afterwards.
 */
import { Types } from 'mongoose';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { derivedId } from '../chat/index.ts';
import type { SignedAddresses } from '../uploads/index.ts';
import type { Arrivals, Arrived } from './arrivals.ts';
import { contentKeyOf, type PlannedUpload } from './blob-model.ts';
import type { ContentStore } from './content-store.ts';
import type { FileAccess, ProjectAccess } from './file-access.ts';
import type { FileRecord } from './model.ts';
import type { Placing } from './placing.ts';
import type { Quota } from './quota.ts';

const UNKNOWN = 'application/octet-stream';

export interface PlannedUploadsDeps {
  contents: ContentStore;
  arrivals: Arrivals;
  placing: Placing;
  access: FileAccess;
  projects: ProjectAccess;
  quota: Quota;
  blobs: Blobs;
  addresses: SignedAddresses;
  now: () => number;
}

export interface UploadPlan {
  projectId: string;
  path: string;
  sizeBytes: number;
  clientId?: string | undefined;
}

export interface UploadAddress {
  uploadId: string;
  method: 'PUT';
  url: string;
  /** To be sent with it. */
  headers: Record<string, string>;
  urlExpiresAt: string;
}

export class PlannedUploads {
  readonly #deps: PlannedUploadsDeps;

  constructor(deps: PlannedUploadsDeps) {
    this.#deps = deps;
  }

  async open(userId: string, { projectId, path, sizeBytes, clientId }: UploadPlan): Promise<UploadAddress> {
    const { contents, projects, quota } = this.#deps;
    await projects.require(projectId, userId, 'write');
    const id =
      clientId === undefined ? new Types.ObjectId() : derivedId(userId, 'file:upload-url', projectId, clientId);
    const there = clientId === undefined ? null : await contents.find(id);
    if (!there) {
      const upload: PlannedUpload = {
        projectId: new Types.ObjectId(projectId),
        userId: new Types.ObjectId(userId),
        path,
        sizeBytes,
      };
      await contents.reserve(await quota.ownerOf(projectId), sizeBytes, { id, upload });
    }
    return this.#addressOf(id, there?.upload?.sizeBytes ?? sizeBytes);
  }

  /** Makes a file of what was sent to the store's own address; done already, it gives the same file. */
  async finish(userId: string, uploadId: string, signal: AbortSignal): Promise<FileRecord> {
    const { blobs, contents } = this.#deps;
    const { id, upload } = await this.#find(uploadId);
    if (upload.userId.toHexString() !== userId) throw missing();
    const done = await this.#fileOf(upload);
    if (done) return done;
    await this.#require(upload);
    const sent = blobs.urlFor && (await blobs.get(contentKeyOf(id)));
    if (!sent) throw new Fault('conflict', 'Nothing has been sent to the address yet');
    try {
      if (sent.stat.sizeBytes > upload.sizeBytes) throw tooMuch();
      // From here on its copy counts.
      await contents.free(id);
      return await this.#place(id, upload, sent.body, signal);
    } finally {
      sent.body.destroy();
    }
  }

  /** Takes what is sent to an address of this server, whose signature has been checked. */
  async receive(uploadId: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<FileRecord> {
    const { id, upload } = await this.#find(uploadId);
    const done = await this.#fileOf(upload);
    if (done) return done;
    await this.#require(upload);
    await this.#deps.contents.free(id);
    return this.#place(id, upload, body, signal);
  }

  async #place(
    id: Types.ObjectId,
    upload: PlannedUpload,
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<FileRecord> {
    const { arrivals, contents, placing, quota } = this.#deps;
    const { projectId, userId, path, sizeBytes } = upload;
    const ownerId = await quota.ownerOf(projectId.toHexString());
    const arrived: Arrived = await arrivals.take(ownerId, body, { mostBytes: sizeBytes, signal });
    const [file] = await placing.place(projectId, userId.toHexString(), [{ id, path, arrived }]);
    if (!file) throw missing();
    await contents.becomes(id, file._id);
    return file;
  }

  async #find(uploadId: string): Promise<{ id: Types.ObjectId; upload: PlannedUpload }> {
    const row = await this.#deps.contents.find(new Types.ObjectId(uploadId));
    if (!row?.upload || row.state !== 'uploading') throw missing();
    return { id: row._id, upload: row.upload };
  }

  async #fileOf({ fileId, userId }: PlannedUpload): Promise<FileRecord | undefined> {
    if (!fileId) return undefined;
    return (await this.#deps.access.byId(fileId.toHexString(), userId.toHexString(), 'read')).file;
  }

  /** They may have lost the project since. */
  async #require({ projectId, userId }: PlannedUpload): Promise<void> {
    await this.#deps.projects.require(projectId.toHexString(), userId.toHexString(), 'write');
  }

  async #addressOf(id: Types.ObjectId, sizeBytes: number): Promise<UploadAddress> {
    const { blobs, addresses, now } = this.#deps;
    const uploadId = id.toHexString();
    const how = { uploadId, method: 'PUT' as const, headers: { 'Content-Type': UNKNOWN } };
    if (!blobs.urlFor) {
      const { query, expiresAt } = addresses.sign(uploadId);
      return { ...how, url: `/api/uploads/${uploadId}?${query}`, urlExpiresAt: expiresAt };
    }
    const expiresInSeconds = LIMITS.uploadUrlMs / 1_000;
    // Signed with its size: else the address would take any number of bytes that nobody has room for.
    const options = { method: 'PUT' as const, expiresInSeconds, contentType: UNKNOWN, sizeBytes };
    const url = await blobs.urlFor(contentKeyOf(id), options);
    return { ...how, url, urlExpiresAt: new Date(now() + LIMITS.uploadUrlMs).toISOString() };
  }
}

const missing = (): Fault => new Fault('not_found', 'There is no such upload');
const tooMuch = (): Fault => new Fault('too_large', 'More was sent than was said');
