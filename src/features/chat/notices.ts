/** What nodes tell each other of chats, on `ALL_NODES`. Each may be lost; the rows and the log have what it told. */
import { z } from 'zod';
import { Id } from '../../protocol/index.ts';

const ids = z.array(Id);

const Notice = z.discriminatedUnion('type', [
  /** Members came (`added`) or left. */
  z.object({ type: z.literal('members:changed'), chatId: Id, rev: z.int(), added: ids, removed: ids, roles: ids }),
  /** Name or settings changed. */
  z.object({ type: z.literal('chat:changed'), chatId: Id }),
  /** The chat is deleted: nobody is in it any more. */
  z.object({ type: z.literal('chat:closed'), chatId: Id }),
  /** All its members are in it: it is new, or restored. */
  z.object({ type: z.literal('chat:opened'), chatId: Id, fresh: z.boolean(), userIds: ids }),
]);
export type ChatNotice = z.output<typeof Notice>;
export type MembersChanged = Extract<ChatNotice, { type: 'members:changed' }>;

export function asChatNotice(data: unknown): ChatNotice | undefined {
  const type = (data as { type?: unknown } | null)?.type;
  if (typeof type !== 'string' || !(type.startsWith('chat:') || type === 'members:changed')) return undefined;
  return Notice.safeParse(data).data;
}

/** For features whose own state rests on shared chats. */
export function asMembersChanged(data: unknown): MembersChanged | undefined {
  const notice = asChatNotice(data);
  return notice?.type === 'members:changed' ? notice : undefined;
}
