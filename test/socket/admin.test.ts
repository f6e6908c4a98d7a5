/** Reports and administrators, through a whole server. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Socket } from 'socket.io-client';
import { call, heard } from '../support/calls.ts';
import { freshDatabaseUri } from '../support/database.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

const ADMIN_EMAIL = 'root@example.com';

let server: TestServer;
let root: Person;
let admin: Socket;
/** The server's clock runs ahead by so much. */
let aheadMs = 0;

beforeAll(async () => {
  server = await startServer(
    { ADMIN_EMAIL: 'Root@Example.com', AI_PRICES: 'demo=3/15' },
    { now: () => Date.now() + aheadMs },
  );
  root = await server.person('Root', ADMIN_EMAIL);
  admin = await server.socket(root);
});

afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

const login = ({ email, password }: Person) => server.request('POST', '/api/auth/login', { body: { email, password } });
const refresh = ({ refreshToken }: Person) =>
  server.request('POST', '/api/auth/refresh-token', { body: { refreshToken } });
const closed = async (socket: Socket): Promise<string> =>
  ((await once(socket as never, 'session:closed')) as [{ reason: string }])[0].reason;

async function said(from: Person, chatId: string, content: string): Promise<string> {
  const { body } = await server.request('POST', `/api/chats/${chatId}/messages`, {
    as: from,
    body: { content, clientId: content },
  });
  return (body as unknown as { data: { id: string } }).data.id;
}

