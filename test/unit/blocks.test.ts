/** Blocks on a database of their own: two nodes, with one bus between them or with none. */
import { expect, test } from 'vitest';
import { createMemoryBus, type Bus } from '../../src/cluster/index.ts';
import { blocksContract } from '../../src/features/blocks/contract.ts';
import { createBlocks, type BlocksFeature } from '../../src/features/blocks/index.ts';
import { createUsers, type Users } from '../../src/features/users/index.ts';
import type { Log } from '../../src/observability/log.ts';
import { createCall, LIMITS, type Answer } from '../../src/protocol/index.ts';
import { ensureIndexes, type Connection } from '../../src/storage/database.ts';
import { FakeClock } from '../contract/fake-clock.ts';
import { openTestDatabase } from '../support/database.ts';

type Change = [userId: string, otherId: string, blocked: boolean];

interface Node {
  blocks: BlocksFeature;
  changes: Change[];
  call: (userId: string, name: string, input: unknown) => Promise<Answer<unknown>>;
}

interface World extends AsyncDisposable {
  clock: FakeClock;
  here: Node;
  there: Node;
  people: [ada: string, ben: string, eve: string];
}

const nothing = (): void => {};
const log: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
const NOBODY = '0123456789abcdef01234567';

/** `deaf`: the nodes do not hear each other. */
async function openBlocks({ deaf = false } = {}): Promise<World> {
  const database = await openTestDatabase();
  const { connection } = database;
  const clock = new FakeClock();
  const buses = [createMemoryBus({ log })];
  if (deaf) buses.push(createMemoryBus({ log }));
  const users = createUsers({ connection });
  const here = startNode(connection, buses[0] as Bus, users, clock);
  const there = startNode(connection.useDb(connection.name), buses.at(-1) as Bus, users, clock);
  await ensureIndexes(connection);
  const people = await Promise.all(['Ada', 'Ben', 'Eve'].map(async (name) => (await users.create({ name })).id));
  return {
    clock,
    here,
    there,
    people: people as World['people'],
    async [Symbol.asyncDispose]() {
      await Promise.all([here, there].map(({ blocks }) => blocks.close()));
      await Promise.all(buses.map((bus) => bus.close()));
      await database[Symbol.asyncDispose]();
    },
  };
}

function startNode(connection: Connection, bus: Bus, users: Users, clock: FakeClock): Node {
  const blocks = createBlocks({
    connection,
    users,
    bus: relaying(bus),
    log,
    now: () => 1_800_000_000_000 + clock.now(),
    clock,
  });
  const changes: Change[] = [];
  blocks.onChange((...change) => changes.push(change));
  const run = createCall(blocksContract, blocks.handlers, {
    limit: () => {},
    observe: () => {},
    onBug: (error) => {
      throw error;
    },
  });
  return {
    blocks,
    changes,
    call: (userId, name, input) =>
      run(name, input, {
        session: { userId, sessionId: NOBODY, expiresAtMs: 0 },
        origin: { ip: '198.51.100.7', userAgent: 'test' },
        requestId: 'r',
      }),
  };
}

/** The memory bus has no other nodes; between these two a relay is a publish. */
const relaying = (bus: Bus): Bus => ({ ...bus, relay: (topic, data) => bus.publish(topic, data) });

const blocked = async ({ blocks }: Node, userId: string, ...others: string[]): Promise<string[]> =>
  [...(await blocks.between(userId, others))].toSorted();

test('[BL-2] holds both ways until the one who set it ends it', async () => {
  await using world = await openBlocks();
  const { here, people } = world;
  const [ada, ben, eve] = people;
  expect(await blocked(here, ada, ada, ben, eve)).toEqual([]);
  for (let i = 0; i < 2; i++)
    expect(await here.call(ada, 'user:block', { userId: ben })).toEqual({ ok: true, data: {} });
  expect(await blocked(here, ada, ada, ben, eve)).toEqual([ben]);
  expect(await blocked(here, ben, ada, eve)).toEqual([ada]);
  expect(await blocked(here, eve, ada, ben)).toEqual([]);

  await here.call(ben, 'user:block', { userId: ada });
  await here.call(ada, 'user:unblock', { userId: ben });
  expect(await blocked(here, ada, ben)).toEqual([ben]);
  for (let i = 0; i < 2; i++) await here.call(ben, 'user:unblock', { userId: ada });
  expect(await blocked(here, ada, ben)).toEqual([]);
});

