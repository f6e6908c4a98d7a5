import { describe, expect, test } from 'vitest';
import type { Caller, Origin } from '../../../src/protocol/index.ts';
import { atOnce, HOME, newcomer, openAuth, type World } from './harness.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const phone = '+14155550100';
/** Another valid number of the same prefix for each index. */
const nth = (i: number): string => `+1415555${String(1000 + i)}`;

interface Sent {
  challengeId: string;
  expiresInSeconds: number;
  resendAfterSeconds: number;
}

let addresses = 0;
/** An address of its own for each try, so that only the phone is counted. */
const stranger = (): Partial<Caller> => {
  addresses++;
  const origin: Origin = { ip: `203.0.${addresses >> 8}.${addresses & 255}`, userAgent: 'stranger' };
  return { origin };
};

const send = (world: World, phoneNumber = phone, caller = stranger()) =>
  world.call('auth:send-otp', { phoneNumber }, caller);
const sendOk = (world: World, phoneNumber = phone): Promise<Sent> =>
  world.ok<Sent>('auth:send-otp', { phoneNumber }, stranger());
const sendCode = (world: World, phoneNumber = phone, caller = stranger()): Promise<string> =>
  world.code('auth:send-otp', { phoneNumber }, caller);
/** The newest code that a phone got. */
const codeOf = (world: World, to = phone): string =>
  world.auth.outbox?.list().find((message) => message.to === to)?.code ?? 'none';
const other = (code: string): string => (code === '000000' ? '000001' : '000000');
const verify = (world: World, otp: string, more: object = {}): Promise<string> =>
  world.code('auth:verify-otp', { phoneNumber: phone, otp, ...more }, stranger());

describe('a phone code', () => {
  test('[AU-8] has six digits, signs in, makes the user once, and serves once', async () => {
    await using world = await openAuth();
    expect(await sendOk(world)).toEqual({
      challengeId: expect.stringMatching(/^[0-9a-f]{24}$/) as string,
      expiresInSeconds: 300,
      resendAfterSeconds: 60,
    });
    const code = codeOf(world);
    expect(code).toMatch(/^\d{6}$/);
    const first = await world.ok('auth:verify-otp', { phoneNumber: '+1 (415) 555-0100', otp: code });
    expect(first.user).toMatchObject({ phoneNumber: phone, name: 'User 0100' });
    expect(await world.auth.authenticate(first.accessToken)).toMatchObject({ userId: first.user.id });
    expect(await verify(world, code)).toBe('unauthenticated');

    world.clock.advance(MINUTE);
    await sendOk(world);
    const again = await world.ok('auth:verify-otp', { phoneNumber: phone, otp: codeOf(world) });
    expect(again.user).toEqual(first.user);
    expect((await world.audited('auth.otp-send')).map(({ ok }) => ok)).toEqual([true, true]);
    expect((await world.audited('auth.login')).map(({ ok, detail }) => [ok, detail?.['method']])).toEqual([
      [true, 'otp'],
      [false, 'otp'],
      [true, 'otp'],
    ]);
  });

  test('[AU-8] serves once among many who show it at the same time on several nodes', async () => {
    await using world = await openAuth();
    await sendOk(world);
    const input = { phoneNumber: phone, otp: codeOf(world) };
    const nodes = [world, world.node(), world.node()];
    const codes = await atOnce(nodes, 9, (node) => node.code('auth:verify-otp', input, stranger()));
    expect(codes.filter((code) => code === 'ok')).toHaveLength(1);
    expect(await world.connection.collection('users').countDocuments()).toBe(1);
    expect(world.bugs).toEqual([]);
  });

  test('[AU-8] lives five minutes', async () => {
    await using world = await openAuth();
    await sendOk(world);
    world.clock.advance(5 * MINUTE);
    expect(await verify(world, codeOf(world))).toBe('unauthenticated');
    await sendOk(world);
    world.clock.advance(5 * MINUTE - 1);
    expect(await verify(world, codeOf(world))).toBe('ok');
  });

  test('[AU-8] allows five tries, the right one included', async () => {
    await using world = await openAuth();
    await sendOk(world);
    const right = codeOf(world);
    for (let i = 0; i < 4; i++) expect(await verify(world, other(right))).toBe('unauthenticated');
    expect(await verify(world, right)).toBe('ok');

    world.clock.advance(HOUR);
    await sendOk(world);
    const second = codeOf(world);
    for (let i = 0; i < 5; i++) expect(await verify(world, other(second))).toBe('unauthenticated');
    expect(await verify(world, second)).toBe('unauthenticated');
  });

  test('[AU-8] allows no more than five of twenty tries at once, on several nodes', async () => {
    await using world = await openAuth();
    await sendOk(world);
    const right = codeOf(world);
    const nodes = [world, world.node()];
    const input = { phoneNumber: phone, otp: other(right) };
    const codes = await atOnce(nodes, 20, (node) => node.code('auth:verify-otp', input, stranger()));
    expect(new Set(codes)).toEqual(new Set(['unauthenticated', 'rate_limited']));
    const [record] = await world.connection.collection('phones').find({}).toArray();
    expect(record).toMatchObject({ challenge: null });
    expect(record?.['wrongAtMs']).toHaveLength(10);
    world.clock.advance(HOUR);
    expect(await verify(world, right)).toBe('unauthenticated');
  });

  test('belongs to its challenge and its phone', async () => {
    await using world = await openAuth();
    const first = await sendOk(world);
    const early = codeOf(world);
    world.clock.advance(MINUTE);
    const second = await sendOk(world);
    const late = codeOf(world);
    expect(await verify(world, early, { challengeId: first.challengeId })).toBe('unauthenticated');
    expect(await verify(world, late, { challengeId: first.challengeId })).toBe('unauthenticated');
    await sendOk(world, nth(1));
    expect(await world.code('auth:verify-otp', { phoneNumber: nth(1), otp: late }, stranger())).toBe('unauthenticated');
    expect(await verify(world, late, { challengeId: second.challengeId })).toBe('ok');
  });

  test('[AU-10] is stored as a keyed hash only', async () => {
    await using world = await openAuth();
    await sendOk(world);
    const records = await world.connection.collection('phones').find({}).toArray();
    expect(JSON.stringify(records)).not.toContain(codeOf(world));
    await world.audited('auth.otp-send');
    const rows = await world.connection.collection('audit').find({}).toArray();
    expect(JSON.stringify(rows)).not.toContain(codeOf(world));
  });

  test('joins the account that has the phone number already', async () => {
    await using world = await openAuth();
    const existing = await world.users.create({ name: 'Ada', phoneNumber: phone });
    await sendOk(world);
    const { user } = await world.ok('auth:verify-otp', { phoneNumber: phone, otp: codeOf(world) });
    expect(user).toEqual(existing);
  });
});

