import { describe, expect, test } from 'vitest';
import { asSessionRevoked, type SessionRevoked } from '../../../src/features/auth/index.ts';
import { createLiveSessions, type LiveSession } from '../../../src/features/auth/live-sessions.ts';
import type { Session } from '../../../src/protocol/index.ts';
import { as, faultOf, HOME, newcomer, openAuth, type Node, type SignedIn, type Tokens, type World } from './harness.ts';

const SECOND = 1_000;
const DAY = 86_400 * SECOND;

const refresh = (node: Node, refreshToken: string): Promise<Tokens> =>
  node.ok<Tokens>('auth:refresh-token', { refreshToken });
const refused = (node: Node, refreshToken: string): Promise<string> =>
  node.code('auth:refresh-token', { refreshToken });
const login = (world: World, { user }: SignedIn, userAgent = 'test/1'): Promise<SignedIn> =>
  world.ok('auth:login', { email: user.email, password: 'correct horse battery' }, { origin: { ...HOME, userAgent } });
const revoked = (world: World): SessionRevoked[] => world.notices.flatMap((notice) => asSessionRevoked(notice) ?? []);

describe('a refresh token', () => {
  test('[AU-3] gives a new pair of the same session each time', async () => {
    await using world = await openAuth();
    const first = await world.ok('auth:register', newcomer());
    const { sessionId } = await world.auth.authenticate(first.accessToken);
    let { refreshToken } = first;
    const seen = new Set([refreshToken]);
    for (let i = 0; i < 5; i++) {
      world.clock.advance(15 * 60 * SECOND);
      const pair = await refresh(world, refreshToken);
      expect(await world.auth.authenticate(pair.accessToken)).toMatchObject({ userId: first.user.id, sessionId });
      expect(pair.expiresInSeconds).toBe(900);
      ({ refreshToken } = pair);
      seen.add(refreshToken);
    }
    expect(seen.size).toBe(6);
    expect(await world.connection.collection('sessions').countDocuments()).toBe(1);
  });

  test('[AU-3] gives tabs that race one successor, on every node, for 20 seconds', async () => {
    await using world = await openAuth();
    const { refreshToken } = await world.ok('auth:register', newcomer());
    const nodes = [world, world.node(), world.node()];
    const pairs = await Promise.all(
      nodes.flatMap((node) => [refresh(node, refreshToken), refresh(node, refreshToken)]),
    );
    const successors = new Set(pairs.map((pair) => pair.refreshToken));
    expect(successors.size).toBe(1);
    world.clock.advance(20 * SECOND);
    expect((await refresh(world, refreshToken)).refreshToken).toBe(pairs[0]?.refreshToken);
    expect(revoked(world)).toEqual([]);
  });

  test('[AU-4] that was exchanged longer ago ends the session everywhere', async () => {
    await using world = await openAuth();
    const first = await world.ok('auth:register', newcomer());
    const { sessionId } = await world.auth.authenticate(first.accessToken);
    const second = await refresh(world, first.refreshToken);
    world.clock.advance(20 * SECOND + 1);
    expect(await refused(world, first.refreshToken)).toBe('unauthenticated');
    expect(revoked(world)).toEqual([
      { type: 'session:revoked', userId: first.user.id, sessionIds: [sessionId], reason: 'reuse' },
    ]);
    expect(await refused(world, second.refreshToken)).toBe('unauthenticated');
    expect(await faultOf(world.auth.authenticate(second.accessToken))).toBe('unauthenticated');
    const [row, ...more] = await world.audited('auth.refresh-reuse');
    expect(row).toMatchObject({ ok: false, target: sessionId });
    expect(more).toEqual([]);
    // It has ended: showing it again is no news.
    expect(await refused(world, first.refreshToken)).toBe('unauthenticated');
    expect(await world.audited('auth.refresh-reuse')).toHaveLength(1);
  });

  test('[AU-4] older than its parent ends the session at once, however old it is', async () => {
    await using world = await openAuth();
    for (const generations of [2, 3, 6]) {
      const first = await world.ok('auth:register', newcomer());
      let { refreshToken } = first;
      for (let i = 0; i < generations; i++) ({ refreshToken } = await refresh(world, refreshToken));
      expect(await refused(world, first.refreshToken)).toBe('unauthenticated');
      expect(await refused(world, refreshToken)).toBe('unauthenticated');
    }
    expect(await world.audited('auth.refresh-reuse')).toHaveLength(3);
  });

  test("of one session leaves the user's others alone", async () => {
    await using world = await openAuth();
    const first = await world.ok('auth:register', newcomer());
    const other = await login(world, first);
    await refresh(world, first.refreshToken);
    world.clock.advance(30 * SECOND);
    expect(await refused(world, first.refreshToken)).toBe('unauthenticated');
    expect(await refused(world, other.refreshToken)).toBe('ok');
  });

  test('lives seven days without use', async () => {
    await using world = await openAuth();
    const { refreshToken } = await world.ok('auth:register', newcomer());
    world.clock.advance(7 * DAY - 1);
    const next = await refresh(world, refreshToken);
    world.clock.advance(7 * DAY);
    expect(await refused(world, next.refreshToken)).toBe('unauthenticated');
    expect(revoked(world)).toEqual([]);
  });

  test('lives thirty days with use, and its access tokens no longer', async () => {
    await using world = await openAuth();
    let { refreshToken } = await world.ok('auth:register', newcomer());
    for (let day = 6; day < 30; day += 6) {
      world.clock.advance(6 * DAY);
      ({ refreshToken } = await refresh(world, refreshToken));
    }
    world.clock.advance(6 * DAY - 60 * SECOND);
    const last = await refresh(world, refreshToken);
    expect(last.expiresInSeconds).toBe(60);
    world.clock.advance(60 * SECOND);
    expect(await refused(world, last.refreshToken)).toBe('unauthenticated');
    expect(await faultOf(world.auth.authenticate(last.accessToken))).toBe('unauthenticated');
  });

  test('that is unknown or malformed is refused', async () => {
    await using world = await openAuth();
    expect(await refused(world, 'x'.repeat(43))).toBe('unauthenticated');
    expect(await refused(world, 'ключ')).toBe('unauthenticated');
    expect(await refused(world, '')).toBe('invalid');
    expect(await world.code('auth:refresh-token', { refreshToken: { $ne: '' } })).toBe('invalid');
  });

  test('is stored as a keyed hash only, with the network and browser that used it last', async () => {
    await using world = await openAuth();
    const { refreshToken } = await world.ok('auth:register', newcomer());
    const later = { ip: '2001:db8:7:8::9', userAgent: `new browser ${'x'.repeat(500)}` };
    world.clock.advance(60 * SECOND);
    const next = await world.ok<Tokens>('auth:refresh-token', { refreshToken }, { origin: later });
    const [record] = await world.connection.collection('sessions').find({}).toArray();
    expect(JSON.stringify(record)).not.toContain(refreshToken);
    expect(JSON.stringify(record)).not.toContain(next.refreshToken);
    expect(record).toMatchObject({ ip: '2001:db8:7::/48', lastSeenAt: new Date(world.clock.now()) });
    expect(String(record?.['userAgent'])).toHaveLength(200);
  });
});

