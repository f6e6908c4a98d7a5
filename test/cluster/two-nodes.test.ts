/**
 * Two server processes with one database (here the embedded one, in one DATA_DIR) and one Redis. All tests use the same;
 * whoever ends one of them starts it again.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AtelierClient } from '../../src/client/index.ts';
import { historyOf } from '../support/history.ts';
import { runToEnd, startProcess, testEnvironment, type ServerProcess } from '../support/process.ts';
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts';
import { openWorld, type Person, type World } from '../support/server.ts';

describe.runIf(hasRedis())('two nodes', { timeout: 120_000 }, () => {
  let dataDir: string;
  let env: Record<string, string>;
  let redis: TestRedis;
  let [first, second]: ServerProcess[] = [];
  let [here, there]: (World & AsyncDisposable)[] = [];

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'atelier-nodes-'));
    redis = await startRedis();
    env = { ...testEnvironment(dataDir), REDIS_URL: redis.url };
    // Together, as a deployment does: they agree on the secrets, the indexes and the deployment's id.
    [first, second] = await Promise.all([startProcess(env), startProcess(env)]);
    here = openWorld(() => node(first).url);
    there = openWorld(() => node(second).url);
  });
  afterAll(async () => {
    for (const part of [here, there, first, second, redis]) await part?.[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  });

  const node = (server: ServerProcess | undefined): ServerProcess => {
    if (!server) throw new Error('It has not started');
    return server;
  };
  const worlds = (): [World, World] => {
    if (!here || !there) throw new Error('They have not started');
    return [here, there];
  };
  const health = async (server: ServerProcess | undefined): Promise<unknown> =>
    (await fetch(`${node(server).url}/health`)).json();
  const idsHeard = (client: AtelierClient): string[] => {
    const ids: string[] = [];
    client.on('message:created', ({ message }) => ids.push(message.id));
    return ids;
  };
  const statusOf = async (client: AtelierClient, { id }: Person): Promise<string | undefined> =>
    (await client.call('presence:get', { userIds: [id] })).items[0]?.status;

  test('[CL-100] members on both hear every message in one order', async () => {
    const [a, b] = worlds();
    const [ada, grace] = [await a.person('Ada'), await b.person('Grace')];
    const chatId = await a.chat([ada, grace]);
    const clients = [await a.client(ada), await b.client(grace)] as const;
    const heard = clients.map(idsHeard);
    await Promise.all(Array.from({ length: 100 }, (_, n) => clients[n % 2 === 0 ? 0 : 1].send(chatId, `message ${n}`)));
    const stored = (await historyOf(clients[0], chatId)).map(({ id }) => id);
    expect(stored).toHaveLength(100);
    for (const ids of heard) await expect.poll(() => ids).toEqual(stored);
  });

  test('[CL-101] [AU-5] a session that ends on one node has no socket left on the other', async () => {
    const [a, b] = worlds();
    const ada = await a.person('Ada');
    const socket = await b.socket(ada, { reconnection: false });
    const gone = once(socket as never, 'disconnect');
    expect((await a.request('POST', '/api/auth/logout', { as: ada })).status).toBe(200);
    await gone;
    expect(socket.connected).toBe(false);
  });

  test('[CL-102] [PS-1] presence is of both, and ghosts of a killed node vanish within 10 s', async () => {
    const [a, b] = worlds();
    const [ada, grace] = [await a.person('Ada'), await b.person('Grace')];
    await a.chat([ada, grace]);
    const watcher = await a.client(ada);
    const told: unknown[] = [];
    await watcher.call('presence:watch', { userIds: [grace.id] });
    watcher.on('presence:changed', (presence) => told.push(presence));
    await b.socket(grace, { reconnection: false });
    await expect.poll(() => told, { timeout: 10_000 }).toMatchObject([{ userId: grace.id, status: 'online' }]);
    // Nobody is called dead by a node that has not watched for as long as that takes.
    await expect.poll(() => statusOf(watcher, grace), { timeout: 10_000 }).toBe('online');
    await node(second).end('SIGKILL');
    await expect.poll(() => told.at(-1), { timeout: 10_000 }).toMatchObject({ status: 'offline' });
    expect(told.at(-1)).toMatchObject({ lastSeen: expect.any(String) });
    second = await startProcess(env);
  });

  test('[CL-103] [AI-35] a stream of a killed node is ended by the other with the text that was told', async () => {
    const [a, b] = worlds();
    const [ada, grace] = [await a.person('Ada'), await b.person('Grace')];
    const chatId = await a.chat([ada, grace]);
    const [writer, reader] = [await a.client(ada), await b.client(grace)];
    let text = '';
    reader.on('ai:delta', (delta) => {
      expect(delta.offset).toBe(text.length);
      text += delta.text;
    });
    const failed = reader.once('ai:failed', undefined, { timeoutMs: 30_000 });
    const { streamId } = await writer.call('ai:prompt', { chatId, content: 'count to 5000' });
    await expect.poll(() => text.length, { timeout: 10_000 }).toBeGreaterThan(300);
    await node(first).end('SIGKILL');
    const toldBefore = text;
    expect(await failed).toMatchObject({ streamId, code: 'unavailable' });
    const message = (await historyOf(reader, chatId)).at(-1);
    expect(message).toMatchObject({ sender: { type: 'assistant' }, metadata: { incomplete: true } });
    expect(message?.content.startsWith(toldBefore)).toBe(true);
    first = await startProcess(env);
  });

  test('[CL-104] without Redis each goes on alone, and all is told when it is back empty', async () => {
    const [a, b] = worlds();
    const [ada, grace] = [await a.person('Ada'), await b.person('Grace')];
    const chatId = await a.chat([ada, grace]);
    const clients = [await a.client(ada), await b.client(grace)] as const;
    const heard = clients.map(idsHeard);
    expect(await health(first)).toMatchObject({ status: 'ok', parts: { redis: 'ok' } });
    await redis.kill();
    for (const server of [first, second]) {
      await expect.poll(() => health(server)).toMatchObject({ status: 'degraded', parts: { redis: 'out of reach' } });
    }
    for (let n = 0; n < 10; n++) await clients[n % 2 === 0 ? 0 : 1].send(chatId, `message ${n}`);
    expect(await statusOf(clients[0], grace)).toBe('unknown');
    await redis.restart();
    const stored = (await historyOf(clients[0], chatId)).map(({ id }) => id);
    expect(stored).toHaveLength(10);
    for (const ids of heard) await expect.poll(() => ids, { timeout: 20_000 }).toEqual(stored);
    for (const server of [first, second]) {
      await expect.poll(() => health(server), { timeout: 10_000 }).toMatchObject({ status: 'ok' });
    }
    await expect.poll(() => statusOf(clients[0], grace), { timeout: 10_000 }).toBe('online');
  });

  test('[CL-105] a node starts without Redis', async () => {
    const [a] = worlds();
    const ada = await a.person('Ada');
    await redis.kill();
    await using third = await startProcess(env);
    await using alone = openWorld(() => third.url);
    const chatId = await alone.chat([ada]);
    const client = await alone.client(ada);
    expect(await client.send(chatId, 'hello')).toMatchObject({ seq: 1 });
    expect(await health(third)).toMatchObject({ status: 'degraded' });
    await redis.restart();
    await expect.poll(() => health(third), { timeout: 10_000 }).toMatchObject({ status: 'ok' });
  });

  test('[CL-107] a server on Redis that was used and closed leaves nothing open', async () => {
    expect(await runToEnd(env, 'test/support/start-use-close.mjs')).toEqual({ code: 0, output: '' });
  });

  test('[CL-106] [ST-25] a process without REDIS_URL does not share the data directory', async () => {
    const { REDIS_URL: _, ...alone } = env;
    const { code, output } = await runToEnd(alone);
    expect([code, output]).toEqual([78, expect.stringContaining('REDIS_URL')]);
    expect(output).toMatch(new RegExp(`process (${node(first).pid}|${node(second).pid})`));
  });
});