describe('[AU-9] codes of one phone', () => {
  test('come at most once in a minute', async () => {
    await using world = await openAuth();
    await sendOk(world);
    world.clock.advance(20 * SECOND);
    expect(await send(world)).toMatchObject({ error: { code: 'rate_limited', retryAfterMs: 40 * SECOND } });
    world.clock.advance(40 * SECOND);
    expect(await sendCode(world)).toBe('ok');
  });

  test('come at most once for many who ask at the same time on several nodes', async () => {
    await using world = await openAuth();
    const nodes = [world, world.node(), world.node()];
    const codes = await atOnce(nodes, 9, (node) => node.code('auth:send-otp', { phoneNumber: phone }, stranger()));
    expect(codes.filter((code) => code === 'ok')).toHaveLength(1);
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(8);
  });

  test('come at most five times in ten minutes and ten times in a day', async () => {
    await using world = await openAuth();
    for (let i = 0; i < 5; i++) {
      await sendOk(world);
      world.clock.advance(MINUTE);
    }
    expect(await send(world)).toMatchObject({ error: { code: 'rate_limited', retryAfterMs: 5 * MINUTE } });
    world.clock.advance(5 * MINUTE);
    for (let i = 0; i < 5; i++) {
      await sendOk(world);
      world.clock.advance(10 * MINUTE);
    }
    expect(await send(world)).toMatchObject({ error: { code: 'rate_limited', retryAfterMs: DAY - HOUR } });
    // A restart forgets nothing.
    expect(await world.node().code('auth:send-otp', { phoneNumber: phone }, stranger())).toBe('rate_limited');
    world.clock.advance(DAY - HOUR);
    expect(await sendCode(world)).toBe('ok');
  });

  test('are refused after ten wrong tries in an hour, over resends, right ones too', async () => {
    await using world = await openAuth();
    for (let i = 0; i < 2; i++) {
      await sendOk(world);
      for (let n = 0; n < 5; n++) expect(await verify(world, other(codeOf(world)))).toBe('unauthenticated');
      world.clock.advance(MINUTE);
    }
    expect(await send(world)).toMatchObject({ error: { code: 'rate_limited', retryAfterMs: 58 * MINUTE } });
    expect(await verify(world, codeOf(world))).toBe('rate_limited');
    world.clock.advance(58 * MINUTE);
    expect(await sendCode(world)).toBe('ok');
    expect(await verify(world, codeOf(world))).toBe('ok');
  });

  test('cannot be guessed by trying without ever asking for one', async () => {
    await using world = await openAuth();
    const codes: string[] = [];
    for (let i = 0; i < 12; i++) codes.push(await verify(world, String(100_000 + i)));
    expect(codes).toEqual([...Array<string>(10).fill('unauthenticated'), 'rate_limited', 'rate_limited']);
  });
});

