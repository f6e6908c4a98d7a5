/** Chats of projects on two nodes: whatever is done on the one holds on the other. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, heard, heardOfLog } from '../support/calls.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { signUp } from '../support/people.ts';
import { hasRedis } from '../support/redis.ts';
import type { Person } from '../support/server.ts';

describe.runIf(hasRedis())('on two nodes', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startCluster({ nodes: 2 });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test('[CH-70] [CH-71] who joins and leaves a project on one node joins and leaves its chats on the other', async () => {
    const [here, there] = [cluster.world(0), cluster.world(1)];
    const [ada, ben, eve] = (await signUp(here, 3)) as [Person, Person, Person];
    const [owner, editor, late] = [await here.socket(ada), await there.socket(ben), await there.socket(eve)];
    const { project } = await call(owner, 'project:create', { name: 'Shared' });
    const projectId = project.id;
    await call(owner, 'project:add-member', { projectId, userId: ben.id, role: 'editor' });
    const { chat } = await call(editor, 'chat:create', { kind: 'project', projectId });
    const chatId = chat.id;
    const send = (socket: typeof owner, content: string) =>
      call(socket, 'message:send', { chatId, clientId: content, content });

    const log = heardOfLog(owner, chatId);
    const created = heard(late, 'chat:created');
    const deleted = heard(late, 'chat:deleted');
    const messages = heard(late, 'message:created');
    await send(owner, 'before');
    await call(owner, 'project:add-member', { projectId, userId: eve.id, role: 'viewer' });
    await expect.poll(() => created.map((event) => event.chat.id)).toEqual([chatId]);
    await send(owner, 'hello');
    await send(late, 'hello too');
    await expect.poll(() => messages.map(({ message }) => message.content)).toEqual(['hello', 'hello too']);

    // Everybody at once, from both nodes.
    await Promise.all([
      call(late, 'project:leave', { projectId }),
      call(owner, 'project:set-role', { projectId, userId: ben.id, role: 'owner' }),
    ]);
    await expect.poll(() => deleted).toEqual([{ chatId }]);
    await expect(send(late, 'too late')).rejects.toMatchObject({ code: 'not_found' });
    expect((await call(editor, 'chat:get', { chatId })).chat).toMatchObject({ role: 'owner', memberCount: 2 });
    expect((await call(owner, 'chat:get', { chatId })).chat.role).toBe('member');
    const { rev: head } = (await call(owner, 'chat:heads', { chatIds: [chatId] })).items[0] ?? { rev: 0 };
    await expect.poll(() => log.at(-1)?.rev).toBe(head);
    expect(log.map(({ rev }) => rev)).toEqual(log.map((_, n) => n + 1));

    const gone = heard(owner, 'chat:deleted');
    await call(editor, 'project:delete', { projectId });
    await expect.poll(() => gone).toEqual([{ chatId }]);
    await expect(send(owner, 'too late')).rejects.toMatchObject({ code: 'not_found' });
    const back = heard(owner, 'chat:created');
    await call(editor, 'project:restore', { projectId });
    await expect.poll(() => back.map((event) => event.chat.id)).toEqual([chatId]);
    await send(owner, 'again');
    await expect.poll(() => log.at(-1)?.event).toBe('message:created');
  });
});
