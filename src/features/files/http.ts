/** What of files only HTTP can do: contents that come and go as streams, one by one or a whole project at once. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Router, type Request, type Response } from 'express';
import { Types } from 'mongoose';
import { z } from 'zod';
import type { Limits } from '../../cluster/limits.ts';
import { ClientId, Fault, Id, LIMITS, type RateClass, type Session } from '../../protocol/index.ts';
import { derivedId } from '../chat/index.ts';
import { receiveFile, serveBlob, type SignedAddresses } from '../uploads/index.ts';
import type { Arrivals, Arrived } from './arrivals.ts';
import { nameOf, type BlobReading } from './blob-reading.ts';
import type { VersionStore } from './blob-versions.ts';
import type { ContentStore } from './content-store.ts';
import { isPacked, presentationOf } from './content-type.ts';
import { found } from './file-changes.ts';
import { notFound, type FileAccess, type ProjectAccess } from './file-access.ts';
import type { Importing } from './importing.ts';
import type { FileModels, FileRecord } from './model.ts';
import type { Placing } from './placing.ts';
import type { PlannedUploads } from './planned-uploads.ts';
import type { Quota } from './quota.ts';
import { FilePath } from './shapes.ts';
import type { Snapshots } from './snapshots.ts';
import type { Spool, Spooled } from './spool.ts';
import { toFile } from './views.ts';
import type { ProjectContents } from './project-contents.ts';
import { openArchive } from './zip-in.ts';
import { createArchive, type FileToArchive } from './zip-out.ts';

/** What the REST side lends to a feature's own routes. */
export interface RouteTools {
  /** The signed-in caller, who pays a point of the rate. Rejects with `unauthenticated`. */
  session: (request: Request, response: Response, rate: RateClass) => Promise<Session>;
  /** Sends data in the envelope. */
  answer: (response: Response, data: unknown) => void;
}

export interface FileRoutesDeps {
  models: FileModels;
  access: FileAccess;
  projects: ProjectAccess;
  quota: Quota;
  contents: ContentStore;
  versions: VersionStore;
  arrivals: Arrivals;
  placing: Placing;
  planned: PlannedUploads;
  importing: Importing;
  reading: BlobReading;
  snapshots: Snapshots;
  spool: Spool;
  downloads: SignedAddresses;
  uploads: SignedAddresses;
  snapshotFiles: SignedAddresses;
  texts: (fileIds: readonly string[]) => Promise<Map<string, string>>;
  projectContents: ProjectContents;
  /** All files of a project at one moment. */
  rows: (projectId: string) => Promise<FileRecord[]>;
  limits: Pick<Limits, 'take'>;
}

const Signed = z.object({ expires: z.string(), signature: z.string() });