describe('the role', () => {
  test('[AD-3] off production signing up with ADMIN_EMAIL is enough', async () => {
    expect(await call(admin, 'user:profile', {})).toMatchObject({ user: { role: 'admin' } });
  });

  test('[AD-3] in production it is an account that was there before, and nobody else can take the address', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
    const env = {
      ...freshDatabaseUri(),
      NODE_ENV: 'production',
      JWT_SECRET: 'kX2v9QpLr7TzW4mNb8YcHd3FgJs6Ae1U',
      AUTH_PEPPER: 'Zp5Rt8Wq2Ns7Vb4Xm9Kc3Lf6Hj1Dg0Ya',
      RATE_LIMIT_SCALE: '1',
      DATA_DIR: dataDir,
    };
    const start = (adminEmail?: string) =>
      startServer({ ...env, ...(adminEmail === undefined ? {} : { ADMIN_EMAIL: adminEmail }) }, { migrate: true });
    const roleOf = async (world: TestServer, person: Person) => {
      const { body } = await world.request('POST', '/api/auth/login', {
        body: { email: person.email, password: person.password },
      });
      return (body as unknown as { user: { role: string } }).user.role;
    };
    let ada: Person;
    {
      await using first = await start();
      ada = await first.person('Ada', 'ada@example.com');
      expect(await roleOf(first, ada)).toBe('user');
    }
    {
      await using second = await start('ada@example.com');
      expect(await roleOf(second, ada)).toBe('admin');
    }
    {
      await using third = await start('grace@example.com');
      const register = (email: string) =>
        third.request('POST', '/api/auth/register', { body: { email, password: ada.password } });
      const taken = await register('ada@example.com');
      expect(taken.status).toBe(409);
      expect((await register('Grace@example.com')).body).toEqual(taken.body);
    }
    await rm(dataDir, { recursive: true });
  });

  test('[AD-1] others are forbidden, on both transports, and their try is audited', async () => {
    const eve = await server.person('Eve');
    const socket = await server.socket(eve);
    await expect(call(socket, 'admin:stats', {})).rejects.toMatchObject({ code: 'forbidden' });
    expect(await server.request('GET', '/api/admin/users', { as: eve })).toMatchObject({ status: 403 });
    expect(await server.request('GET', '/api/admin/users')).toMatchObject({ status: 401 });
    const { items } = await call(admin, 'admin:audit', { actor: eve.id, action: 'admin.refused' });
    expect(items.map(({ target, ok }) => [target, ok])).toEqual([
      ['admin:users', false],
      ['admin:stats', false],
    ]);
  });

  test('[AD-1] a role that is given or taken counts from the next operation on', async () => {
    const ada = await server.person('Ada');
    const socket = await server.socket(ada);
    await call(admin, 'admin:set-role', { userId: ada.id, role: 'admin' });
    await call(socket, 'admin:reports', {});
    await call(admin, 'admin:set-role', { userId: ada.id, role: 'user' });
    await expect(call(socket, 'admin:reports', {})).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('[AD-4] administrators are safe from each other', async () => {
    const ada = await server.person('Ada');
    const socket = await server.socket(ada);
    await call(admin, 'admin:set-role', { userId: ada.id, role: 'admin' });
    const conflict = { code: 'conflict' };
    await expect(call(admin, 'admin:ban', { userId: ada.id, reason: 'x' })).rejects.toMatchObject(conflict);
    await expect(call(socket, 'admin:set-role', { userId: ada.id, role: 'user' })).rejects.toMatchObject(conflict);
    await expect(call(socket, 'admin:set-role', { userId: root.id, role: 'user' })).rejects.toMatchObject(conflict);
    await call(admin, 'admin:set-role', { userId: ada.id, role: 'user' });
    await call(admin, 'admin:ban', { userId: ada.id, reason: 'x' });
    await expect(call(admin, 'admin:set-role', { userId: ada.id, role: 'admin' })).rejects.toMatchObject(conflict);
    await expect(call(admin, 'admin:ban', { userId: root.id, reason: 'x' })).rejects.toMatchObject(conflict);
    const nobody = '0123456789abcdef01234567';
    const missing = { code: 'not_found' };
    await expect(call(admin, 'admin:ban', { userId: nobody, reason: 'x' })).rejects.toMatchObject(missing);
    await expect(call(admin, 'admin:unban', { userId: nobody })).rejects.toMatchObject(missing);
    await expect(call(admin, 'admin:set-role', { userId: nobody, role: 'admin' })).rejects.toMatchObject(missing);
  });
});

describe('a ban', () => {
  test('[AD-2] ends every session and refuses new ones with the reason, until it is lifted', async () => {
    const mallory = await server.person('Mallory');
    const again = (await login(mallory)).body as unknown as Person;
    const sockets = [await server.socket(mallory), await server.socket({ ...mallory, ...again, id: mallory.id })];
    const ends = Promise.all(sockets.map(closed));
    await call(admin, 'admin:ban', { userId: mallory.id, reason: 'Sells watches' });
    expect(await ends).toEqual(['banned', 'banned']);

    const refused = { status: 403, body: { error: { code: 'forbidden', detail: { reason: 'Sells watches' } } } };
    expect(await login(mallory)).toMatchObject(refused);
    expect(await refresh(mallory)).toMatchObject(refused);
    expect(await refresh({ ...mallory, ...again })).toMatchObject(refused);
    expect(await server.request('GET', '/api/auth/me', { as: mallory })).toMatchObject({ status: 401 });
    await expect(server.socket(mallory, { reconnection: false })).rejects.toThrow('session');
    // A wrong password learns nothing of it.
    expect(await login({ ...mallory, password: 'a wrong password' })).toMatchObject({ status: 401 });

    await call(admin, 'admin:unban', { userId: mallory.id });
    expect(await login(mallory)).toMatchObject({ status: 200 });
    expect(await refresh(mallory)).toMatchObject({ status: 401 });
  });

  test('[AD-2] that has an end lets go by itself; one that has ended already is invalid', async () => {
    const bob = await server.person('Bob');
    const until = new Date(Date.now() + 600_000).toISOString();
    await call(admin, 'admin:ban', { userId: bob.id, reason: 'Cool down', until });
    expect(await login(bob)).toMatchObject({ status: 403, body: { error: { detail: { until } } } });
    aheadMs = 601_000;
    expect(await login(bob)).toMatchObject({ status: 200 });
    const past = { userId: bob.id, reason: 'x', until: '2020-01-01T00:00:00.000Z' };
    await expect(call(admin, 'admin:ban', past)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('[AD-2] at the same moment as sign-ins leaves no session alive', async () => {
    const carol = await server.person('Carol');
    const logins = Array.from({ length: 6 }, () => login(carol));
    const ban = call(admin, 'admin:ban', { userId: carol.id, reason: 'x' });
    const answers = await Promise.all(logins);
    await ban;
    for (const { body } of answers) {
      const { accessToken } = body as unknown as Person;
      if (accessToken === undefined) continue;
      expect(await server.request('GET', '/api/auth/me', { as: { ...carol, accessToken } })).toMatchObject({
        status: 401,
      });
    }
  });
});

describe('the list of users', () => {
  test('[AD-10] finds people by the beginning of anything, page by page, with their bans', async () => {
    const people: Person[] = [];
    for (let i = 0; i < 5; i++) people.push(await server.person(`Zebulon Q${i}`));
    const wanted = people.map(({ id }) => id).reverse();
    const ids: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: { items: { id: string }[]; next: string | null } = await call(admin, 'admin:users', {
        query: 'zebul',
        limit: 2,
        ...(cursor === '' ? {} : { cursor }),
      });
      ids.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    }
    expect(ids).toEqual(wanted);

    const [first] = people as [Person];
    const byEmail = await call(admin, 'admin:users', { query: first.email.slice(0, 12) });
    expect(byEmail.items).toMatchObject([{ id: first.id, email: first.email, role: 'user', ban: null }]);
    await call(admin, 'admin:ban', { userId: first.id, reason: 'x' });
    const banned = await call(admin, 'admin:users', { query: 'zebul', banned: true });
    expect(banned.items).toMatchObject([{ id: first.id, ban: { reason: 'x', by: root.id } }]);
    expect((await call(admin, 'admin:users', { query: 'zebul', banned: false })).items).toHaveLength(4);
    expect((await call(admin, 'admin:users', { role: 'admin' })).items).toMatchObject([{ id: root.id }]);
    const { status, body } = await server.request('GET', '/api/admin/users?query=zebul&banned=true', { as: root });
    expect([status, body]).toMatchObject([200, { data: { items: [{ id: first.id }], next: null } }]);
  });
});

describe('a report', () => {
  test('[AD-5] keeps the message as it was, once for each person', async () => {
    const [ada, bob, eve] = [await server.person('Ada'), await server.person('Bob'), await server.person('Eve')];
    const chatId = await server.chat([ada, bob]);
    const messageId = await said(bob, chatId, 'Buy my watches');
    const socket = await server.socket(ada);
    const report = { chatId, messageId, reason: 'spam' as const, comment: 'Every day!' };
    const { reportId } = await call(socket, 'message:report', report);
    expect(await call(socket, 'message:report', { ...report, reason: 'other' })).toEqual({ reportId });
    await server.request('PUT', `/api/chats/${chatId}/messages/${messageId}`, { as: bob, body: { content: 'Hello' } });

    const { items, users } = await call(admin, 'admin:reports', {});
    const mine = items.filter(({ id }) => id === reportId);
    expect(mine).toMatchObject([
      {
        state: 'open',
        reporterId: ada.id,
        reason: 'spam',
        comment: 'Every day!',
        message: { id: messageId, content: 'Buy my watches', sender: { type: 'user', userId: bob.id } },
      },
    ]);
    expect(users.map(({ id }) => id)).toEqual(expect.arrayContaining([ada.id, bob.id]));

    const outsider = await server.socket(eve);
    await expect(call(outsider, 'message:report', report)).rejects.toMatchObject({ code: 'not_found' });
    const own = await server.request('POST', `/api/chats/${chatId}/messages/${messageId}/report`, {
      as: bob,
      body: { reason: 'spam' },
    });
    expect(own).toMatchObject({ status: 400 });
    await server.request('DELETE', `/api/chats/${chatId}/messages/${messageId}`, { as: bob });
    expect(await call(socket, 'message:report', report)).toEqual({ reportId });
    const late = await said(bob, chatId, 'gone');
    await server.request('DELETE', `/api/chats/${chatId}/messages/${late}`, { as: bob });
    const gone = { chatId, messageId: late, reason: 'spam' as const };
    await expect(call(socket, 'message:report', gone)).rejects.toMatchObject({ code: 'conflict' });
  });

  test('[AD-6] is resolved once, and what was decided is done', async () => {
    const [ada, bob] = [await server.person('Ada'), await server.person('Bob')];
    const chatId = await server.chat([ada, bob]);
    const [here, there] = [await server.socket(ada), await server.socket(bob)];
    const deletions = heard(here, 'message:deleted');
    const report = async (content: string): Promise<string> => {
      const messageId = await said(bob, chatId, content);
      return (await call(here, 'message:report', { chatId, messageId, reason: 'harassment' })).reportId;
    };

    const first = await report('one');
    const resolved = await call(admin, 'admin:resolve', { reportId: first, action: 'message-deleted', note: 'Clear' });
    expect(resolved.report).toMatchObject({
      state: 'resolved',
      message: { content: 'one' },
      resolution: { action: 'message-deleted', note: 'Clear', by: root.id },
    });
    await expect.poll(() => deletions).toMatchObject([{ chatId, message: { content: '' } }]);
    expect(await call(admin, 'admin:resolve', { reportId: first, action: 'message-deleted' })).toEqual(resolved);
    const other = { reportId: first, action: 'dismissed' as const };
    await expect(call(admin, 'admin:resolve', other)).rejects.toMatchObject({ code: 'conflict' });

    const second = await report('two');
    await call(admin, 'admin:resolve', { reportId: second, action: 'dismissed' });
    const third = await report('three');
    const end = closed(there);
    await call(admin, 'admin:resolve', { reportId: third, action: 'banned' });
    expect(await end).toBe('banned');
    expect(await login(bob)).toMatchObject({ status: 403, body: { error: { detail: { reason: /harassment/ } } } });
    const { items } = await call(admin, 'admin:reports', { state: 'resolved', limit: 3 });
    expect(items.map(({ id }) => id)).toEqual([third, second, first]);
    expect((await call(admin, 'admin:reports', {})).items.map(({ id }) => id)).not.toContain(third);
  });
});

test('[AD-7] an announcement reaches everybody who is connected', async () => {
  const sockets = await Promise.all([1, 2, 3].map(async () => server.socket(await server.person())));
  const all = sockets.map((socket) => heard(socket, 'announcement:created'));
  const { announcementId } = await call(admin, 'admin:announce', { text: 'Back in five minutes', level: 'warning' });
  for (const list of all) {
    await expect
      .poll(() => list)
      .toMatchObject([{ id: announcementId, text: 'Back in five minutes', level: 'warning' }]);
  }
});

test('[AD-8] [AD-10] the audit list has what administrators did, by actor, action and time', async () => {
  const bob = await server.person('Bob');
  await call(admin, 'admin:ban', { userId: bob.id, reason: 'x' });
  await call(admin, 'admin:unban', { userId: bob.id });
  await call(admin, 'admin:set-role', { userId: bob.id, role: 'admin' });
  const all: { id: string; action: string; target?: string | undefined }[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { items: typeof all; next: string | null } = await call(admin, 'admin:audit', {
      actor: root.id,
      limit: 7,
      ...(cursor === '' ? {} : { cursor }),
    });
    all.push(...page.items);
    cursor = page.next;
  }
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  const ofBob = all.filter(({ target }) => target === bob.id);
  expect(ofBob.map(({ action }) => action)).toEqual(['admin.set-role', 'admin.unban', 'admin.ban']);
  expect(all.map(({ action }) => action)).toContain('admin.audit');
  const bans = await call(admin, 'admin:audit', { action: 'admin.ban', limit: 1 });
  expect(bans.items).toMatchObject([{ actor: root.id, target: bob.id, ok: true, detail: { reason: 'x' } }]);
  const before = await call(admin, 'admin:audit', { to: '2020-01-01T00:00:00.000Z' });
  expect(before).toEqual({ items: [], next: null });
});

test('[AD-9] figures of today count people, messages, tokens and what is there now', async () => {
  const ada = await server.person('Ada');
  const before = await call(admin, 'admin:stats', {});
  const socket = await server.socket(ada);
  await call(socket, 'ai:prompt', { content: 'Hello', clientId: 'one', wait: true });
  await call(socket, 'project:create', { name: 'A project' });
  const after = await call(admin, 'admin:stats', {});
  const [was, is] = [before.days.at(-1), after.days.at(-1)];
  if (!was || !is) throw new Error('There is no today');
  expect(after.days).toHaveLength(30);
  expect(is.messages - was.messages).toBe(2);
  expect(is.activeUsers - was.activeUsers).toBe(1);
  expect(is.newUsers).toBeGreaterThan(3);
  expect(is.ai).toMatchObject([{ model: 'demo', outputTokens: expect.any(Number), costUsd: expect.any(Number) }]);
  expect(is.ai[0]?.costUsd).toBeGreaterThan(0);
  expect(after.now.connections - before.now.connections).toBe(1);
  expect(after.now.users).toBeGreaterThan(3);
  expect(after.now.projects - before.now.projects).toBe(1);
  expect(after.now.databaseBytes).toBeGreaterThan(0);
  await expect.poll(async () => (await call(admin, 'admin:stats', {})).now.uploadBytes).toBe(0);
  const range = (from: string, to: string) => call(admin, 'admin:stats', { from, to });
  expect((await range('2020-01-01', '2020-01-02')).days).toMatchObject([{ messages: 0 }, { activeUsers: 0 }]);
  for (const [from, to] of [
    ['2020-01-02', '2020-01-01'],
    ['1970-01-01', '9999-12-31'],
  ] as const) {
    await expect(range(from, to)).rejects.toMatchObject({ code: 'invalid' });
  }
});
