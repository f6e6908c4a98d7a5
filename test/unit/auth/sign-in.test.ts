import { hashSync } from 'bcryptjs';
import { describe, expect, test } from 'vitest';
import type { Origin } from '../../../src/protocol/index.ts';
import { as, atOnce, faultOf, GOOD_PASSWORD, HOME, newcomer, openAuth, type SignedIn, type World } from './harness.ts';

const MINUTE = 60_000;
/** An address of its own for each try, so that only the account is counted. */
let addresses = 0;
const stranger = (): { origin: Origin } => {
  addresses++;
  return { origin: { ip: `203.0.${addresses >> 8}.${addresses & 255}`, userAgent: 'stranger' } };
};

describe('auth:register', () => {
  test('makes an account and signs in', async () => {
    await using world = await openAuth();
    const signedIn = await world.ok('auth:register', { ...newcomer(), email: ' Ada@Example.com ', username: 'Ada_L' });
    expect(signedIn.user).toMatchObject({ email: 'ada@example.com', username: 'ada_l' });
    expect(signedIn.user.avatarUrl).toBe(`/api/users/${signedIn.user.id}/avatar`);
    expect(signedIn.refreshToken).toMatch(/^[\w-]{43}$/);
    const me = await world.ok('auth:me', {}, await as(world.auth, signedIn.accessToken));
    expect(me).toEqual({ user: signedIn.user });
    const [row] = await world.audited('auth.register');
    expect(row).toMatchObject({ ok: true, ip: '198.51.100.0/24' });
    expect(String(row?.userId)).toBe(signedIn.user.id);
  });

  test('names somebody without a name after the username, else the address', async () => {
    await using world = await openAuth();
    const password = GOOD_PASSWORD;
    const byMail = await world.ok('auth:register', { email: 'grace.hopper@example.com', password });
    const byUsername = await world.ok('auth:register', { email: 'x@example.com', password, username: 'amazing' });
    expect([byMail.user.name, byUsername.user.name]).toEqual(['grace.hopper', 'amazing']);
  });

  test('gives an address to exactly one of many who ask at once, and says which field is taken', async () => {
    await using world = await openAuth();
    const person = newcomer();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => world.call('auth:register', { ...person, username: `name${i}` })),
    );
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
    const refused = answers.find(({ ok }) => !ok);
    expect(refused).toMatchObject({ error: { code: 'conflict', detail: [{ path: 'email' }] } });
    expect(await world.connection.collection('users').countDocuments()).toBe(1);

    const taken = (answers.find(({ ok }) => ok) as { data: SignedIn }).data.user.username;
    expect(await world.call('auth:register', { ...newcomer(), username: taken?.toUpperCase() })).toMatchObject({
      error: { code: 'conflict', detail: [{ path: 'username' }] },
    });
  });

  test('[AU-7] refuses what is too short, too long or too common', async () => {
    await using world = await openAuth();
    for (const password of ['short77', 'x'.repeat(129), 'Password123', 'qwertyuiop']) {
      expect(await world.call('auth:register', { ...newcomer(), password })).toMatchObject({
        error: { code: 'invalid', detail: [{ path: 'password' }] },
      });
    }
    expect(await world.code('auth:register', { ...newcomer(), admin: true })).toBe('invalid');
    expect(await world.code('auth:register', { ...newcomer(), email: { $gt: '' } })).toBe('invalid');
  });
});

