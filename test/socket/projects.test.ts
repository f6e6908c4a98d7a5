/** Projects through a whole server: who sees and may do what, and what everybody hears of it. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, codeOf, heard } from '../support/calls.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let ada: Person;
let ben: Person;
let eve: Person;
let a: Socket;
let b: Socket;
let e: Socket;

beforeAll(async () => {
  server = await startServer();
  [ada, ben, eve] = [await server.person('Ada'), await server.person('Ben'), await server.person('Eve')];
  [a, b, e] = [await server.socket(ada), await server.socket(ben), await server.socket(eve)];
});
afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

const create = async (socket: Socket, more: object = {}) =>
  (await call(socket, 'project:create', { name: 'A project', ...more })).project;

/** A project of Ada's with Ben in it. */
async function shared(role: 'editor' | 'viewer' = 'editor', more: object = {}): Promise<string> {
  const { id } = await create(a, more);
  await call(a, 'project:add-member', { projectId: id, userId: ben.id, role });
  return id;
}

describe('a project', () => {
  test('[PJ-10] is made once for each clientId, with the caller as owner', async () => {
    const input = {
      name: '  Site ',
      description: 'What it is',
      clientId: 'one',
      settings: { model: 'x', deep: { $a: 1 } },
    };
    const { project } = await call(a, 'project:create', input);
    expect(project).toMatchObject({
      name: 'Site',
      description: 'What it is',
      template: 'empty',
      status: 'active',
      visibility: 'private',
      owner: ada.id,
      role: 'owner',
      starred: false,
      members: [{ userId: ada.id, role: 'owner' }],
      settings: { model: 'x', deep: { $a: 1 } },
    });
    expect(await call(a, 'project:create', { ...input, name: 'Another' })).toEqual({ project });
    expect((await call(e, 'project:create', { ...input })).project.id).not.toBe(project.id);
  });

  test.each([
    ['a short name', { name: 'ab' }],
    ['a long name', { name: 'a'.repeat(101) }],
    ['a long description', { name: 'abc', description: 'a'.repeat(501) }],
    ['large settings', { name: 'abc', settings: { text: 'a'.repeat(16 * 1024) } }],
    ['settings that are no object', { name: 'abc', settings: [] }],
  ])('%s is invalid', async (_what, input) => {
    expect(await codeOf(call(a, 'project:create', input as never))).toBe('invalid');
  });

  test('[PJ-1] is not_found for who may not know of it', async () => {
    const projectId = await shared();
    const userId = eve.id;
    for (const [name, input] of [
      ['project:get', { projectId }],
      ['project:update', { projectId, name: 'Mine' }],
      ['project:delete', { projectId }],
      ['project:restore', { projectId }],
      ['project:duplicate', { projectId }],
      ['project:star', { projectId, on: true }],
      ['project:members', { projectId }],
      ['project:add-member', { projectId, userId }],
      ['project:remove-member', { projectId, userId: ben.id }],
      ['project:set-role', { projectId, userId: ben.id, role: 'viewer' }],
      ['project:leave', { projectId }],
      ['project:invite', { projectId }],
      ['project:invites', { projectId }],
      ['project:revoke-invite', { projectId, inviteId: projectId }],
    ] as const) {
      expect([name, await codeOf(call(e, name, input as never))]).toEqual([name, 'not_found']);
    }
    await call(a, 'project:delete', { projectId });
    expect(await codeOf(call(b, 'project:get', { projectId }))).toBe('not_found');
    expect(await codeOf(call(a, 'project:get', { projectId }))).toBe('not_found');
  });

  test('[PJ-2] may be changed by editors, and ruled by its owner only', async () => {
    const [edited, viewed] = [await shared('editor'), await shared('viewer')];
    const change = { name: 'New name', description: '', settings: { a: 1 } };
    expect(await call(b, 'project:update', { projectId: edited, ...change })).toMatchObject({ project: change });
    expect(await codeOf(call(b, 'project:update', { projectId: viewed, ...change }))).toBe('forbidden');
    expect(await call(b, 'project:get', { projectId: viewed })).toMatchObject({ project: { role: 'viewer' } });
    for (const projectId of [edited, viewed]) {
      for (const [name, input] of [
        ['project:update', { visibility: 'public' }],
        ['project:update', { status: 'archived' }],
        ['project:delete', {}],
        ['project:restore', {}],
        ['project:add-member', { userId: eve.id }],
        ['project:remove-member', { userId: ada.id }],
        ['project:set-role', { userId: ada.id, role: 'viewer' }],
        ['project:invite', {}],
        ['project:invites', {}],
        ['project:revoke-invite', { inviteId: projectId }],
      ] as const) {
        expect([name, await codeOf(call(b, name, { projectId, ...input } as never))]).toEqual([name, 'forbidden']);
      }
    }
    const archived = await call(a, 'project:update', { projectId: edited, status: 'archived' });
    expect(archived.project).toMatchObject({ status: 'archived', ...change });
  });

  test('[PJ-3] has one owner, who hands it over before they leave', async () => {
    const projectId = await shared('viewer');
    const roles = heard(a, 'project:role-changed');
    expect(await codeOf(call(a, 'project:leave', { projectId }))).toBe('conflict');
    expect(await codeOf(call(a, 'project:remove-member', { projectId, userId: ada.id }))).toBe('conflict');
    expect(await codeOf(call(a, 'project:set-role', { projectId, userId: ada.id, role: 'viewer' }))).toBe('invalid');
    expect(await codeOf(call(a, 'project:set-role', { projectId, userId: eve.id, role: 'owner' }))).toBe('not_found');
    await call(a, 'project:set-role', { projectId, userId: ben.id, role: 'owner' });
    await expect
      .poll(() => roles)
      .toEqual([
        { projectId, userId: ben.id, role: 'owner' },
        { projectId, userId: ada.id, role: 'editor' },
      ]);
    expect((await call(b, 'project:get', { projectId })).project).toMatchObject({
      owner: ben.id,
      role: 'owner',
      members: [
        { userId: ada.id, role: 'editor' },
        { userId: ben.id, role: 'owner' },
      ],
    });
    expect(await codeOf(call(a, 'project:delete', { projectId }))).toBe('forbidden');
    // Back and away: both are editors without the ownership.
    await call(b, 'project:set-role', { projectId, userId: ada.id, role: 'owner' });
    await call(b, 'project:update', { projectId, name: 'As an editor' });
    await call(b, 'project:leave', { projectId });
    await call(b, 'project:leave', { projectId });
    expect(await codeOf(call(b, 'project:get', { projectId }))).toBe('not_found');
  });

  test('[PJ-4] that is public can be read and copied by everybody, without members and settings', async () => {
    const projectId = await shared('editor', { visibility: 'public', settings: { secret: 1 } });
    const { project } = await call(e, 'project:get', { projectId });
    expect(project).toMatchObject({ id: projectId, owner: ada.id, visibility: 'public' });
    for (const key of ['members', 'settings', 'role', 'starred']) expect(project).not.toHaveProperty(key);
    for (const [name, input] of [
      ['project:update', { name: 'Mine' }],
      ['project:delete', {}],
      ['project:star', { on: true }],
      ['project:members', {}],
      ['project:leave', {}],
      ['project:invites', {}],
    ] as const) {
      expect([name, await codeOf(call(e, name, { projectId, ...input } as never))]).toEqual([name, 'forbidden']);
    }
    expect((await call(e, 'project:duplicate', { projectId })).project).toMatchObject({
      name: 'A project copy',
      owner: eve.id,
      visibility: 'private',
      settings: {},
    });
    await call(a, 'project:update', { projectId, visibility: 'private' });
    expect(await codeOf(call(e, 'project:get', { projectId }))).toBe('not_found');
  });

  test('[PJ-8] [PJ-17] is listed by status, name and star, the last changed first', async () => {
    const owner = await server.person();
    const socket = await server.socket(owner);
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push((await create(socket, { name: `Project (${n})` })).id);
    const [first = '', second = '', third = '', fourth = '', fifth = ''] = ids;
    const list = async (input: object) => (await call(socket, 'project:list', input)).items.map(({ id }) => id);
    expect(await list({})).toEqual(ids.toReversed());
    await call(socket, 'project:update', { projectId: second, name: 'Renamed' });
    expect(await list({})).toEqual([second, fifth, fourth, third, first]);
    expect(await list({ search: 'project (' })).toEqual([fifth, fourth, third, first]);
    await call(socket, 'project:star', { projectId: third, on: true });
    expect(await list({ starred: true })).toEqual([third]);
    await call(socket, 'project:update', { projectId: fourth, status: 'archived' });
    expect(await list({ status: 'archived' })).toEqual([fourth]);
    await call(socket, 'project:delete', { projectId: first });
    expect(await list({ status: 'deleted' })).toEqual([first]);
    expect(await list({ status: 'active' })).toEqual([second, fifth, third]);
    const paged: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page: { items: { id: string }[]; next: string | null } = await call(socket, 'project:list', {
        limit: 2,
        ...(cursor === undefined ? {} : { cursor }),
      });
      paged.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    }
    expect(paged).toEqual([fourth, second, fifth, third]);
    const { body } = await server.request('GET', '/api/projects?starred=true&limit=1', { as: owner });
    expect(body).toMatchObject({ data: { items: [{ id: third, starred: true, role: 'owner' }], next: null } });
    expect(await codeOf(call(socket, 'project:list', { cursor: 'nonsense' }))).toBe('invalid');
  });

  test("[PJ-9] has each member's own star, told to their other devices", async () => {
    const projectId = await shared();
    const told = heard(await server.socket(ben), 'project:updated');
    const [others] = [heard(a, 'project:updated')];
    await call(b, 'project:star', { projectId, on: true });
    await expect.poll(() => told).toMatchObject([{ project: { id: projectId, starred: true, role: 'editor' } }]);
    expect((await call(a, 'project:get', { projectId })).project.starred).toBe(false);
    expect((await call(b, 'project:get', { projectId })).project.starred).toBe(true);
    expect(others.filter(({ project }) => project.id === projectId)).toEqual([]);
  });

  test('[PJ-11] that is deleted comes back for all, by its owner', async () => {
    const projectId = await shared();
    const [gone, back] = [heard(b, 'project:deleted'), heard(b, 'project:created')];
    await call(a, 'project:delete', { projectId });
    await call(a, 'project:delete', { projectId });
    await expect.poll(() => gone).toEqual([{ projectId }]);
    expect((await call(a, 'project:list', { status: 'deleted' })).items).toContainEqual(
      expect.objectContaining({ id: projectId, deletedAt: expect.any(String) }),
    );
    expect(await codeOf(call(b, 'project:restore', { projectId }))).toBe('not_found');
    expect((await call(a, 'project:restore', { projectId })).project).toMatchObject({ id: projectId });
    await call(a, 'project:restore', { projectId });
    await expect.poll(() => back.filter(({ project }) => project.id === projectId)).toHaveLength(1);
    expect(back.at(-1)).toMatchObject({ project: { role: 'editor' } });
    const told = heard(b, 'project:updated');
    await call(a, 'project:update', { projectId, name: 'Back again' });
    await expect.poll(() => told).toMatchObject([{ project: { id: projectId, name: 'Back again' } }]);
  });

  test('[PJ-10] [PJ-14] is copied once for each clientId, without its members', async () => {
    const projectId = await shared('viewer', { name: 'x'.repeat(99), settings: { a: 1 } });
    const { project } = await call(b, 'project:duplicate', { projectId, clientId: 'copy' });
    expect(project).toMatchObject({
      name: `${'x'.repeat(95)} copy`,
      owner: ben.id,
      settings: { a: 1 },
      members: [{ userId: ben.id, role: 'owner' }],
    });
    expect(await call(b, 'project:duplicate', { projectId, clientId: 'copy', name: 'Other' })).toEqual({ project });
    expect((await call(b, 'project:duplicate', { projectId, name: 'Other' })).project.name).toBe('Other');
  });
});

