/** Pictures of people: uploaded by them, else drawn. */
import { createHash, randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Router, type Request, type Response } from 'express';
import { Types, type Connection } from 'mongoose';
import { Fault, LIMITS, type RateClass, type Session } from '../../protocol/index.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import { atMost, isImageType, receiveFile, TYPE_BYTES, type MediaInspector } from '../uploads/index.ts';
import { drawAvatar } from './avatar.ts';
import type { Profile } from './contract.ts';
import type { UserRecord } from './model.ts';

export interface Avatar {
  contentType: string;
  /** Another one whenever the picture is. */
  etag: string;
  /** The content, for who does not have it yet. */
  open(): Promise<string | Readable>;
}

/** What the REST side lends to a feature's own routes. */
interface RouteTools {
  session: (request: Request, response: Response, rate: RateClass) => Promise<Session>;
  answer: (response: Response, data: unknown) => void;
}

export interface Avatars {
  /** Undefined when there is no such user. */
  find(userId: string): Promise<Avatar | undefined>;
  /** Back to the drawn one. Also for who is no user any more. */
  remove(userId: string): Promise<void>;
  routes: (tools: RouteTools) => Router;
}

export interface AvatarsDeps {
  connection: Connection;
  blobs: Blobs;
  inspector: MediaInspector;
  profile: (userId: string) => Promise<Profile>;
  now: () => number;
}

export function createAvatars({ connection, blobs, inspector, profile, now }: AvatarsDeps): Avatars {
  const users = connection.collection<UserRecord>('users');

  /** One blob per user: whenever a crash comes, none is left that nobody knows of. */
  async function replace(userId: string, picture: Picture): Promise<void> {
    await blobs.put(keyOf(userId), picture.bytes, { contentType: picture.type });
    await users.updateOne(
      { _id: new Types.ObjectId(userId) },
      { $set: { avatarVersion: randomBytes(6).toString('base64url'), updatedAt: new Date(now()) } },
    );
  }

  async function remove(userId: string): Promise<void> {
    await users.updateOne(
      { _id: new Types.ObjectId(userId) },
      { $unset: { avatarVersion: '' }, $set: { updatedAt: new Date(now()) } },
    );
    await blobs.remove(keyOf(userId));
  }

  async function pictureOf(content: AsyncIterable<Uint8Array>): Promise<Picture> {
    const bytes = await buffer(atMost(content, LIMITS.avatarBytes));
    const type = await inspector.typeOf(bytes.subarray(0, TYPE_BYTES));
    if (isImageType(type) && (await inspector.pictureOf(async () => bytes))) return { type, bytes };
    throw new Fault('unsupported', 'A picture is a PNG, JPEG, GIF, WebP or AVIF file');
  }

  return {
    remove,

    async find(userId) {
      const user = await users.findOne(
        { _id: new Types.ObjectId(userId) },
        { projection: { name: 1, avatarVersion: 1 } },
      );
      if (!user) return undefined;
      const stat = user.avatarVersion === undefined ? undefined : await blobs.stat(keyOf(userId));
      if (!stat) {
        const svg = drawAvatar(userId, user.name);
        const etag = createHash('sha256').update(svg).digest('base64url').slice(0, 22);
        return { contentType: 'image/svg+xml; charset=utf-8', etag, open: async () => svg };
      }
      return {
        contentType: stat.contentType,
        etag: stat.etag,
        async open() {
          const blob = await blobs.get(keyOf(userId));
          if (!blob) throw new Fault('not_found', 'There is no such picture');
          return blob.body;
        },
      };
    },

    routes({ session, answer }) {
      const router = Router();
      router.post('/api/users/avatar', async (request, response) => {
        const { userId } = await session(request, response, 'uploads');
        const { stored } = await receiveFile(request, response, {
          maxBytes: LIMITS.avatarBytes,
          store: ({ content }) => pictureOf(content),
          discard: async () => {},
        });
        await replace(userId, stored);
        answer(response, { user: await profile(userId) });
      });
      router.delete('/api/users/avatar', async (request, response) => {
        const { userId } = await session(request, response, 'writes');
        await remove(userId);
        answer(response, { user: await profile(userId) });
      });
      return router;
    },
  };
}

interface Picture {
  type: string;
  bytes: Uint8Array;
}

const keyOf = (userId: string): string => `avatars/${userId.slice(-3)}/${userId}`;
