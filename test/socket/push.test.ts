/** Push, from a message to what a browser shows, through a whole server and a push service on this machine. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { call } from '../support/calls.ts';
import { startPushService, type PushDevice, type PushService } from '../support/push-service.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let service: PushService;
let publicKey: string;
/** The server's clock runs ahead by so much; like any clock it never goes back. */
let aheadMs = 0;

beforeAll(async () => {
  service = await startPushService();
  server = await startServer({}, { now: () => Date.now() + aheadMs });
  const { body } = await server.request('GET', '/api/push/key', { as: await server.person() });
  ({ publicKey } = (body as unknown as { data: { publicKey: string } }).data);
});

afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  await service[Symbol.asyncDispose]();
  const wrong = [...errors, ...service.complaints];
  if (wrong.length > 0) throw new AggregateError(wrong, `There were ${wrong.length} errors`);
});

async function ok(as: Person, method: string, path: string, body?: unknown): Promise<Record<string, never>> {
  const answer = await server.request(method, path, { as, ...(body === undefined ? {} : { body }) });
  expect(answer).toMatchObject({ status: 200 });
  return answer.body.data as unknown as Record<string, never>;
}

/** Somebody who is away and has a device. */
async function away(name: string): Promise<{ person: Person; device: PushDevice }> {
  const person = await server.person(name);
  return { person, device: await subscribe(person) };
}

async function subscribe(person: Person): Promise<PushDevice> {
  const device = service.device(publicKey);
  await ok(person, 'POST', '/api/push/subscriptions', { subscription: device.subscription, deviceName: 'Phone' });
  return device;
}

let count = 0;
async function say(as: Person, chatId: string, content: string, more: object = {}): Promise<string> {
  count++;
  const body = { content, clientId: `c${count}`, ...more };
  return ((await ok(as, 'POST', `/api/chats/${chatId}/messages`, body)) as unknown as { id: string }).id;
}

/** Waits until a later message to the same person has come: what came before it, if anything, is there too. */
async function settled(from: Person, to: { person: Person; device: PushDevice }): Promise<PushDevice['shown']> {
  const chatId = await server.chat([from, to.person]);
  const id = await say(from, chatId, 'the end');
  await expect.poll(() => to.device.shown.at(-1)?.payload.messageId, { timeout: 15_000 }).toBe(id);
  return to.device.shown.slice(0, -1);
}

test('[PU-1] [PU-2] somebody who is away gets who says what where, signed and encrypted', async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const chatId = await server.chat([ada, bob.person]);
  const messageId = await say(ada, chatId, 'Tea is ready');
  await expect.poll(() => bob.device.shown, { timeout: 10_000 }).toHaveLength(1);
  const [shown] = bob.device.shown;
  expect(shown?.payload).toMatchObject({ type: 'message', chatId, messageId });
  expect(`${shown?.payload.title} ${shown?.payload.body}`).toContain('Tea is ready');
  expect(`${shown?.payload.title} ${shown?.payload.body}`).toContain('Ada');
  expect(shown).toMatchObject({ ttlSeconds: LIMITS.pushTtlSeconds, urgency: 'normal' });

  const mentionId = await say(ada, chatId, '@Bob, now!', { mentions: [bob.person.id] });
  await expect.poll(() => bob.device.shown, { timeout: 10_000 }).toHaveLength(2);
  expect(bob.device.shown[1]).toMatchObject({ urgency: 'high', payload: { type: 'mention', messageId: mentionId } });
  expect(bob.device.shown[1]?.topic).toBe(shown?.topic);
});

