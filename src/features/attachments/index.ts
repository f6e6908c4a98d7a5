/** Images, files and voice messages: uploaded by HTTP, carried by messages, gone with them. */
import type { Router } from 'express';
import type { Connection } from 'mongoose';
import type { Limits } from '../../cluster/limits.ts';
import type { Log } from '../../observability/log.ts';
import type { Blobs } from '../../storage/blobs/index.ts';
import type { MediaInspector } from '../uploads/index.ts';
import { AttachmentStore, type AttachmentUse } from './attachment-store.ts';
import { createAttachmentCollector } from './collector.ts';
import { createAttachmentRoutes, type RouteTools } from './http.ts';
import { Intake } from './intake.ts';
import type { AttachmentInfo } from './model.ts';
import { createSignedUrls } from './signed-urls.ts';

export type { AttachmentUse } from './attachment-store.ts';
export type { AttachmentInfo, AttachmentKind } from './model.ts';

/** An attachment on the wire. */
export interface AttachmentView extends AttachmentInfo {
  /** Signed: serves without a token until `urlExpiresAt`. */
  url: string;
  urlExpiresAt: string;
}

/** What chats need of attachments. */
export interface AttachmentPort {
  /**
   * Gives the user's uploads to a message, which may claim them again. If the message never appears they go after a day.
   * Rejects with `not_found` if one is not theirs, with `invalid` if another message has it or it is of another kind.
   */
  claim(userId: string, ids: readonly string[], use: AttachmentUse): Promise<AttachmentInfo[]>;
  /** With a fresh address. */
  view(info: AttachmentInfo): AttachmentView;
  /** The messages are gone. */
  release(messageIds: readonly string[]): Promise<void>;
}

export interface Attachments extends AttachmentPort {
  routes: (tools: RouteTools) => Router;
  /** The chat is gone. May be repeated. */
  removeOfChat(chatId: string): Promise<void>;
  /** The account has ended: what no message carries goes, the rest stays with its messages. May be repeated. */
  removeOfUser(userId: string): Promise<void>;
  /** Removes what nobody needs. To be called from time to time, on any node. */
  collect(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export interface AttachmentsDeps {
  connection: Connection;
  blobs: Blobs;
  inspector: MediaInspector;
  limits: Pick<Limits, 'take'>;
  /** What addresses are signed with; a key of its own is derived from it. */
  secret: string;
  /** Rejects with `not_found` for who is no member. */
  requireMember: (chatId: string, userId: string) => Promise<unknown>;
  /** Whether the message is in its chat and carries the attachment. */
  isCarried: (use: { chatId: string; messageId: string; attachmentId: string }) => Promise<boolean>;
  log: Log;
  now: () => number;
}

export function createAttachments(deps: AttachmentsDeps): Attachments {
  const { connection, blobs, inspector, limits, requireMember, isCarried, log, now } = deps;
  const store = new AttachmentStore({ connection, now, onReleased: () => collector.soon() });
  const collector = createAttachmentCollector({ store, blobs, isCarried, log });
  const urls = createSignedUrls(deps.secret, now);
  const intake = new Intake({ store, blobs, inspector });
  return {
    routes: createAttachmentRoutes({ store, intake, blobs, urls, limits, requireMember }),
    claim: (userId, ids, use) => store.claim(userId, ids, use),
    view: (info) => ({ ...info, ...urls.sign(info.id) }),
    release: (messageIds) => store.release(messageIds),
    removeOfChat: (chatId) => store.releaseOfChat(chatId),
    removeOfUser: (userId) => store.releaseOfUser(userId),
    collect: (signal) => collector.collect(signal),
    close: () => collector.close(),
  };
}