export function createFileRoutes(deps: FileRoutesDeps): (tools: RouteTools) => Router {
  const { models, access, projects, quota, contents, versions, arrivals, placing, planned, importing } = deps;
  const { reading, snapshots, spool, downloads, uploads, snapshotFiles, texts, projectContents, rows, limits } = deps;

  return ({ session, answer }) => {
    const router = Router();

    router.post('/api/projects/:projectId/files/upload', async (request, response) => {
      const { userId } = await session(request, response, 'uploads');
      const projectId = await projectOf(request, userId, 'write');
      const ownerId = await quota.ownerOf(projectId);
      const { stored, fields } = await receiveFile<{ arrived: Arrived; name: string }>(request, response, {
        maxBytes: LIMITS.fileBytes,
        store: async ({ name, content, formBytes, signal }) => ({
          arrived: await arrivals.take(ownerId, content, {
            mostBytes: LIMITS.fileBytes,
            expectedBytes: formBytes,
            signal,
          }),
          name,
        }),
        discard: ({ arrived }) => arrivals.discard([arrived]),
      });
      const { arrived, name } = stored;
      let path: string;
      let clientId: string | undefined;
      try {
        path = pathOf(request.query['path'] ?? fields['path'] ?? name);
        clientId = clientIdOf(request.query['clientId'] ?? fields['clientId']);
      } catch (error) {
        await arrivals.discard([arrived]);
        throw error;
      }
      const id = clientId === undefined ? new Types.ObjectId() : derivedId(userId, 'file:upload', projectId, clientId);
      const [file] = await placing.place(new Types.ObjectId(projectId), userId, [{ id, path, arrived }]);
      answer(response, { file: toFile(found(file)) });
    });

    router.put('/api/uploads/:uploadId', async (request, response) => {
      const uploadId = Id.safeParse(request.params.uploadId).data ?? '';
      const signed = Signed.safeParse(request.query).data;
      limits.take('uploads', request.ip ?? '');
      if (!signed || !uploads.isGood(signed, uploadId)) {
        throw new Fault('forbidden', 'The address is not good, or not any more');
      }
      const file = await whileHere(request, (signal) =>
        // One that gives up must not destroy the connection, which carries the answer.
        planned.receive(
          uploadId,
          { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) },
          signal,
        ),
      );
      answer(response, { file: toFile(file) });
    });

    router.get('/api/files/:fileId/content', async (request, response) => {
      const fileId = Id.safeParse(request.params.fileId).data ?? '';
      const { versionId: asked, download } = request.query;
      const versionId = asked === undefined ? undefined : (Id.safeParse(asked).data ?? '');
      const signed = Signed.safeParse(request.query).data;
      if (signed && versionId !== undefined && downloads.isGood(signed, fileId, versionId)) {
        limits.take('downloads', request.ip ?? '');
        const file = await models.files.findOne({ _id: new Types.ObjectId(fileId), deletedAt: { $exists: false } });
        return serve(request, response, found(file), { versionId, download });
      }
      const { userId } = await session(request, response, 'downloads');
      if (fileId === '') throw notFound();
      const { file } = await access.byId(fileId, userId, 'read');
      return serve(request, response, file, { versionId, download });
    });

    router.get('/api/projects/:projectId/zip', async (request, response) => {
      const { userId } = await session(request, response, 'downloads');
      const projectId = await projectOf(request, userId, 'read');
      const all = await rows(projectId);
      response.set({
        'Content-Type': 'application/zip',
        'Content-Disposition': `attachment; filename="project-${projectId}.zip"`,
        'X-Content-Type-Options': 'nosniff',
        'Cache-Control': 'private, no-store, no-transform',
      });
      if (request.method === 'HEAD') {
        response.end();
        return;
      }
      const check = (): Promise<unknown> => projects.require(projectId, userId, 'read');
      // Whoever leaves ends it; what breaks in the middle breaks the connection, so that no part passes for the whole.
      await pipeline(createArchive(filesToArchive(all, check)), response).catch((error: unknown) => {
        if (!response.headersSent) throw error;
      });
    });

    router.post('/api/projects/:projectId/zip', async (request, response) => {
      const { userId } = await session(request, response, 'uploads');
      const projectId = await projectOf(request, userId, 'write');
      const spooled = await receiveArchive(request, response);
      try {
        const archive = await openArchive(spooled.path);
        try {
          const files = await whileHere(response, (signal) => importing.import(projectId, userId, archive, signal));
          answer(response, { files: files.map(toFile) });
        } finally {
          await archive.close();
        }
      } finally {
        await spooled.remove();
      }
    });

    router.get('/api/projects/:projectId/snapshot/content', async (request, response) => {
      const query = z.object({ userId: Id, path: z.string() }).safeParse(request.query).data;
      const projectId = Id.safeParse(request.params.projectId).data ?? '';
      const signed = Signed.safeParse(request.query).data;
      limits.take('downloads', request.ip ?? '');
      if (!query || !signed || !snapshotFiles.isGood(signed, query.userId, projectId, query.path)) {
        throw new Fault('forbidden', 'The address is not good, or not any more');
      }
      const { path, digest, ...file } = await snapshots.file(projectId, query.userId, query.path);
      await serveBlob(request, response, { ...file, name: nameOf(path), etag: digest, missing: notFound });
    });

    return router;
  };

  async function projectOf(request: Request, userId: string, may: 'read' | 'write'): Promise<string> {
    const projectId = Id.safeParse(request.params['projectId']).data;
    if (projectId === undefined) throw new Fault('not_found', 'There is no such project');
    await projects.require(projectId, userId, may);
    return projectId;
  }

  async function serve(
    request: Request,
    response: Response,
    file: FileRecord,
    { versionId, download }: { versionId: string | undefined; download: unknown },
  ): Promise<void> {
    const presentation = presentationOf(file.path, file.kind);
    const disposition = download === undefined ? presentation.disposition : 'attachment';
    const how = { contentType: presentation.contentType, disposition, name: nameOf(file.path), missing: notFound };
    if (file.kind === 'text') {
      if (versionId !== undefined) throw notFound();
      const fileId = file._id.toHexString();
      const text = (await texts([fileId])).get(fileId);
      if (text === undefined) throw notFound();
      const bytes = Buffer.from(text);
      return serveBlob(request, response, {
        ...how,
        sizeBytes: bytes.length,
        etag: digestOf(bytes),
        open: async (range) => Readable.from([bytes.subarray(range?.start, range?.end)]),
      });
    }
    const version =
      versionId === undefined
        ? await reading.present(file)
        : await versions.find(file._id, versionId, file.version ?? 0);
    return serveBlob(request, response, {
      ...how,
      sizeBytes: version.sizeBytes,
      etag: version.digest,
      open: (range) => contents.body(version.contentId, range),
    });
  }

  async function* filesToArchive(
    all: readonly FileRecord[],
    check: () => Promise<unknown>,
  ): AsyncGenerator<FileToArchive> {
    for await (const { file, open } of projectContents.read(all, check)) {
      const { path, updatedAt: modifiedAt, kind } = file;
      yield { path, modifiedAt, isPacked: kind === 'blob' && isPacked(path), open };
    }
  }

  async function receiveArchive(request: Request, response: Response): Promise<Spooled> {
    const maxBytes = LIMITS.zipBytes;
    if (request.is('application/zip')) {
      const content = { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) };
      return whileHere(request, (signal) => spool.keep(content, { maxBytes, signal }));
    }
    const { stored } = await receiveFile<Spooled>(request, response, {
      maxBytes,
      store: ({ content, signal }) => spool.keep(content, { maxBytes, signal }),
      discard: (spooled) => spooled.remove(),
    });
    return stored;
  }
}

/** Its signal aborts when the other side goes before it is done. */
async function whileHere<T>(stream: Request | Response, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const gone = new AbortController();
  const onClose = (): void => {
    const isDone = 'complete' in stream ? stream.complete : stream.writableFinished;
    if (!isDone) gone.abort(new Fault('unavailable', 'The client is gone'));
  };
  stream.once('close', onClose);
  try {
    return await work(gone.signal);
  } finally {
    stream.off('close', onClose);
  }
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('base64url');

function pathOf(value: unknown): string {
  const path = FilePath.safeParse(value);
  if (path.success) return path.data;
  const message = path.error.issues[0]?.message ?? 'must be a path';
  throw new Fault('invalid', 'The path cannot be used', { detail: [{ path: 'path', message }] });
}

function clientIdOf(value: unknown): string | undefined {
  const clientId = ClientId.optional().safeParse(value);
  if (clientId.success) return clientId.data;
  throw new Fault('invalid', 'The clientId cannot be used', {
    detail: [{ path: 'clientId', message: `must have 1 to ${LIMITS.clientIdLength} characters` }],
  });
}