test('[BL-2] is for others who exist', async () => {
  await using world = await openBlocks();
  const { here, people } = world;
  const [ada, ben] = people;
  expect(await here.call(ada, 'user:block', { userId: ada })).toMatchObject({ error: { code: 'invalid' } });
  expect(await here.call(ada, 'user:block', { userId: NOBODY })).toMatchObject({ error: { code: 'not_found' } });
  expect(await here.call(ada, 'user:unblock', { userId: ben })).toEqual({ ok: true, data: {} });
  expect(await here.call(ada, 'user:blocked', {})).toEqual({ ok: true, data: { items: [], next: null } });
});

test('[BL-2] stands once, however many ask at once', async () => {
  await using world = await openBlocks();
  const { here, there, people } = world;
  const [ada, ben] = people;
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => (i % 2 ? here : there).call(ada, 'user:block', { userId: ben })),
  );
  expect(answers.every(({ ok }) => ok)).toBe(true);
  expect(await here.call(ada, 'user:blocked', {})).toMatchObject({ data: { items: [{ id: ben }], next: null } });
});

test('[BL-3] is known on another node as soon as the notice arrives, also where the opposite was remembered', async () => {
  await using world = await openBlocks();
  const { here, there, people } = world;
  const [ada, ben] = people;
  expect(await blocked(there, ben, ada)).toEqual([]);
  await here.call(ada, 'user:block', { userId: ben });
  expect(here.changes).toContainEqual([ada, ben, true]);
  await expect.poll(() => there.changes).toContainEqual([ada, ben, true]);
  expect(await blocked(there, ben, ada)).toEqual([ada]);
  await here.call(ada, 'user:unblock', { userId: ben });
  await expect.poll(() => there.changes).toContainEqual([ada, ben, false]);
  expect(await blocked(there, ben, ada)).toEqual([]);
});

test('[BL-3] is known and told within 30 s where the notice was lost', async () => {
  await using world = await openBlocks({ deaf: true });
  const { clock, here, there, people } = world;
  const [ada, ben, eve] = people;
  expect(await blocked(there, ben, ada)).toEqual([]);
  await here.call(ada, 'user:block', { userId: ben });
  clock.advance(LIMITS.headCompareMs);
  await expect.poll(() => there.changes).toContainEqual([ada, ben, true]);
  expect(await blocked(there, ben, ada)).toEqual([ada]);
  clock.advance(10 * LIMITS.headCompareMs);
  await here.call(eve, 'user:block', { userId: ben });
  clock.advance(LIMITS.headCompareMs);
  await expect.poll(() => there.changes).toContainEqual([eve, ben, true]);
});

test('[BL-4] are listed newest first, in pages, by whoever set them only', async () => {
  await using world = await openBlocks();
  const { here, people } = world;
  const [ada, ben, eve] = people;
  await here.call(ada, 'user:block', { userId: ben });
  await here.call(ada, 'user:block', { userId: eve });
  const first = await here.call(ada, 'user:blocked', { limit: 1 });
  expect(first).toEqual({
    ok: true,
    data: {
      items: [{ id: eve, name: 'Eve', avatarUrl: `/api/users/${eve}/avatar`, blockedAt: expect.any(String) }],
      next: expect.any(String),
    },
  });
  const { next: cursor } = (first as { data: { next: string } }).data;
  expect(await here.call(ada, 'user:blocked', { limit: 1, cursor })).toMatchObject({
    data: { items: [{ id: ben }], next: null },
  });
  expect(await here.call(ben, 'user:blocked', {})).toMatchObject({ data: { items: [] } });
  expect(await here.call(ada, 'user:blocked', { cursor: '$gt' })).toMatchObject({ error: { code: 'invalid' } });
});

test('ends with its timers', async () => {
  const { clock, ...world } = await openBlocks();
  expect(clock.timers).toBe(2);
  await world[Symbol.asyncDispose]();
  expect(clock.timers).toBe(0);
});
