/** The key directory through two whole servers on one database, by plain socket.io-clients. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device, KeyBundle, OneTimeKey } from '../../src/features/keys/contract.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { codeOf } from '../support/calls.ts';
import { startNodes, type TestNodes } from '../support/nodes.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let here: TestServer;
let there: TestServer;
let cluster: TestNodes;

beforeAll(async () => {
  cluster = await startNodes(2);
  [here, there] = cluster.nodes as [TestServer, TestServer];
});

afterAll(async () => {
  const errors = cluster.nodes.flatMap((node) => node.errors);
  await cluster[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The servers had ${errors.length} errors`);
});

async function call<T = object>(socket: Socket, name: string, input: object): Promise<T> {
  const answer = (await socket.timeout(10_000).emitWithAck(name, input)) as { ok: boolean; data: T; error: object };
  if (!answer.ok) throw answer.error;
  return answer.data;
}

const keyOf = (text: string): string => Buffer.from(`key ${text}`).toString('base64');
const oneTimeKeys = (count: number, from = 0): OneTimeKey[] =>
  Array.from({ length: count }, (_, i) => ({ id: `${from + i}`, key: keyOf(`one-time ${from + i}`) }));

const deviceOf = (deviceId: string, more: object = {}) => ({
  deviceId,
  identityKey: keyOf(`identity ${deviceId}`),
  signedPreKey: { id: '1', key: keyOf('signed'), signature: keyOf('signature') },
  ...more,
});

interface End {
  person: Person;
  socket: Socket;
}

/** People who share a chat; their sockets are on the servers in turn. */
async function together(count: number): Promise<[End, End, ...End[]]> {
  const people = await Promise.all(Array.from({ length: count }, () => here.person()));
  await here.chat(people);
  const all = await Promise.all(
    people.map(async (person, i) => ({ person, socket: await (i % 2 ? there : here).socket(person) })),
  );
  return all as [End, End, ...End[]];
}

const publish = ({ socket }: End, input: object): Promise<{ oneTimeKeys: number }> =>
  call(socket, 'keys:publish', input);

const claim = async ({ socket }: End, { person }: End, more: object = {}): Promise<KeyBundle[]> =>
  (await call<{ items: KeyBundle[] }>(socket, 'keys:claim', { userId: person.id, ...more })).items;

const list = async ({ socket }: End, { person }: End): Promise<Device[]> =>
  (await call<{ items: Device[] }>(socket, 'keys:list', { userId: person.id })).items;

test('[KY-1] a claim gives the keys of each device and one one-time key, while there is one', async () => {
  const [ada, ben] = await together(2);
  const phone = deviceOf('phone');
  expect(await publish(ada, { ...phone, oneTimeKeys: oneTimeKeys(2) })).toEqual({ oneTimeKeys: 2 });
  expect(await publish(ada, deviceOf('laptop'))).toEqual({ oneTimeKeys: 0 });
  expect(await claim(ben, ada)).toEqual([{ ...phone, oneTimeKey: oneTimeKeys(1)[0] }, deviceOf('laptop')]);
  expect(await claim(ben, ada, { deviceIds: ['phone', 'unknown'] })).toEqual([
    { ...phone, oneTimeKey: oneTimeKeys(1, 1)[0] },
  ]);
  expect(await claim(ben, ada, { deviceIds: ['phone'] })).toEqual([phone]);
  // Own devices are claimed as others' are.
  await publish(ada, { ...phone, oneTimeKeys: oneTimeKeys(1, 2) });
  expect(await claim(ada, ada, { deviceIds: ['phone'] })).toMatchObject([{ oneTimeKey: { id: '2' } }]);
  expect(await claim(ada, ben)).toEqual([]);
});

test('[KY-2] of 30 one-time keys each is claimed once by 50 claims at once on two servers', async () => {
  const [ada, ...others] = await together(6);
  await publish(ada, { ...deviceOf('phone'), oneTimeKeys: oneTimeKeys(30) });
  const bundles = await Promise.all(Array.from({ length: 50 }, (_, i) => claim(others[i % others.length] as End, ada)));
  const given = bundles.flat().flatMap(({ oneTimeKey }) => oneTimeKey?.id ?? []);
  expect(given.toSorted((a, b) => Number(a) - Number(b))).toEqual(oneTimeKeys(30).map(({ id }) => id));
  expect(bundles.flat()).toHaveLength(50);
});