describe('sessions of one user', () => {
  test('are at most 20: the one unseen for longest ends, and its connections with it', async () => {
    await using world = await openAuth();
    const first = await world.ok('auth:register', newcomer());
    const others: SignedIn[] = [];
    for (let i = 0; i < 19; i++) {
      world.clock.advance(11 * SECOND);
      others.push(await login(world, first));
    }
    world.clock.advance(11 * SECOND);
    const kept = await refresh(world, first.refreshToken);
    expect(revoked(world)).toEqual([]);
    const oldest = await world.auth.authenticate(others[0]?.accessToken ?? '');
    world.clock.advance(300 * SECOND);
    const newest = await login(world, first);
    expect(revoked(world)).toEqual([
      { type: 'session:revoked', userId: first.user.id, sessionIds: [oldest.sessionId], reason: 'revoked' },
    ]);
    expect(await refused(world, others[0]?.refreshToken ?? '')).toBe('unauthenticated');
    for (const token of [kept, newest, ...others.slice(1)]) {
      expect(await refused(world, token.refreshToken)).toBe('ok');
    }
  });
});

describe('auth:logout', () => {
  test('[AU-5] ends the session of the access token, on every node, and is repeatable', async () => {
    await using world = await openAuth();
    const node = world.node();
    const first = await world.ok('auth:register', newcomer());
    const session = await node.auth.authenticate(first.accessToken);
    expect(await world.code('auth:logout', {}, { session })).toBe('ok');
    expect(revoked(world)).toEqual([
      { type: 'session:revoked', userId: first.user.id, sessionIds: [session.sessionId], reason: 'logout' },
    ]);
    // Although this node has just asked about it.
    expect(await faultOf(node.auth.authenticate(first.accessToken))).toBe('unauthenticated');
    expect(await refused(world, first.refreshToken)).toBe('unauthenticated');
    expect(await world.code('auth:logout', {}, { session })).toBe('ok');
    expect(await world.audited('auth.logout')).toHaveLength(1);
  });

  test('[AU-5] ends the session of a refresh token, also of one that has been exchanged', async () => {
    await using world = await openAuth();
    for (const generations of [0, 1, 2]) {
      const first = await world.ok('auth:register', newcomer());
      let { refreshToken } = first;
      for (let i = 0; i < generations; i++) ({ refreshToken } = await refresh(world, refreshToken));
      expect(await world.code('auth:logout', { refreshToken: first.refreshToken })).toBe('ok');
      expect(await refused(world, refreshToken)).toBe('unauthenticated');
      expect(await world.code('auth:logout', { refreshToken })).toBe('ok');
    }
    expect(revoked(world).map(({ reason }) => reason)).toEqual(['logout', 'logout', 'logout']);
  });

  test('without any token, or with an unknown one, does nothing', async () => {
    await using world = await openAuth();
    expect(await world.code('auth:logout', {})).toBe('ok');
    expect(await world.code('auth:logout', { refreshToken: 'x'.repeat(43) })).toBe('ok');
    expect(revoked(world)).toEqual([]);
  });
});

