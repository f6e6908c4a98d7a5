/** Presence and blocks over two servers on one database and one Redis, which is killed and comes back empty. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventData } from '../../src/protocol/index.ts';
import type { presenceEvents } from '../../src/features/presence/contract.ts';
import { call, heard } from '../support/calls.ts';
import { startNodes, type TestNodes } from '../support/nodes.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts';
import type { Person, TestServer } from '../support/server.ts';

type Presence = EventData<(typeof presenceEvents)['presence:changed']>;

interface End {
  person: Person;
  socket: Socket;
  /** What its socket heard of others. */
  heard: Presence[];
}

describe.runIf(hasRedis())('presence on two nodes', { timeout: 90_000 }, () => {
  let redis: TestRedis;
  let cluster: TestNodes;
  let [here, there]: TestServer[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    cluster = await startNodes(2, { REDIS_URL: redis.url });
    [here, there] = cluster.nodes;
  });

  afterAll(async () => {
    const errors = cluster.nodes.flatMap((node) => node.errors);
    await cluster[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
    if (errors.length > 0) throw new AggregateError(errors, `The servers had ${errors.length} errors`);
  });

  async function end(server: TestServer | undefined, person: Person): Promise<End> {
    if (!server) throw new Error('It has not started');
    const socket = await server.socket(person);
    return { person, socket, heard: heard(socket, 'presence:changed') };
  }

  /** Two people who share a chat that the first owns, one on each server. */
  async function pair(): Promise<{ chatId: string; ada: End; ben: End }> {
    if (!here) throw new Error('It has not started');
    const people = [await here.person(), await here.person()] as const;
    const chatId = await here.chat(people);
    const [ada, ben] = [await end(here, people[0]), await end(there, people[1])];
    return { chatId, ada, ben };
  }

  const watch = async ({ socket }: End, ...ends: End[]): Promise<string[]> =>
    (await call(socket, 'presence:watch', { userIds: ends.map(({ person }) => person.id) })).items.map(
      ({ status }) => status,
    );
  const statuses = ({ heard }: End): string[] => heard.map(({ status }) => status);

  test('[PS-1] [PS-2] a change on one is told on the other, and the last departure anywhere leaves the time', async () => {
    const { ada, ben } = await pair();
    expect(await watch(ben, ada)).toEqual(['online']);
    const second = await end(there, ada.person);
    await call(ada.socket, 'presence:set', { status: 'busy' });
    await expect.poll(() => statuses(ben), { timeout: 10_000 }).toEqual(['busy']);
    ada.socket.close();
    await expect.poll(() => statuses(ben), { timeout: 10_000 }).toEqual(['busy', 'online']);
    second.socket.close();
    await expect.poll(() => statuses(ben), { timeout: 10_000 }).toEqual(['busy', 'online', 'offline']);
    expect(ben.heard.map(({ lastSeen }) => lastSeen)).toEqual([null, null, expect.any(String)]);
  });

  test('[PS-5] [BL-3] a block on one hides on the other at once, also where nothing stood remembered', async () => {
    const { ada, ben } = await pair();
    await watch(ben, ada);
    await watch(ada, ben);
    await call(ada.socket, 'user:block', { userId: ben.person.id });
    await expect.poll(() => statuses(ben)).toEqual(['offline']);
    expect(statuses(ada)).toEqual(['offline']);
    expect(await watch(ben, ada)).toEqual([]);
    await call(ada.socket, 'user:unblock', { userId: ben.person.id });
    await expect.poll(() => watch(ben, ada)).toEqual(['online']);
  });

  test('[PS-6] a membership that ends on one hides on the other at once', async () => {
    const { chatId, ada, ben } = await pair();
    await watch(ben, ada);
    await watch(ada, ben);
    await call(ada.socket, 'chat:remove-member', { chatId, userId: ben.person.id });
    await expect.poll(() => statuses(ben)).toEqual(['offline']);
    await expect.poll(() => statuses(ada)).toEqual(['offline']);
    expect(await watch(ben, ada)).toEqual([]);
  });

  test('[PS-4] while Redis is away nobody is known to be there, and it is corrected when it is back, empty', async () => {
    const { ada, ben } = await pair();
    const eve = await end(there, ben.person);
    expect(await watch(ben, ada)).toEqual(['online']);
    expect(await watch(ada, ben)).toEqual(['online']);
    await redis.kill();
    await expect.poll(() => statuses(ben), { timeout: 15_000 }).toEqual(['unknown']);
    await expect.poll(() => statuses(ada), { timeout: 15_000 }).toEqual(['unknown']);
    expect(await watch(eve, ada)).toEqual(['unknown']);
    // People come, go and change as before; only nobody hears of it.
    await call(ada.socket, 'presence:set', { status: 'away' });
    eve.socket.close();
    ben.socket.close();
    const back = await end(here, ben.person);
    expect(await watch(back, ada)).toEqual(['unknown']);
    await redis.restart();
    await expect.poll(() => statuses(back), { timeout: 20_000 }).toEqual(['away']);
    await expect.poll(() => statuses(ada), { timeout: 20_000 }).toEqual(['unknown', 'online']);
    back.socket.close();
    await expect
      .poll(() => ada.heard.at(-1), { timeout: 10_000 })
      .toMatchObject({ status: 'offline', lastSeen: expect.any(String) });
  });

  test('[BL-3] [PS-5] [PS-6] what ended while Redis was away is ended everywhere when it is back', async () => {
    const { ada, ben } = await pair();
    const other = await pair();
    await watch(ben, ada);
    await watch(other.ben, other.ada);
    await redis.kill();
    await call(ada.socket, 'user:block', { userId: ben.person.id });
    await call(other.ada.socket, 'chat:remove-member', { chatId: other.chatId, userId: other.ben.person.id });
    await redis.restart();
    for (const one of [ben, other.ben]) {
      await expect.poll(() => statuses(one).at(-1), { timeout: 20_000 }).toBe('offline');
      expect(one.heard.at(-1)?.lastSeen).toBeNull();
    }
    expect(await watch(ben, ada)).toEqual([]);
    expect(await watch(other.ben, other.ada)).toEqual([]);
  });
});