test('[PU-2] a long message is cut, an encrypted one says nothing of itself', async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const chatId = await server.chat([ada, bob.person]);
  await say(ada, chatId, '🫖\u0001'.repeat(5_000), { mentions: [bob.person.id] });
  await say(ada, chatId, 'c2VjcmV0', { type: 'encrypted', mentions: [bob.person.id] });
  await expect.poll(() => bob.device.shown, { timeout: 10_000 }).toHaveLength(2);
  const long = bob.device.shown.find(({ payload }) => payload.body?.includes('🫖'));
  expect(long?.payloadBytes).toBeLessThanOrEqual(LIMITS.pushPayloadBytes);
  // Throws for half a surrogate pair.
  expect(encodeURIComponent(long?.payload.body ?? '')).not.toBe('');
  const other = bob.device.shown.find((one) => one !== long);
  expect(other?.payload.body).toContain('New message');
  expect(JSON.stringify(other)).not.toContain('c2VjcmV0');
});

test('[PU-3] nobody is notified of their own, while there, when muted, blocked or quiet, or of what they have read', async () => {
  const ada = await server.person('Ada');
  const [there, muted, blocking, quiet, off, archived, read] = await Promise.all(
    ['There', 'Muted', 'Blocking', 'Quiet', 'Off', 'Archived', 'Read'].map(away),
  );
  const all = [there, muted, blocking, quiet, off, archived, read] as Awaited<ReturnType<typeof away>>[];
  const own = await subscribe(ada);
  const chatId = await server.chat([ada, ...all.map(({ person }) => person)]);
  const [p0, p1, p2, p3, p4, p5] = all.map(({ person }) => person) as [Person, Person, Person, Person, Person, Person];
  const socket = await server.socket(p0);
  await ok(p1, 'PUT', `/api/chats/${chatId}/mute`, { until: new Date(Date.now() + 600_000).toISOString() });
  await ok(p2, 'PUT', `/api/users/${ada.id}/block`);
  const clock = (minutes: number): string => new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16);
  const quietHours = { from: clock(-60), to: clock(60), timeZone: 'UTC' };
  expect(await ok(p3, 'PUT', '/api/push/settings', { quietHours })).toEqual({ enabled: true, quietHours });
  await ok(p4, 'PUT', '/api/push/settings', { enabled: false });
  await ok(p5, 'PUT', `/api/chats/${chatId}/archive`, { on: true });

  await say(ada, chatId, 'Hello all');
  await expect.poll(() => all[6]?.device.shown, { timeout: 10_000 }).toHaveLength(1);
  // A mention passes an archived chat, nothing else.
  await say(ada, chatId, 'All of you', { mentions: [p0, p1, p2, p3, p4, p5].map(({ id }) => id) });
  await expect.poll(() => all[6]?.device.shown, { timeout: 10_000 }).toHaveLength(2);
  await expect.poll(() => all[5]?.device.shown, { timeout: 10_000 }).toMatchObject([{ payload: { type: 'mention' } }]);
  for (const { device } of all.slice(0, 5)) expect(device.shown).toEqual([]);
  expect(own.shown).toEqual([]);

  // Each of them hears again when the reason has gone.
  socket.disconnect();
  await ok(p1, 'PUT', `/api/chats/${chatId}/mute`, { until: null });
  await ok(p2, 'DELETE', `/api/users/${ada.id}/block`);
  await ok(p3, 'PUT', '/api/push/settings', { quietHours: null });
  await ok(p4, 'PUT', '/api/push/settings', { enabled: true });
  await ok(p5, 'PUT', `/api/chats/${chatId}/archive`, { on: false });
  await expect
    .poll(
      async () => {
        await say(ada, chatId, 'Again', { mentions: [p0.id] });
        return all.slice(0, 5).every(({ device }) => device.shown.length > 0);
      },
      { timeout: 20_000, interval: 2_500 },
    )
    .toBe(true);
});

test('[PU-3] what was read on another device is not notified of later', async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const chatId = await server.chat([ada, bob.person]);
  service.answer({ status: 503, retryAfter: '600' });
  await say(ada, chatId, 'Read elsewhere');
  await expect.poll(() => service.attempts(bob.device), { timeout: 10_000 }).toBe(1);
  const socket = await server.socket(bob.person);
  await call(socket, 'message:read', { chatId, seq: 1 });
  socket.disconnect();
  aheadMs += 700_000;
  expect(await settled(ada, bob)).toEqual([]);
  expect(service.attempts(bob.device)).toBe(2);
});

