import { Types } from 'mongoose';
import { describe, expect, test } from 'vitest';
import { drawAvatar, initialsOf } from '../../src/features/users/avatar.ts';
import { usersContract, type Profile, type User } from '../../src/features/users/contract.ts';
import { createUsers, type NewUser, type Users } from '../../src/features/users/index.ts';
import { createCall, type Answer } from '../../src/protocol/index.ts';
import { ensureIndexes } from '../../src/storage/database.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

interface World extends AsyncDisposable {
  database: TestDatabase;
  users: Users;
  call: (name: string, input: unknown, userId?: string) => Promise<Answer<unknown>>;
  search: (query: string, userId?: string) => Promise<string[]>;
  add: (...people: NewUser[]) => Promise<Profile[]>;
}

const NOBODY = '0123456789abcdef01234567';

async function openUsers(): Promise<World> {
  const database = await openTestDatabase();
  let at = 1_800_000_000_000;
  const users = createUsers({ connection: database.connection, now: () => at++ });
  await ensureIndexes(database.connection);
  const run = createCall(usersContract, users.handlers, {
    limit: () => {},
    observe: () => {},
    onBug: (error) => {
      throw error;
    },
  });
  const call: World['call'] = (name, input, userId = NOBODY) =>
    run(name, input, {
      session: { userId, sessionId: NOBODY, expiresAtMs: 0 },
      origin: { ip: '198.51.100.7', userAgent: 'test' },
      requestId: 'r',
    });
  return {
    database,
    users,
    call,
    async search(query, userId) {
      const answer = await call('user:search', { query }, userId);
      if (!answer.ok) throw new Error(answer.error.message);
      return (answer.data as { items: User[] }).items.map(({ name }) => name);
    },
    async add(...people) {
      const profiles: Profile[] = [];
      for (const person of people) profiles.push(await users.create(person));
      return profiles;
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

describe('user:search', () => {
  test('finds a name by the beginning of any of its words, whatever its case and accents', async () => {
    await using world = await openUsers();
    await world.add({ name: 'José María  Álvarez' }, { name: 'Joselyn Aldrin' }, { name: 'Ada Lovelace' });
    for (const query of ['jos', 'JOSE', 'josé']) {
      expect(await world.search(query)).toEqual(['José María  Álvarez', 'Joselyn Aldrin']);
    }
    expect(await world.search('alv')).toEqual(['José María  Álvarez']);
    expect(await world.search('maria alv')).toEqual(['José María  Álvarez']);
    expect(await world.search('jose alvarez')).toEqual([]);
    expect(await world.search('ovelace')).toEqual([]);
    expect(await world.search('lovelacex')).toEqual([]);
    expect(await world.search(' love ')).toEqual(['Ada Lovelace']);
  });

  test('does not take two words of a name for the two ends of a range', async () => {
    await using world = await openUsers();
    await world.add({ name: 'Aaron Zyx' });
    expect(await world.search('mi')).toEqual([]);
  });

  test('finds a username by its beginning, with or without @', async () => {
    await using world = await openUsers();
    await world.add({ name: 'Ada', username: 'enchantress' }, { name: 'Bob', username: 'bob.b' });
    expect(await world.search('ENCH')).toEqual(['Ada']);
    expect(await world.search('@bob.')).toEqual(['Bob']);
    expect(await world.search('chantress')).toEqual([]);
  });

  test('finds phone number and e-mail address only when they are complete', async () => {
    await using world = await openUsers();
    await world.add({ name: 'Ada', email: 'ada.l@example.com' }, { name: 'Bob', phoneNumber: '+14155550100' });
    expect(await world.search('Ada.L@Example.com')).toEqual(['Ada']);
    expect(await world.search('ada.l@example.co')).toEqual([]);
    expect(await world.search('ada.l')).toEqual([]);
    expect(await world.search('+1 (415) 555-0100')).toEqual(['Bob']);
    expect(await world.search('+1415555010')).toEqual([]);
    expect(await world.search('14155550100')).toEqual([]);
  });

  test('[BL-1] does not find by phone number or e-mail address who has opted out', async () => {
    await using world = await openUsers();
    const [ada] = await world.add({ name: 'Ada', email: 'ada@example.com', phoneNumber: '+14155550100' });
    const changed = await world.call('user:update-profile', { findable: false }, ada?.id);
    expect(changed).toMatchObject({ data: { user: { name: 'Ada', findable: false } } });
    expect(await world.search('ada@example.com')).toEqual([]);
    expect(await world.search('+14155550100')).toEqual([]);
    expect(await world.search('ada')).toEqual(['Ada']);
    await world.call('user:update-profile', { findable: true }, ada?.id);
    expect(await world.search('ada@example.com')).toEqual(['Ada']);
    expect(await world.search('+14155550100')).toEqual(['Ada']);
  });

  test('shows nobody twice, at most 20, and never the caller', async () => {
    await using world = await openUsers();
    const [me] = await world.add(
      { name: 'Sam Samson', username: 'samsam' },
      ...Array.from({ length: 30 }, (_, i) => ({ name: `Sam Samuel ${i}`, username: `sam${i}` })),
    );
    const found = await world.search('sam', me?.id);
    expect(found).toHaveLength(20);
    expect(new Set(found).size).toBe(20);
    expect(found).not.toContain('Sam Samson');
    expect(await world.search('samson', me?.id)).toEqual([]);
    expect(await world.search('samson')).toEqual(['Sam Samson']);
  });

  test('wants two characters, and takes operators and patterns as text', async () => {
    await using world = await openUsers();
    await world.add({ name: 'Ada' }, { name: '.* Regex' });
    expect(await world.search('a')).toEqual([]);
    expect(await world.search('.*')).toEqual(['.* Regex']);
    expect(await world.search('^a')).toEqual([]);
    expect(await world.search('$gt')).toEqual([]);
    for (const query of ['', '   ', 'x'.repeat(101), { $gt: '' }, ['ad']]) {
      expect(await world.call('user:search', { query })).toMatchObject({ error: { code: 'invalid' } });
    }
  });

  test('tells nothing but what everybody may see', async () => {
    await using world = await openUsers();
    const [ada] = await world.add({
      name: 'Ada',
      email: 'ada@example.com',
      phoneNumber: '+14155550100',
      password: 'x',
    });
    expect(await world.call('user:search', { query: 'ada' })).toEqual({
      ok: true,
      data: { items: [{ id: ada?.id, name: 'Ada', avatarUrl: `/api/users/${ada?.id}/avatar` }] },
    });
  });
});

test('[BL-1] user:get shows what everybody may see', async () => {
  await using world = await openUsers();
  const [ada] = await world.add({ name: 'Ada', username: 'ada', email: 'ada@example.com', password: 'x' });
  expect(await world.call('user:get', { userId: ada?.id })).toEqual({
    ok: true,
    data: { user: { id: ada?.id, name: 'Ada', username: 'ada', avatarUrl: `/api/users/${ada?.id}/avatar` } },
  });
  expect(await world.call('user:get', { userId: NOBODY })).toMatchObject({ error: { code: 'not_found' } });
});

describe('a profile', () => {
  test('changes name and username, and is found by the new ones', async () => {
    await using world = await openUsers();
    const [ada] = await world.add({ name: 'Ada', username: 'ada', email: 'ada@example.com' });
    const changed = await world.call('user:update-profile', { name: ' Ada Lovelace ', username: 'Countess' }, ada?.id);
    expect(changed).toEqual({ ok: true, data: { user: { ...ada, name: 'Ada Lovelace', username: 'countess' } } });
    expect(await world.call('user:profile', {}, ada?.id)).toEqual(changed);
    expect(await world.search('lovel')).toEqual(['Ada Lovelace']);
    expect(await world.search('countess')).toEqual(['Ada Lovelace']);
    expect(await world.call('user:update-profile', {}, ada?.id)).toEqual(changed);
    await world.call('user:update-profile', { username: 'ada' }, ada?.id);
    expect(await world.search('lovel')).toEqual(['Ada Lovelace']);
  });

  test('cannot take a username that another has, also of several who ask at once', async () => {
    await using world = await openUsers();
    const people = await world.add(...Array.from({ length: 6 }, (_, i) => ({ name: `P${i}`, username: `name${i}` })));
    const [first] = people;
    expect(await world.call('user:update-profile', { username: 'NAME1' }, first?.id)).toEqual({
      ok: false,
      error: {
        code: 'conflict',
        message: 'This username is taken',
        detail: [{ path: 'username', message: 'This username is taken' }],
      },
    });
    expect(await world.call('user:update-profile', { username: 'name0' }, first?.id)).toMatchObject({ ok: true });
    const answers = await Promise.all(
      people.map(({ id }) => world.call('user:update-profile', { username: 'wanted' }, id)),
    );
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
  });

  test('refuses what is no name, no username, or not offered', async () => {
    await using world = await openUsers();
    const [ada] = await world.add({ name: 'Ada' });
    const inputs = [
      { name: '' },
      { name: 'x'.repeat(81) },
      { username: 'a' },
      { username: '-ada' },
      { username: 'a b c' },
      { username: { $set: 1 } },
      { email: 'new@example.com' },
      { password: 'x' },
      JSON.parse('{"__proto__": {"name": "x"}}') as unknown,
    ];
    for (const input of inputs) {
      expect(await world.call('user:update-profile', input, ada?.id)).toMatchObject({ error: { code: 'invalid' } });
    }
    expect(await world.call('user:update-profile', { name: 'New' })).toMatchObject({ error: { code: 'not_found' } });
    expect(await world.call('user:profile', {})).toMatchObject({ error: { code: 'not_found' } });
  });
});

describe('the records', () => {
  test('hold each address, username and phone number once, and any number of people without', async () => {
    await using world = await openUsers();
    const taken: NewUser = { name: 'A', email: 'a@example.com', username: 'aaa', phoneNumber: '+14155550100' };
    await world.add(taken, { name: 'B' }, { name: 'C' });
    for (const field of ['email', 'username', 'phoneNumber'] as const) {
      await expect(world.users.create({ name: 'D', [field]: taken[field] })).rejects.toMatchObject({
        code: 'conflict',
        detail: [{ path: field }],
      });
    }
  });

  test('are read by id in the order asked for, and say who exists', async () => {
    await using world = await openUsers();
    const [a, b] = await world.add({ name: 'A' }, { name: 'B' });
    const ids = [b?.id ?? '', NOBODY, a?.id ?? '', b?.id ?? ''];
    expect((await world.users.findByIds(ids)).map(({ name }) => name)).toEqual(['B', 'A']);
    expect(new Set(await world.users.exists(ids))).toEqual(new Set([a?.id, b?.id]));
    expect(await world.users.findByIds([])).toEqual([]);
  });

  test('give a password only to whoever checks it, and change it only from the one expected', async () => {
    await using world = await openUsers();
    const [ada] = await world.add({ name: 'Ada', email: 'ada@example.com', username: 'ada', password: 'one' });
    const id = ada?.id ?? '';
    expect(JSON.stringify([ada, await world.users.profile(id), await world.users.findByIds([id])])).not.toContain(
      'one',
    );
    await world.users.setPassword(id, 'three', 'two');
    expect(await world.users.credentials({ username: 'ada' })).toEqual({ userId: id, password: 'one' });
    await world.users.setPassword(id, 'two', 'one');
    expect(await world.users.credentials({ email: 'ada@example.com' })).toEqual({ userId: id, password: 'two' });
    expect(await world.users.credentials({ username: 'nobody' })).toBeUndefined();
    expect(await world.users.profileByPhone('+14155550100')).toBeUndefined();
  });
});

describe('the generated avatar', () => {
  test('is the same for the same person, other for others, and missing for nobody', async () => {
    await using world = await openUsers();
    const [ada] = await world.add({ name: 'Ada Lovelace' });
    const svg = await world.users.avatarSvg(ada?.id ?? '');
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg".*>AL<\/text><\/svg>$/);
    expect(await world.users.avatarSvg(ada?.id ?? '')).toBe(svg);
    expect(await world.users.avatarSvg(NOBODY)).toBeUndefined();
    const colours = Array.from(
      { length: 30 },
      () => /hsl\(\d+/.exec(drawAvatar(new Types.ObjectId().toHexString(), 'A'))?.[0],
    );
    expect(new Set(colours).size).toBeGreaterThan(15);
  });

  const names: [string, string][] = [
    ['ada', 'A'],
    ['Ada King Lovelace', 'AL'],
    ['  李 小龙 ', '李小'],
    ['<script>alert(1)</script> & "x"', 'SX'],
    ['&lt; ]]>', 'L'],
    ['🙂 !!', '?'],
    ['\u0000\u0007', '?'],
    ['e\u0301mile zola', 'ÉZ'],
    ['𝒜da', '𝒜'],
  ];
  test.each(names)('shows %j as %s', (name, initials) => {
    expect(initialsOf(name)).toBe(initials);
    expect(drawAvatar(NOBODY, name)).toContain(`>${initials}</text>`);
  });
});