describe('[AU-9] codes altogether', () => {
  test('come at most ten times in an hour from one address', async () => {
    await using world = await openAuth();
    for (let i = 0; i < 10; i++) expect(await sendCode(world, nth(i), { origin: HOME })).toBe('ok');
    expect(await sendCode(world, nth(10), { origin: HOME })).toBe('rate_limited');
    expect(await sendCode(world, nth(10))).toBe('ok');
  });

  test('stay below the hourly cap, whoever asks, until the next hour', async () => {
    const provider = { kind: 'console' } as const;
    await using world = await openAuth({ otp: { provider, countries: undefined, hourlyCap: 5 } });
    world.clock.advance(HOUR - (world.clock.now() % HOUR));
    const codes = await Promise.all(Array.from({ length: 12 }, (_, i) => sendCode(world, nth(i))));
    expect(codes.filter((code) => code === 'ok')).toHaveLength(5);
    world.clock.advance(HOUR - 1);
    expect(await send(world, nth(20))).toMatchObject({ error: { code: 'unavailable', retryAfterMs: 1 } });
    world.clock.advance(1);
    expect(await sendCode(world, nth(21))).toBe('ok');
  });

  test('stop for a prefix at which under 30 % of 50 are verified', async () => {
    await using world = await openAuth();
    world.clock.advance(5 * MINUTE - (world.clock.now() % (5 * MINUTE)));
    const verifyNth = (i: number): Promise<string> =>
      world.code('auth:verify-otp', { phoneNumber: nth(i), otp: codeOf(world, nth(i)) }, stranger());
    for (let i = 0; i < 50; i++) {
      expect(await sendCode(world, nth(i))).toBe('ok');
    }
    for (let i = 0; i < 14; i++) expect(await verifyNth(i)).toBe('ok');
    expect(await sendCode(world, nth(50))).toBe('unavailable');
    expect(await sendCode(world, '+919876543210')).toBe('ok');
    // One more that is verified makes it 30 %.
    expect(await verifyNth(20)).toBe('ok');
    expect(await sendCode(world, nth(50))).toBe('ok');
    expect(await sendCode(world, nth(51))).toBe('unavailable');
    world.clock.advance(HOUR);
    expect(await sendCode(world, nth(51))).toBe('ok');
  });

  test('go only to the countries that are served', async () => {
    const provider = { kind: 'console' } as const;
    await using world = await openAuth({ otp: { provider, countries: ['DE', 'IN'], hourlyCap: undefined } });
    expect(await sendCode(world, '+4915112345678')).toBe('ok');
    expect(await sendCode(world, '+919876543210')).toBe('ok');
    expect(await sendCode(world)).toBe('unsupported');
  });

  test('never go to what is no mobile number', async () => {
    await using world = await openAuth();
    const bad = [
      '4155550100',
      '+1415',
      '+14155550',
      '+10000000000',
      'not a number',
      '+1415555010000000',
      '+18005551234',
    ];
    for (const phoneNumber of bad) {
      expect(await send(world, phoneNumber)).toMatchObject({
        error: { code: 'invalid', detail: [{ path: 'phoneNumber' }] },
      });
      expect(await world.code('auth:verify-otp', { phoneNumber, otp: '123456' })).toBe('invalid');
    }
  });

  test('are unavailable without a provider', async () => {
    await using world = await openAuth({ otp: { provider: { kind: 'off' }, countries: [], hourlyCap: 10 } });
    expect(await sendCode(world)).toBe('unavailable');
    expect(world.auth.outbox).toBeUndefined();
    expect(await world.code('auth:send-otp', { phoneNumber: phone, channel: 'pigeon' })).toBe('invalid');
  });
});

describe('the console provider', () => {
  test('prints the code and keeps the last 50 messages, newest first', async () => {
    await using world = await openAuth();
    for (let i = 0; i < 49; i++) await sendOk(world, nth(i));
    await sendOk(world, '+919876543210');
    await sendOk(world, '+4915112345678');
    const messages = world.auth.outbox?.list() ?? [];
    expect(messages).toHaveLength(50);
    expect(messages[0]).toMatchObject({ to: '+4915112345678', channel: 'sms' });
    expect(messages[0]?.text).toContain(messages[0]?.code ?? 'none');
    expect(messages.at(-1)?.to).toBe(nth(1));
    expect(world.logged.join('\n')).toContain(`The code for +4915112345678 is ${messages[0]?.code}`);
  });
});

test('a person by phone and a person by password are two', async () => {
  await using world = await openAuth();
  const byPassword = await world.ok('auth:register', newcomer());
  await sendOk(world);
  const byPhone = await world.ok('auth:verify-otp', { phoneNumber: phone, otp: codeOf(world) });
  expect(byPhone.user.id).not.toBe(byPassword.user.id);
  expect(byPhone.user.email).toBeUndefined();
});