describe('members', () => {
  test('[PJ-7] hear who comes, goes and gets another role, and what changes', async () => {
    const { id: projectId } = await create(a);
    const [created, deleted] = [heard(b, 'project:created'), heard(b, 'project:deleted')];
    const events = ['project:member-joined', 'project:role-changed', 'project:member-left'] as const;
    const [byAda, byBen] = [a, b].map((socket) => events.map((event) => heard(socket, event)));
    await call(a, 'project:add-member', { projectId, userId: ben.id });
    await call(a, 'project:add-member', { projectId, userId: ben.id, role: 'viewer' });
    await expect.poll(() => created).toMatchObject([{ project: { id: projectId, role: 'editor', owner: ada.id } }]);
    await call(a, 'project:set-role', { projectId, userId: ben.id, role: 'viewer' });
    const [aUpdated, bUpdated] = [heard(a, 'project:updated'), heard(b, 'project:updated')];
    await call(a, 'project:update', { projectId, name: 'Told to all' });
    for (const updated of [aUpdated, bUpdated]) {
      await expect.poll(() => updated).toMatchObject([{ project: { name: 'Told to all', settings: {} } }]);
      expect(updated[0]?.project).not.toHaveProperty('role');
    }
    await call(a, 'project:remove-member', { projectId, userId: ben.id });
    await call(a, 'project:remove-member', { projectId, userId: ben.id });
    await expect.poll(() => deleted).toEqual([{ projectId }]);
    const expected = [
      [{ projectId, userId: ben.id, role: 'editor' }],
      [{ projectId, userId: ben.id, role: 'viewer' }],
      [{ projectId, userId: ben.id }],
    ];
    await expect.poll(() => byAda).toEqual(expected);
    await expect.poll(() => byBen).toEqual(expected);
    await call(a, 'project:update', { projectId, name: 'Not told' });
    await expect.poll(() => aUpdated).toHaveLength(2);
    // What comes after it on the same socket would have come after what was not to come.
    const other = await shared();
    await call(a, 'project:update', { projectId: other, name: 'Elsewhere' });
    await expect.poll(() => bUpdated.at(-1)?.project.name).toBe('Elsewhere');
    expect(bUpdated).toHaveLength(2);
  });

  test('[PJ-7] who leaves by themselves is told as gone', async () => {
    const projectId = await shared('viewer');
    const left = heard(a, 'project:member-left');
    await call(b, 'project:leave', { projectId });
    await expect.poll(() => left).toEqual([{ projectId, userId: ben.id }]);
    expect((await call(a, 'project:members', { projectId })).items.map(({ userId }) => userId)).toEqual([ada.id]);
  });

  test('[PJ-17] are listed longest-standing first; an unknown user cannot become one', async () => {
    const projectId = await shared('viewer');
    await call(a, 'project:add-member', { projectId, userId: eve.id });
    const first = await call(b, 'project:members', { projectId, limit: 2 });
    expect(first.items).toMatchObject([
      { userId: ada.id, role: 'owner', joinedAt: expect.any(String) },
      { userId: ben.id, role: 'viewer' },
    ]);
    const rest = await call(b, 'project:members', { projectId, cursor: first.next ?? '' });
    expect(rest).toMatchObject({ items: [{ userId: eve.id, role: 'editor' }], next: null });
    const nobody = '0'.repeat(24);
    expect(await codeOf(call(a, 'project:add-member', { projectId, userId: nobody }))).toBe('not_found');
    expect(await codeOf(call(a, 'project:set-role', { projectId, userId: nobody, role: 'viewer' }))).toBe('not_found');
  });

  test('[PJ-3] however handing over, leaving and removing meet, the owner is a member and hears the project', async () => {
    for (let round = 0; round < 10; round++) {
      const projectId = await shared();
      await Promise.allSettled([
        call(a, 'project:set-role', { projectId, userId: ben.id, role: 'owner' }),
        call(b, 'project:leave', { projectId }),
        round % 2 === 0 ? call(a, 'project:remove-member', { projectId, userId: ben.id }) : undefined,
      ]);
      const { project } = await call(b, 'project:get', { projectId }).catch(() =>
        call(a, 'project:get', { projectId }),
      );
      expect(project.role === 'owner' || project.owner === ada.id).toBe(true);
      const owner = project.owner === ada.id ? a : b;
      const updated = heard(owner, 'project:updated');
      await call(owner, 'project:update', { projectId, name: `Round ${round}`, visibility: 'public' });
      await expect.poll(() => updated.map((event) => event.project.name)).toContain(`Round ${round}`);
      expect(project.members).toContainEqual({ userId: project.owner, role: 'owner' });
    }
  });

  test('[PJ-6] hear their projects from hello on, and those of a new device too', async () => {
    const projectId = await shared();
    const late = await server.socket(ben);
    const updated = heard(late, 'project:updated');
    await call(a, 'project:update', { projectId, name: 'Right away' });
    await expect.poll(() => updated).toMatchObject([{ project: { id: projectId } }]);
  });
});