test('[PU-4] a device that is gone is not sent to again', async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const second = await subscribe(bob.person);
  const chatId = await server.chat([ada, bob.person]);
  service.answer({ status: 410 }, { status: 410 });
  await say(ada, chatId, 'One');
  await expect.poll(() => service.attempts(bob.device) + service.attempts(second), { timeout: 10_000 }).toBe(2);
  const third = await subscribe(bob.person);
  expect(await settled(ada, { person: bob.person, device: third })).toEqual([]);
  expect([service.attempts(bob.device), service.attempts(second)]).toEqual([1, 1]);
});

test.each([
  ['an overload', { status: 503 }],
  ['a broken connection', 'reset'],
] as const)('[PU-5] %s is tried again until it succeeds', async (_name, answer) => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const chatId = await server.chat([ada, bob.person]);
  service.answer(answer, answer);
  const messageId = await say(ada, chatId, 'Hold on');
  await expect.poll(() => bob.device.shown, { timeout: 25_000 }).toMatchObject([{ payload: { messageId } }]);
  expect(service.attempts(bob.device)).toBe(3);
});

test('[PU-5] Retry-After is respected, and who has come back meanwhile is left in peace', async () => {
  const ada = await server.person('Ada');
  const [bob, eve] = [await away('Bob'), await away('Eve')];
  const chatId = await server.chat([ada, bob.person, eve.person]);
  service.answer({ status: 429, retryAfter: '600' }, { status: 429, retryAfter: '600' });
  await say(ada, chatId, 'Too many');
  await expect.poll(() => service.attempts(bob.device) + service.attempts(eve.device), { timeout: 10_000 }).toBe(2);
  const socket: Socket = await server.socket(eve.person);
  aheadMs += 599_000 - 60_000;
  expect(await settled(ada, bob)).toEqual([]);
  aheadMs += 161_000;
  await expect.poll(() => bob.device.shown, { timeout: 15_000 }).toHaveLength(2);
  expect(eve.device.shown).toEqual([]);
  socket.disconnect();
});

test('[PU-5] an answer that never comes is given up and tried again', { timeout: 40_000 }, async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const chatId = await server.chat([ada, bob.person]);
  service.answer('hang');
  await say(ada, chatId, 'Hello?');
  await expect.poll(() => bob.device.shown, { timeout: 35_000 }).toHaveLength(1);
  expect(service.attempts(bob.device)).toBe(2);
});

test('[PU-5] a refusal for good is not repeated', async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  service.answer({ status: 400 });
  await say(ada, await server.chat([ada, bob.person]), 'Bad');
  await expect.poll(() => service.attempts(bob.device), { timeout: 10_000 }).toBe(1);
  expect(await settled(ada, bob)).toEqual([]);
  expect(service.attempts(bob.device)).toBe(2);
});

test('[PU-6] a burst in a chat is notified of by its first and its last message', async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const chatId = await server.chat([ada, bob.person]);
  const ids = await Promise.all(Array.from({ length: 20 }, (_, n) => say(ada, chatId, `n${n}`)));
  const { items } = (await ok(ada, 'GET', `/api/chats/${chatId}/messages?limit=1`)) as unknown as {
    items: { id: string }[];
  };
  const last = items[0]?.id;
  expect(ids).toContain(last);
  await expect.poll(() => bob.device.shown.at(-1)?.payload.messageId, { timeout: 15_000 }).toBe(last);
  expect(bob.device.shown.length).toBeLessThan(10);
  expect(new Set(bob.device.shown.map(({ topic }) => topic)).size).toBe(1);
});

