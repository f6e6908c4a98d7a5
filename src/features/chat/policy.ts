/** Who may do what in a chat. Each rejects with a `Fault`. */
import { Fault } from '../../protocol/index.ts';
import type { ChatRecord, MessageEntry } from './model.ts';
import type { RoleName } from './shapes.ts';

type Kind = ChatRecord['kind'];

export function mayAddMembers(kind: Kind, role: RoleName): void {
  hasOwnMembers(kind);
  mustBe(role !== 'member', 'Only the owner and admins may add members');
}

/** `target` is the role of somebody else, `self`, or undefined for who is no member. */
export function mayRemove(kind: Kind, role: RoleName, target: RoleName | 'self' | undefined): void {
  hasOwnMembers(kind);
  if (target === 'self') return;
  mustBe(role !== 'member', 'Only the owner and admins may remove members');
  mustBe(role === 'owner' || target === 'member' || target === undefined, 'Only the owner may remove an admin');
}

export function maySetRole(kind: Kind, role: RoleName): void {
  hasOwnMembers(kind);
  mustBe(role === 'owner', 'Only the owner may set roles');
}

export function mayUpdate(kind: Kind, role: RoleName, change: { name: boolean; retention: boolean }): void {
  if (kind === 'private' && change.name) throw new Fault('invalid', 'A private chat has no name');
  mustBe(role !== 'member', 'Only the owner and admins may change the chat');
  mustBe(role === 'owner' || !change.retention, 'Only the owner may set the retention');
}

export function mayDeleteChat(role: RoleName): void {
  mustBe(role === 'owner', 'Only the owner may delete or restore the chat');
}

export function mayEdit(message: MessageEntry, userId: string): void {
  mustBe(isOwn(message, userId), 'Only its sender may edit a message');
  if (message.deletedAt) throw new Fault('conflict', 'The message has been deleted');
}

export function mayDelete(message: MessageEntry, userId: string, role: RoleName): void {
  mustBe(isOwn(message, userId) || role !== 'member', 'Only its sender, the owner and admins may delete a message');
}

const isOwn = (message: MessageEntry, userId: string): boolean => message.userId?.toHexString() === userId;

function hasOwnMembers(kind: Kind): void {
  if (kind === 'private') throw new Fault('invalid', 'A private chat keeps its two members');
  if (kind === 'project') throw new Fault('invalid', "The members of a project's chat are the project's");
}

function mustBe(allowed: boolean, message: string): void {
  if (!allowed) throw new Fault('forbidden', message);
}
