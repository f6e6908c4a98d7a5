/** Roles, membership and what a member marks for oneself. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call, heard, heardOfLog } from '../support/calls.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let clientId = 0;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function people(count: number): Promise<{ persons: Person[]; sockets: Socket[]; chatId: string }> {
  const persons = await Promise.all(Array.from({ length: count }, (_, n) => server.person(`Person ${n}`)));
  const sockets = await Promise.all(persons.map((person) => server.socket(person)));
  return { persons, sockets, chatId: await server.chat(persons) };
}

const send = (socket: Socket, chatId: string, content = 'hello') =>
  call(socket, 'message:send', { chatId, clientId: `m${clientId++}`, content });
const at = <T>(list: readonly T[], n: number): T => list[n] as T;

test('[CH-29] a new member reads the history, has nothing unread, and hears what follows', async () => {
  const { sockets, chatId } = await people(2);
  const [owner, member] = [at(sockets, 0), at(sockets, 1)];
  await send(owner, chatId, 'before');
  const late = await server.person('Late');
  const socket = await server.socket(late);
  const created = heard(socket, 'chat:created');
  const log = heardOfLog(socket, chatId);
  const told = heard(member, 'chat:members-changed');
  const { chat } = await call(owner, 'chat:add-members', { chatId, userIds: [late.id, late.id] });
  expect(chat.memberCount).toBe(3);
  await expect.poll(() => created).toHaveLength(1);
  expect(created[0]?.chat).toMatchObject({ id: chatId, role: 'member', unread: 0, lastReadSeq: 1, lastSeq: 1 });
  await expect
    .poll(() => told)
    .toEqual([{ chatId, rev: 2, added: [{ userId: late.id, role: 'member' }], removed: [], roles: [] }]);
  expect((await call(socket, 'message:list', { chatId })).items.map(({ content }) => content)).toEqual(['before']);
  await send(member, chatId, 'after');
  await expect.poll(() => log.map(({ rev }) => rev)).toEqual([3]);
  const { chat: again } = await call(owner, 'chat:add-members', { chatId, userIds: [late.id] });
  expect(again.memberCount).toBe(3);
  expect((await call(owner, 'chat:heads', { chatIds: [chatId] })).items[0]?.rev).toBe(3);
  const items = (await call(owner, 'chat:members', { chatId })).items;
  expect(items.map(({ role }) => role)).toEqual(['owner', 'member', 'member']);
  expect(await call(owner, 'chat:sync', { chatId, after: 1 })).toMatchObject({ membersChanged: true, position: 3 });
});

test('[CH-30] who is removed hears and may do nothing more, at once', async () => {
  const { persons, sockets, chatId } = await people(3);
  const [owner, victim] = [at(sockets, 0), at(sockets, 1)];
  await call(victim, 'chat:join', { chatId });
  const gone = heard(victim, 'chat:deleted');
  const messages = heard(victim, 'message:created');
  await call(owner, 'chat:remove-member', { chatId, userId: at(persons, 1).id });
  await expect.poll(() => gone).toEqual([{ chatId }]);
  const notFound = { code: 'not_found' };
  await expect(send(victim, chatId)).rejects.toMatchObject(notFound);
  await expect(call(victim, 'chat:get', { chatId })).rejects.toMatchObject(notFound);
  await expect(call(victim, 'chat:join', { chatId })).rejects.toMatchObject(notFound);
  await send(owner, chatId, 'about the victim');
  await send(at(sockets, 2), chatId, 'indeed');
  await call(victim, 'chat:list', {});
  expect(messages).toEqual([]);
  // And back again.
  await call(owner, 'chat:add-members', { chatId, userIds: [at(persons, 1).id] });
  await send(owner, chatId, 'welcome back');
  await expect.poll(() => messages.map(({ message }) => message.content)).toEqual(['welcome back']);
  expect(await call(victim, 'chat:get', { chatId })).toMatchObject({ chat: { unread: 1, memberCount: 3 } });
});

test('[CH-30] a socket that comes back is in the rooms of the chats that its user is in by then', async () => {
  const { persons, sockets, chatId } = await people(2);
  const [owner, member] = [at(sockets, 0), at(persons, 1)];
  const other = await server.chat(persons);
  const back = async (): Promise<string[]> => {
    const socket = await server.socket(member);
    const messages = heard(socket, 'message:created');
    await send(owner, chatId, 'in the one');
    await send(owner, other, 'in the other');
    // The events of the one room come before those of the other, which was written later.
    await expect.poll(() => messages.map(({ message }) => message.content)).toContain('in the other');
    socket.disconnect();
    return messages.map(({ message }) => message.content);
  };
  expect(await back()).toEqual(['in the one', 'in the other']);
  await call(owner, 'chat:remove-member', { chatId, userId: member.id });
  expect(await back()).toEqual(['in the other']);
  await call(owner, 'chat:add-members', { chatId, userIds: [member.id] });
  expect(await back()).toEqual(['in the one', 'in the other']);
});

test('[CH-30] messages that race with the removal of their sender are before it or refused', async () => {
  const { persons, sockets, chatId } = await people(2);
  const [owner, victim] = [at(sockets, 0), at(sockets, 1)];
  const log = heardOfLog(owner, chatId);
  const sends = Array.from({ length: 20 }, () =>
    send(victim, chatId).then(
      () => true,
      () => false,
    ),
  );
  const removal = call(owner, 'chat:remove-member', { chatId, userId: at(persons, 1).id });
  sends.push(
    ...Array.from({ length: 20 }, () =>
      send(victim, chatId).then(
        () => true,
        () => false,
      ),
    ),
  );
  await removal;
  const accepted = (await Promise.all(sends)).filter(Boolean).length;
  await expect.poll(() => log).toHaveLength(accepted + 1);
  expect(log.at(-1)?.event).toBe('chat:members-changed');
});

test('[CH-31] roles: admins manage members, the owner everything; rights end where the role does', async () => {
  const { persons, sockets, chatId } = await people(4);
  const [owner, admin, member] = [at(sockets, 0), at(sockets, 1), at(sockets, 2)];
  const ids = persons.map(({ id }) => id);
  const [, adminId = '', memberId = '', lastId = ''] = ids;
  const forbidden = { code: 'forbidden' };
  const stranger = await server.person();
  await expect(call(member, 'chat:add-members', { chatId, userIds: [stranger.id] })).rejects.toMatchObject(forbidden);
  await expect(call(member, 'chat:remove-member', { chatId, userId: lastId })).rejects.toMatchObject(forbidden);
  await expect(call(member, 'chat:update', { chatId, name: 'x' })).rejects.toMatchObject(forbidden);
  await expect(call(admin, 'chat:set-role', { chatId, userId: memberId, role: 'admin' })).rejects.toMatchObject(
    forbidden,
  );
  await call(owner, 'chat:set-role', { chatId, userId: adminId, role: 'admin' });
  await call(admin, 'chat:add-members', { chatId, userIds: [stranger.id] });
  await call(admin, 'chat:remove-member', { chatId, userId: stranger.id });
  const updated = heard(member, 'chat:updated');
  expect((await call(admin, 'chat:update', { chatId, name: 'Renamed' })).chat.name).toBe('Renamed');
  await expect.poll(() => updated.at(-1)?.chat).toMatchObject({ id: chatId, name: 'Renamed', role: 'member' });
  await expect(call(admin, 'chat:remove-member', { chatId, userId: ids[0] ?? '' })).rejects.toMatchObject(forbidden);
  await expect(call(admin, 'chat:delete', { chatId })).rejects.toMatchObject(forbidden);
  await expect(call(admin, 'chat:update', { chatId, retentionDays: 7 })).rejects.toMatchObject(forbidden);
  expect((await call(owner, 'chat:update', { chatId, retentionDays: 7 })).chat.retentionDays).toBe(7);
  expect((await call(owner, 'chat:update', { chatId, retentionDays: null })).chat.retentionDays).toBeUndefined();
  await call(owner, 'chat:set-role', { chatId, userId: adminId, role: 'member' });
  await expect(call(admin, 'chat:add-members', { chatId, userIds: [stranger.id] })).rejects.toMatchObject(forbidden);
  await expect(call(owner, 'chat:add-members', { chatId, userIds: [chatId] })).rejects.toMatchObject({
    code: 'not_found',
  });
});

test('[CH-32] a leaving owner is followed by the longest-serving admin, else member; the last one deletes the chat', async () => {
  const { persons, sockets, chatId } = await people(4);
  const ids = persons.map(({ id }) => id);
  const roles = async (socket: Socket) =>
    new Map((await call(socket, 'chat:members', { chatId })).items.map(({ userId, role }) => [userId, role]));
  await call(at(sockets, 0), 'chat:set-role', { chatId, userId: at(ids, 2), role: 'admin' });
  await call(at(sockets, 0), 'chat:remove-member', { chatId, userId: at(ids, 0) });
  expect((await roles(at(sockets, 2))).get(at(ids, 2))).toBe('owner');
  await call(at(sockets, 2), 'chat:remove-member', { chatId, userId: at(ids, 2) });
  expect((await roles(at(sockets, 1))).get(at(ids, 1))).toBe('owner');
  await call(at(sockets, 1), 'chat:set-role', { chatId, userId: at(ids, 3), role: 'owner' });
  expect(await roles(at(sockets, 1))).toEqual(
    new Map([
      [at(ids, 1), 'admin'],
      [at(ids, 3), 'owner'],
    ]),
  );
  await call(at(sockets, 1), 'chat:remove-member', { chatId, userId: at(ids, 1) });
  const gone = heard(at(sockets, 3), 'chat:deleted');
  await call(at(sockets, 3), 'chat:remove-member', { chatId, userId: at(ids, 3) });
  await expect.poll(() => gone).toEqual([{ chatId }]);
  expect((await call(at(sockets, 3), 'chat:list', { status: 'deleted' })).items.map(({ id }) => id)).toEqual([chatId]);
});

test('[CH-33] a deleted chat is gone for everyone until its owner restores it', async () => {
  const { sockets, chatId } = await people(2);
  const [owner, member] = [at(sockets, 0), at(sockets, 1)];
  await send(owner, chatId, 'kept');
  const gone = heard(member, 'chat:deleted');
  const back = heard(member, 'chat:created');
  const messages = heard(member, 'message:created');
  await call(owner, 'chat:delete', { chatId });
  await call(owner, 'chat:delete', { chatId });
  await expect.poll(() => gone).toEqual([{ chatId }]);
  for (const socket of [owner, member]) {
    await expect(send(socket, chatId)).rejects.toMatchObject({ code: 'not_found' });
    expect((await call(socket, 'chat:list', {})).items).toEqual([]);
  }
  await expect(call(member, 'chat:restore', { chatId })).rejects.toMatchObject({ code: 'forbidden' });
  expect((await call(member, 'chat:list', { status: 'deleted' })).items).toEqual([]);
  expect((await call(owner, 'chat:list', { status: 'deleted' })).items).toMatchObject([
    { id: chatId, status: 'deleted' },
  ]);
  expect((await call(owner, 'chat:restore', { chatId })).chat).toMatchObject({
    id: chatId,
    status: 'active',
    lastSeq: 1,
  });
  await expect.poll(() => back.map(({ chat }) => chat.id)).toEqual([chatId]);
  await send(owner, chatId, 'and on');
  await expect.poll(() => messages.at(-1)?.message.content).toBe('and on');
});

test('[CH-34] read and delivered positions only move forward and are told to who has the chat open', async () => {
  const { persons, sockets, chatId } = await people(3);
  const [ada, grace] = [at(sockets, 0), at(sockets, 1)];
  const graceId = at(persons, 1).id;
  const other = await server.socket(at(persons, 1));
  await call(ada, 'chat:join', { chatId });
  const receipts = heard(ada, 'receipt:changed');
  const own = heard(other, 'receipt:changed');
  const closed = heard(at(sockets, 2), 'receipt:changed');
  const sent: { id: string }[] = [];
  for (let n = 0; n < 3; n++) sent.push(await send(ada, chatId, `message ${n}`));
  await call(grace, 'message:delivered', { chatId, seq: 2 });
  expect(await call(grace, 'message:read', { chatId, seq: 1 })).toEqual({ unread: 2 });
  expect(await call(grace, 'message:read', { chatId, seq: 0 })).toEqual({ unread: 2 });
  await expect.poll(() => receipts).toHaveLength(2);
  const expected = { chatId, userId: graceId, lastReadSeq: 1, lastDeliveredSeq: 2, readAt: expect.any(String) };
  expect(receipts.at(-1)).toMatchObject(expected);
  await expect.poll(() => own.at(-1)).toMatchObject(expected);
  const receiptOf = async (n: number) =>
    (await call(ada, 'message:receipts', { chatId, messageId: sent[n]?.id ?? '' })).items.find(
      ({ userId }) => userId === graceId,
    );
  expect(await receiptOf(0)).toEqual({ userId: graceId, deliveredAt: expect.any(String), readAt: expect.any(String) });
  expect(await receiptOf(1)).toEqual({ userId: graceId, deliveredAt: expect.any(String), readAt: null });
  expect(await receiptOf(2)).toEqual({ userId: graceId, deliveredAt: null, readAt: null });
  expect(await call(grace, 'message:read', { chatId, seq: 999 })).toEqual({ unread: 0 });
  expect((await call(grace, 'chat:get', { chatId })).chat).toMatchObject({ unread: 0, lastReadSeq: 3 });
  expect((await call(ada, 'chat:get', { chatId })).chat.unread).toBe(0);
  expect(closed).toEqual([]);
});

test('[CH-35] stars, archive and mute are one’s own, and known to all of one’s devices', async () => {
  const { persons, sockets, chatId } = await people(2);
  const [ada, grace] = [at(sockets, 0), at(sockets, 1)];
  const phone = await server.socket(at(persons, 0));
  const told = heard(phone, 'chat:updated');
  const others = heard(grace, 'chat:updated');
  const until = new Date(Date.now() + 3_600_000).toISOString();
  await call(ada, 'chat:star', { chatId, on: true });
  await call(ada, 'chat:archive', { chatId, on: true });
  expect((await call(ada, 'chat:mute', { chatId, until })).chat).toMatchObject({
    starred: true,
    archived: true,
    mutedUntil: until,
  });
  await expect.poll(() => told.at(-1)?.chat.mutedUntil).toBe(until);
  expect((await call(grace, 'chat:get', { chatId })).chat).toMatchObject({ starred: false, archived: false });
  const ids = async (input: object) => (await call(ada, 'chat:list', input)).items.map(({ id }) => id);
  expect(await ids({ archived: true })).toEqual([chatId]);
  expect(await ids({ archived: false })).toEqual([]);
  expect((await call(ada, 'chat:mute', { chatId, until: null })).chat.mutedUntil).toBeUndefined();
  expect(others).toEqual([]);
});

test('[CH-36] between people who blocked each other a private chat is silent', async () => {
  const [ada, grace] = [await server.person('Ada'), await server.person('Grace')];
  const [a, g] = [await server.socket(ada), await server.socket(grace)];
  const { chat } = await call(a, 'chat:create', { kind: 'private', memberIds: [grace.id] });
  await send(a, chat.id, 'friends');
  await call(a, 'chat:join', { chatId: chat.id });
  const typing = heard(a, 'typing:changed');
  await call(a, 'user:block', { userId: grace.id });
  for (const socket of [a, g]) await expect(send(socket, chat.id)).rejects.toMatchObject({ code: 'forbidden' });
  await call(g, 'typing:start', { chatId: chat.id });
  expect((await call(g, 'message:list', { chatId: chat.id })).items).toHaveLength(1);
  // In a group they go on, without seeing each other type.
  const joan = await server.person('Joan');
  const j = await server.socket(joan);
  const group = await server.chat([ada, grace, joan]);
  for (const socket of [a, j]) await call(socket, 'chat:join', { chatId: group });
  const seen = heard(j, 'typing:changed');
  await call(g, 'typing:start', { chatId: group });
  await expect.poll(() => seen).toEqual([{ chatId: group, userId: grace.id, typing: true }]);
  await send(g, group, 'to all');
  await expect.poll(() => seen).toHaveLength(2);
  await call(a, 'user:unblock', { userId: grace.id });
  await send(g, chat.id, 'friends again');
  expect(typing).toEqual([]);
  await expect(call(a, 'chat:add-members', { chatId: chat.id, userIds: [ada.id] })).rejects.toMatchObject({
    code: 'invalid',
  });
});

test('nothing of this was a bug of ours', () => {
  expect(server.errors).toEqual([]);
});