test('[PU-7] a device belongs to one user, goes with its session, and of many the oldest goes', async () => {
  const ada = await server.person('Ada');
  const bob = await away('Bob');
  const eve = await server.person('Eve');
  const chatId = await server.chat([ada, bob.person, eve]);

  // The same browser, with somebody else at it; and somebody who knows its address only.
  const stolen = { ...bob.device.subscription, keys: service.device(publicKey).subscription.keys };
  const theft = await server.request('POST', '/api/push/subscriptions', { as: eve, body: { subscription: stolen } });
  expect(theft).toMatchObject({ status: 409 });
  await ok(eve, 'POST', '/api/push/subscriptions', { subscription: bob.device.subscription });
  const socket = await server.socket(eve);
  const second = await subscribe(bob.person);
  await say(ada, chatId, 'For Bob');
  await expect.poll(() => second.shown, { timeout: 10_000 }).toHaveLength(1);
  expect(bob.device.shown).toEqual([]);
  socket.disconnect();

  await ok(
    bob.person,
    'DELETE',
    `/api/push/subscriptions?endpoint=${encodeURIComponent(second.subscription.endpoint)}`,
  );
  const { email, password } = bob.person;
  const again = await server.request('POST', '/api/auth/login', { body: { email, password } });
  const { accessToken } = again.body as unknown as Person;
  const ended = await subscribe(bob.person);
  const kept = await subscribe({ ...bob.person, accessToken });
  await ok(bob.person, 'POST', '/api/auth/logout', {});
  expect(await settled(ada, { person: bob.person, device: kept })).toEqual([]);
  expect([second.shown.length, ended.shown.length]).toEqual([1, 0]);

  const person = await server.person();
  const devices: PushDevice[] = [];
  for (let n = 0; n <= LIMITS.pushSubscriptionsPerUser; n++) devices.push(await subscribe(person));
  await say(ada, await server.chat([ada, person]), 'To all of them');
  await expect.poll(() => devices.filter(({ shown }) => shown.length > 0).length, { timeout: 10_000 }).toBe(20);
  expect(devices[0]?.shown).toEqual([]);
});

test('[PU-8] an address that is not public, a key that is none and a zone that does not exist are invalid', async () => {
  const socket = await server.socket(await server.person());
  const { subscription } = service.device(publicKey);
  for (const endpoint of [
    'http://push.example.com/x',
    'https://10.0.0.1/x',
    'https://192.168.1.1/x',
    'https://169.254.169.254/latest/meta-data',
    'https://[fd00::1]/x',
    'https://[::ffff:10.0.0.1]/x',
    'https://2130706434:443/x'.replace('2130706434', '167772161'),
    'https://user:secret@push.example.com/x',
    'ftp://push.example.com/x',
  ]) {
    await expect(call(socket, 'push:subscribe', { subscription: { ...subscription, endpoint } })).rejects.toMatchObject(
      { code: 'invalid' },
    );
  }
  const p256dh = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)]).toString('base64url');
  const keys = { ...subscription.keys, p256dh };
  await expect(call(socket, 'push:subscribe', { subscription: { ...subscription, keys } })).rejects.toMatchObject({
    code: 'invalid',
  });
  const quietHours = { from: '22:00', to: '07:00', timeZone: 'Mars/Olympus' };
  await expect(call(socket, 'push:settings', { quietHours })).rejects.toMatchObject({ code: 'invalid' });
  expect(await call(socket, 'push:settings', {})).toEqual({ enabled: true, quietHours: null });
});

test('[PU-10] in production without keys push is off and says so', async () => {
  const off = await startServer(
    {
      NODE_ENV: 'production',
      JWT_SECRET: 'kX2v9QpLr7TzW4mNb8YcHd3FgJs6Ae1U',
      AUTH_PEPPER: 'Zp5Rt8Wq2Ns7Vb4Xm9Kc3Lf6Hj1Dg0Ya',
      RATE_LIMIT_SCALE: '1',
    },
    { migrate: true },
  );
  try {
    const person = await off.person();
    expect(await off.request('GET', '/api/push/key', { as: person })).toMatchObject({
      status: 415,
      body: { error: { code: 'unsupported' } },
    });
    const health = (await off.request('GET', '/health')).body as unknown as { parts: Record<string, string> };
    expect(health.parts['push']).toMatch(/^off; .*VAPID_PUBLIC_KEY/);
  } finally {
    await off[Symbol.asyncDispose]();
  }
});