test('[KY-2] a key that was claimed does not come back by being published again', async () => {
  const [ada, ben] = await together(2);
  const input = { ...deviceOf('phone'), oneTimeKeys: oneTimeKeys(2) };
  await publish(ada, input);
  await claim(ben, ada);
  expect(await publish(ada, input)).toEqual({ oneTimeKeys: 1 });
  expect(await claim(ben, ada)).toMatchObject([{ oneTimeKey: { id: '1' } }]);
  await expect(publish(ada, { ...input, oneTimeKeys: [{ id: '0', key: keyOf('another') }] })).rejects.toMatchObject({
    code: 'conflict',
  });
});

test('[KY-3] a repeated claim with the same clientId gets the same keys and uses none, however often at once', async () => {
  const [ada, ben, eve] = (await together(3)) as [End, End, End];
  const again = { person: ben.person, socket: await here.socket(ben.person) };
  for (const deviceId of ['phone', 'laptop']) {
    await publish(ada, { ...deviceOf(deviceId), oneTimeKeys: oneTimeKeys(25) });
  }
  const claims = await Promise.all(
    Array.from({ length: 20 }, (_, i) => claim(i % 2 ? ben : again, ada, { clientId: 'mine' })),
  );
  for (const items of claims) expect(items).toEqual(claims[0]);
  expect(claims[0]?.map(({ oneTimeKey }) => typeof oneTimeKey?.id)).toEqual(['string', 'string']);
  // Whatever changes, it is the first outcome.
  await call(ada.socket, 'keys:remove', { deviceId: 'laptop' });
  expect(await claim(ben, ada, { clientId: 'mine', deviceIds: ['phone'] })).toEqual(claims[0]);
  // Another's clientId is another claim.
  expect(await claim(eve, ada, { clientId: 'mine' })).toMatchObject([{ oneTimeKey: expect.anything() }]);
  expect(await list(ada, ada)).toMatchObject([{ deviceId: 'phone', oneTimeKeys: 23 }]);
});

test('[KY-4] an identity key is replaced only explicitly, and takes the one-time keys with it', async () => {
  const [ada, ben] = await together(2);
  const phone = deviceOf('phone');
  await publish(ada, { ...phone, oneTimeKeys: oneTimeKeys(5) });
  const anew = { ...phone, identityKey: keyOf('a new identity') };
  await expect(publish(ada, anew)).rejects.toMatchObject({ code: 'conflict' });
  expect(await claim(ben, ada)).toMatchObject([{ identityKey: phone.identityKey }]);
  expect(await publish(ada, { ...anew, replaceIdentity: true, oneTimeKeys: oneTimeKeys(1) })).toEqual({
    oneTimeKeys: 1,
  });
  expect(await claim(ben, ada)).toEqual([{ ...anew, oneTimeKey: oneTimeKeys(1)[0] }]);
  expect(await claim(ben, ada)).toEqual([anew]);
  // The signed pre key of the same identity changes without further words.
  const rotated = { ...anew, signedPreKey: { ...anew.signedPreKey, id: '2' } };
  await publish(ada, { ...rotated, replaceIdentity: true });
  expect(await list(ben, ada)).toEqual([{ ...rotated, updatedAt: expect.any(String) }]);
});

test('[KY-5] the owner hears on every device when a claim leaves few keys', async () => {
  const [ada, ben] = await together(2);
  const heard: object[] = [];
  ada.socket.on('keys:low', (low: object) => heard.push(low));
  await publish(ada, { ...deviceOf('phone'), oneTimeKeys: oneTimeKeys(LIMITS.oneTimeKeysLow + 1) });
  const claimer = { person: ben.person, socket: await here.socket(ben.person) };
  await claim(claimer, ada);
  expect(heard).toEqual([]);
  await claim(claimer, ada);
  await expect.poll(() => heard).toEqual([{ deviceId: 'phone', remaining: LIMITS.oneTimeKeysLow - 1 }]);
});