describe('authenticate', () => {
  test('asks once for a storm of connections, again after five seconds, and at once when that failed', async () => {
    await using world = await openAuth();
    let asked = 0;
    let answer = async (): Promise<LiveSession | undefined> => ({ userId: 'u', endsAtMs: world.clock.now() + DAY });
    const live = createLiveSessions(
      () => {
        asked++;
        return answer();
      },
      world.bus,
      world.clock.now,
    );
    await Promise.all(Array.from({ length: 200 }, () => live.find('s')));
    await live.find('s');
    expect(asked).toBe(1);
    world.clock.advance(5 * SECOND);
    answer = () => Promise.reject(new Error('no database'));
    await expect(Promise.all([live.find('s'), live.find('s')])).rejects.toThrow('no database');
    expect(asked).toBe(2);
    answer = () => Promise.resolve(undefined);
    expect(await live.find('s')).toBeUndefined();
    expect(asked).toBe(3);
    live.close();
  });

  test('notices within five seconds what no notice told', async () => {
    await using world = await openAuth();
    const first = await world.ok('auth:register', newcomer());
    await world.auth.authenticate(first.accessToken);
    await world.connection.collection('sessions').updateMany({}, { $set: { endedAt: new Date() } });
    expect(await faultOf(world.auth.authenticate(first.accessToken))).toBe('ok');
    world.clock.advance(5 * SECOND);
    expect(await faultOf(world.auth.authenticate(first.accessToken))).toBe('unauthenticated');
  });

  test('believes a notice that comes while it asks', async () => {
    await using world = await openAuth();
    const first = await world.ok('auth:register', newcomer());
    const { sessionId } = await world.auth.authenticate(first.accessToken);
    const node = world.node();
    const asked = faultOf(node.auth.authenticate(first.accessToken));
    world.bus.publish('all', {
      type: 'session:revoked',
      userId: first.user.id,
      sessionIds: [sessionId],
      reason: 'logout',
    });
    expect(await asked).toBe('unauthenticated');
  });

  test('is not upset by what else is said to all nodes', async () => {
    await using world = await openAuth();
    const first = await world.ok('auth:register', newcomer());
    for (const notice of [null, 'x', { type: 'session:revoked' }, { type: 'other', sessionIds: [1] }]) {
      world.bus.publish('all', notice);
    }
    await expect.poll(() => world.notices).toHaveLength(4);
    expect(await faultOf(world.auth.authenticate(first.accessToken))).toBe('ok');
  });
});

describe('auth:refresh', () => {
  test('[AU-6] swaps the session of a live connection for the same user only', async () => {
    await using world = await openAuth();
    const [mine, theirs] = [await world.ok('auth:register', newcomer()), await world.ok('auth:register', newcomer())];
    const renewed: Session[] = [];
    const caller = {
      ...(await as(world.auth, mine.accessToken)),
      renewSession: (session: Session) => void renewed.push(session),
    };
    world.clock.advance(600 * SECOND);
    const { accessToken } = await refresh(world, mine.refreshToken);
    world.clock.advance(100 * SECOND);
    expect(await world.ok('auth:refresh', { accessToken }, caller)).toEqual({ expiresInSeconds: 800 });
    expect(renewed).toEqual([await world.auth.authenticate(accessToken)]);

    expect(await world.code('auth:refresh', { accessToken: theirs.accessToken }, caller)).toBe('forbidden');
    expect(await world.code('auth:refresh', { accessToken: 'nonsense' }, caller)).toBe('unauthenticated');
    expect(await world.code('auth:refresh', { accessToken })).toBe('unauthenticated');
    expect(renewed).toHaveLength(1);
  });
});