describe('auth:login', () => {
  test('takes the e-mail address or the username', async () => {
    await using world = await openAuth();
    const { email, password } = newcomer();
    const { user } = await world.ok('auth:register', { email, password, username: 'ada' });
    for (const by of [{ email: email.toUpperCase() }, { username: 'Ada' }]) {
      expect((await world.ok('auth:login', { ...by, password })).user).toEqual(user);
    }
    expect(await world.code('auth:login', { password })).toBe('invalid');
    expect(await world.code('auth:login', { email, username: 'ada', password })).toBe('invalid');
    expect((await world.audited('auth.login')).map(({ ok }) => ok)).toEqual([true, true]);
  });

  test('[AU-1] gives a wrong password, an unknown user and a user without password the same answer', async () => {
    await using world = await openAuth();
    const { email, password } = newcomer();
    const { user } = await world.ok('auth:register', { email, password });
    await world.users.create({ name: 'By phone', username: 'by-phone', phoneNumber: '+14155550100' });
    const wrong = await world.call('auth:login', { email, password: 'wrong password' });
    expect(wrong).toMatchObject({ ok: false, error: { code: 'unauthenticated' } });
    expect(await world.call('auth:login', { email: 'nobody@example.com', password })).toEqual(wrong);
    expect(await world.call('auth:login', { username: 'by-phone', password })).toEqual(wrong);
    const rows = await world.audited('auth.login');
    expect(rows.map(({ ok, target }) => ({ ok, mine: target === user.id }))).toEqual([
      { ok: false, mine: true },
      { ok: false, mine: false },
      { ok: false, mine: false },
    ]);
  });

  test('replaces an imported password and one of another cost', async () => {
    await using world = await openAuth();
    const stored = (): Promise<unknown> =>
      world.connection
        .collection('users')
        .findOne({ username: 'old' })
        .then((user) => user?.['password']);
    await world.users.create({ name: 'Old', username: 'old', password: hashSync(GOOD_PASSWORD, 4) });
    const login = { username: 'old', password: GOOD_PASSWORD };
    await world.ok('auth:login', login);
    expect(await stored()).toMatch(/^hmac-sha384:\$2b\$04\$/);
    await world.node({ passwordCost: 5 }).ok('auth:login', login);
    expect(await stored()).toMatch(/^hmac-sha384:\$2b\$05\$/);
    await world.ok('auth:login', login);
  });

  test('[AU-10] says nothing secret in logs, audit rows or records', async () => {
    await using world = await openAuth();
    const { email, password } = newcomer();
    const first = await world.ok('auth:register', { email, password });
    await world.code('auth:login', { email, password: 'wrong password' });
    const second = await world.ok('auth:refresh-token', { refreshToken: first.refreshToken });
    await world.code('auth:refresh-token', { refreshToken: 'x'.repeat(43) });
    await world.audited('auth.login');
    const collections = await world.connection.db?.collections();
    const rows = await Promise.all((collections ?? []).map((collection) => collection.find({}).toArray()));
    const kept = JSON.stringify([rows, world.logged]);
    expect(kept).toContain(email);
    for (const secret of [password, 'wrong password', first.refreshToken, second.refreshToken, first.accessToken]) {
      expect(kept).not.toContain(secret);
    }
    expect(world.bugs).toEqual([]);
  });
});