test('[KY-6] keys are seen only by people who share a chat, between whom no block stands', async () => {
  const [ada, ben] = await together(2);
  const unknown = await here.person();
  const stranger = { person: unknown, socket: await here.socket(unknown) };
  await publish(ada, { ...deviceOf('phone'), oneTimeKeys: oneTimeKeys(3) });
  for (const look of [claim, list]) {
    await expect(look(stranger, ada)).rejects.toMatchObject({ code: 'not_found' });
    await expect(look(ben, stranger)).rejects.toMatchObject({ code: 'not_found' });
    expect(await look(ben, ada)).toHaveLength(1);
  }
  await call(ada.socket, 'user:block', { userId: ben.person.id });
  const onSameServer = { person: ben.person, socket: await here.socket(ben.person) };
  for (const look of [claim, list]) {
    await expect(look(onSameServer, ada)).rejects.toMatchObject({ code: 'not_found' });
  }
  expect(await list(ada, ada)).toMatchObject([{ oneTimeKeys: 2 }]);
});

test('[KY-7] devices, keys and their lengths are bounded', async () => {
  const [ada] = await together(2);
  const refused = async (input: object, code: string): Promise<void> =>
    expect(await codeOf(publish(ada, input))).toBe(code);
  const phone = deviceOf('phone');
  await refused({ ...phone, oneTimeKeys: oneTimeKeys(101) }, 'invalid');
  await refused({ ...phone, oneTimeKeys: [...oneTimeKeys(1), ...oneTimeKeys(1)] }, 'invalid');
  await refused({ ...phone, identityKey: 'no base64!' }, 'invalid');
  await refused({ ...phone, identityKey: 'A'.repeat(LIMITS.keyLength + 1) }, 'invalid');
  await refused({ ...phone, deviceId: 'a/b' }, 'invalid');
  await refused({ ...phone, deviceId: { $ne: '' } }, 'invalid');

  const long = 'A'.repeat(LIMITS.keyLength);
  const largest = oneTimeKeys(100).map(({ id }) => ({ id, key: long }));
  await publish(ada, {
    deviceId: 'largest',
    identityKey: long,
    signedPreKey: { id: '1', key: long, signature: long },
    oneTimeKeys: largest,
  });

  for (let from = 0; from < 500; from += 100) await publish(ada, { ...phone, oneTimeKeys: oneTimeKeys(100, from) });
  await refused({ ...phone, oneTimeKeys: oneTimeKeys(1, 500) }, 'quota_exceeded');
  expect(await publish(ada, { ...phone, oneTimeKeys: oneTimeKeys(100) })).toEqual({ oneTimeKeys: 500 });

  for (let i = 0; i < 8; i++) await publish(ada, deviceOf(`device-${i}`));
  await refused(deviceOf('one-more'), 'quota_exceeded');
  await call(ada.socket, 'keys:remove', { deviceId: 'largest' });
  await call(ada.socket, 'keys:remove', { deviceId: 'largest' });
  expect(await publish(ada, deviceOf('one-more'))).toEqual({ oneTimeKeys: 0 });
  expect(await list(ada, ada)).toHaveLength(10);
});

test('[KY-7] a device that was removed begins anew', async () => {
  const [ada, ben] = await together(2);
  await publish(ada, { ...deviceOf('phone'), oneTimeKeys: oneTimeKeys(3) });
  await call(ada.socket, 'keys:remove', { deviceId: 'phone' });
  expect(await claim(ben, ada)).toEqual([]);
  const anew = { ...deviceOf('phone'), identityKey: keyOf('a new identity') };
  expect(await publish(ada, { ...anew, oneTimeKeys: oneTimeKeys(1) })).toEqual({ oneTimeKeys: 1 });
  expect(await claim(ben, ada)).toEqual([{ ...anew, oneTimeKey: oneTimeKeys(1)[0] }]);
});

test('[KY-8] nobody can use up the keys of another', async () => {
  await using limited = await startServer({ RATE_LIMIT_SCALE: '1' });
  const people = [await limited.person(), await limited.person()] as const;
  await limited.chat(people);
  const [ada, ben] = (await Promise.all(
    people.map(async (person) => ({ person, socket: await limited.socket(person) })),
  )) as [End, End];
  for (let i = 0; i < 10; i++) await publish(ada, { ...deviceOf(`device-${i}`), oneTimeKeys: oneTimeKeys(20) });
  let claims = 0;
  const refusal = await (async () => {
    for (;;) {
      const error = await claim(ben, ada).then(
        () => undefined,
        (reason: object) => reason,
      );
      if (error) return error;
      claims++;
    }
  })();
  expect(refusal).toMatchObject({ code: 'rate_limited', retryAfterMs: expect.any(Number) });
  expect(claims).toBe(10);
  // Others are not concerned.
  expect(await claim(ada, ben)).toEqual([]);
});