describe('[AU-2] the lockout', () => {
  const wrong = (world: World, email: string, caller = stranger()) =>
    world.call('auth:login', { email, password: 'wrong password' }, caller);
  const right = (world: World, email: string, caller = stranger()) =>
    world.code('auth:login', { email, password: GOOD_PASSWORD }, caller);

  test('begins with the fifth failure, for five minutes, and doubles up to an hour', async () => {
    await using world = await openAuth();
    const { email } = (await world.ok('auth:register', newcomer())).user;
    for (const minutes of [5, 10, 20, 40, 60, 60]) {
      for (let i = 0; i < 5; i++) {
        expect(await wrong(world, email ?? '')).toMatchObject({ error: { code: 'unauthenticated' } });
      }
      expect(await wrong(world, email ?? '')).toMatchObject({
        error: { code: 'rate_limited', retryAfterMs: minutes * MINUTE },
      });
      expect(await right(world, email ?? '')).toBe('rate_limited');
      world.clock.advance(minutes * MINUTE - 1);
      expect(await right(world, email ?? '')).toBe('rate_limited');
      world.clock.advance(1);
    }
    expect(await right(world, email ?? '')).toBe('ok');
    // And begins anew.
    for (let i = 0; i < 5; i++) await wrong(world, email ?? '');
    expect(await wrong(world, email ?? '')).toMatchObject({ error: { retryAfterMs: 5 * MINUTE } });
  });

  test('looks at no more than five passwords of many that come at once, on several nodes', async () => {
    await using world = await openAuth();
    const { email } = (await world.ok('auth:register', newcomer())).user;
    const nodes = [world, world.node()];
    const codes = await atOnce(nodes, 20, (node) =>
      node.code('auth:login', { email, password: 'wrong password' }, stranger()),
    );
    expect(codes.filter((code) => code === 'unauthenticated')).toHaveLength(5);
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(15);
    expect(world.bugs).toEqual([]);
  });

  test('is kept over a restart', async () => {
    await using world = await openAuth();
    const { email } = (await world.ok('auth:register', newcomer())).user;
    for (let i = 0; i < 5; i++) await wrong(world, email ?? '');
    expect(await world.node().code('auth:login', { email, password: GOOD_PASSWORD }, stranger())).toBe('rate_limited');
  });

  test('treats an account that does not exist alike', async () => {
    await using world = await openAuth();
    for (let i = 0; i < 5; i++) {
      expect(await wrong(world, 'nobody@example.com')).toMatchObject({ error: { code: 'unauthenticated' } });
    }
    expect(await wrong(world, 'nobody@example.com')).toMatchObject({
      error: { code: 'rate_limited', retryAfterMs: 5 * MINUTE },
    });
  });

  test('does not lock out a device that has signed in before, but has an eye on it too', async () => {
    await using world = await openAuth();
    const { email } = (await world.ok('auth:register', newcomer())).user;
    for (let i = 0; i < 6; i++) await wrong(world, email ?? '');
    expect(await right(world, email ?? '')).toBe('rate_limited');
    // Its network, though not its address, and its browser are those of the registration.
    const home = { origin: { ...HOME, ip: '198.51.100.99' } };
    expect(await right(world, email ?? '', home)).toBe('ok');
    expect(await right(world, email ?? '')).toBe('rate_limited');
    for (let i = 0; i < 5; i++) await wrong(world, email ?? '', home);
    expect(await right(world, email ?? '', home)).toBe('rate_limited');
  });

  test('does not count what the server itself could not check', async () => {
    await using world = await openAuth();
    const { email } = (await world.ok('auth:register', newcomer())).user;
    const stopped = world.node();
    await stopped.auth.close();
    for (let i = 0; i < 7; i++) {
      expect(await stopped.code('auth:login', { email, password: GOOD_PASSWORD }, stranger())).toBe('unavailable');
    }
    expect(await right(world, email ?? '')).toBe('ok');
  });

  test('forgets by itself: every record of it has an end', async () => {
    await using world = await openAuth();
    const { email } = (await world.ok('auth:register', newcomer())).user;
    await wrong(world, email ?? '');
    for (const name of ['lockouts', 'devices', 'sessions']) {
      const [record] = await world.connection.collection(name).find({}).toArray();
      expect(record?.['purgeAt']).toBeInstanceOf(Date);
      const indexes = await world.connection.collection(name).indexes();
      expect(indexes).toContainEqual(expect.objectContaining({ key: { purgeAt: 1 }, expireAfterSeconds: 0 }));
    }
  });

  test('lets one address try 30 times in five minutes, whichever the account', async () => {
    await using world = await openAuth();
    const origin = { ip: '2001:db8:1:2:3::1', userAgent: 'x' };
    for (let i = 0; i < 30; i++) {
      // One client has all addresses of its network.
      const from = { origin: { ...origin, ip: `2001:db8:1:2:${i}::1` } };
      expect(await world.code('auth:login', { email: `n${i}@example.com`, password: 'wrong pw' }, from)).toBe(
        'unauthenticated',
      );
    }
    const refused = await world.call('auth:login', { email: 'n31@example.com', password: 'wrong pw' }, { origin });
    expect(refused).toMatchObject({ error: { code: 'rate_limited', retryAfterMs: expect.any(Number) as number } });
    const elsewhere = { origin: { ...origin, ip: '2001:db8:1:3::1' } };
    expect(await world.code('auth:login', { email: 'n32@example.com', password: 'wrong pw' }, elsewhere)).toBe(
      'unauthenticated',
    );
  });
});

test('a caller without a good token is nobody', async () => {
  await using world = await openAuth();
  expect(await faultOf(world.auth.authenticate('nonsense'))).toBe('unauthenticated');
  expect(await world.code('auth:me', {})).toBe('unauthenticated');
});
