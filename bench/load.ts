/** What clients do to a system, and what it costs. */
import { setTimeout as wait } from 'node:timers/promises';
import { LoadClient, type Member } from './load-client.ts';
import type { System } from './systems.ts';

/** Connects everybody, with so many attempts under way at once. */
export async function connectAll(members: readonly Member[], underWay = 100): Promise<LoadClient[]> {
  const clients: LoadClient[] = [];
  let next = 0;
  const connectors = Array.from({ length: underWay }, async () => {
    for (let at = next++; at < members.length; at = next++) {
      const client = new LoadClient(members[at] as Member);
      clients[at] = client;
      await client.ready;
    }
  });
  await Promise.all(connectors);
  return clients;
}

export async function closeAll(clients: readonly LoadClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
}

/** Resolves when the system has nothing left to do. */
export async function settled(system: Pick<System, 'cpuSeconds'>): Promise<void> {
  for (let quietTimes = 0; quietTimes < 3;) {
    const before = system.cpuSeconds();
    await wait(200);
    quietTimes = system.cpuSeconds() - before < 0.02 ? quietTimes + 1 : 0;
  }
}

let nextClientId = 0;

/** Sends to the client's chat; resolves with the time until the answer. */
export async function send(client: LoadClient, content: string): Promise<number> {
  const startedAt = performance.now();
  const answer = await client.call('message:send', {
    chatId: client.member.chatId,
    clientId: `c${nextClientId++}`,
    content,
  });
  if (!(answer as { ok: boolean }).ok) throw new Error(JSON.stringify(answer));
  return performance.now() - startedAt;
}

export interface Saturated {
  messagesPerSecond: number;
  deliveriesPerSecond: number;
  deliveriesPerCpuSecond: number;
  /** CPU seconds per second. */
  serverCpu: number;
  redisCpu: number;
  loadCpu: number;
  ackMs: number[];
}

const CONTENT = 'x'.repeat(100);

/** Keeps `window` messages of each sender under way. */
export async function saturate(
  system: System,
  clients: readonly LoadClient[],
  load: { senders: readonly LoadClient[]; window: number; seconds: number },
): Promise<Saturated> {
  const deliveries = (): number => clients.reduce((sum, client) => sum + client.events, 0);
  const run = async (seconds: number): Promise<number[]> => {
    const ackMs: number[] = [];
    const until = performance.now() + seconds * 1_000;
    const loops = load.senders.flatMap((sender) =>
      Array.from({ length: load.window }, async () => {
        while (performance.now() < until) ackMs.push(await send(sender, CONTENT));
      }),
    );
    await Promise.all(loops);
    return ackMs;
  };
  // Compilers and caches of both sides are warm when it counts.
  await run(2);
  await settled(system);
  const before = {
    deliveries: deliveries(),
    cpu: system.cpuSeconds(),
    redisCpu: await system.redisCpuSeconds(),
    loadCpu: process.cpuUsage(),
    at: performance.now(),
  };
  const ackMs = await run(load.seconds);
  const seconds = (performance.now() - before.at) / 1_000;
  // What is still on its way has been paid for mostly; the rest is counted with it.
  await settled(system);
  const cpu = system.cpuSeconds() - before.cpu;
  const own = process.cpuUsage(before.loadCpu);
  const delivered = deliveries() - before.deliveries;
  return {
    messagesPerSecond: ackMs.length / seconds,
    deliveriesPerSecond: delivered / seconds,
    deliveriesPerCpuSecond: delivered / cpu,
    serverCpu: cpu / seconds,
    redisCpu: ((await system.redisCpuSeconds()) - before.redisCpu) / seconds,
    loadCpu: (own.user + own.system) / 1e6 / seconds,
    ackMs,
  };
}

/** Messages at an even pace, by the clients in turn: how long until the answer, how long until each delivery. */
export async function pace(
  clients: readonly LoadClient[],
  load: { perSecond: number; seconds: number; sizeBytes?: number },
): Promise<{ deliveredMs: number[]; ackMs: number[] }> {
  const deliveredMs: number[] = [];
  for (const client of clients) {
    client.listen((payload) => {
      // The content is the time of sending.
      const at = payload.indexOf('"content":"') + 11;
      deliveredMs.push(performance.now() - Number.parseFloat(payload.toString('latin1', at, at + 20)));
    });
  }
  const acks: Promise<number>[] = [];
  const startedAt = performance.now();
  for (let n = 0; n < load.seconds * load.perSecond; n++) {
    await wait(startedAt + (n * 1_000) / load.perSecond - performance.now());
    const sender = clients[n % clients.length] as LoadClient;
    acks.push(
      send(
        sender,
        performance
          .now()
          .toFixed(3)
          .padEnd(load.sizeBytes ?? 100),
      ),
    );
  }
  const ackMs = await Promise.all(acks);
  await wait(200);
  for (const client of clients) client.listen(undefined);
  return { deliveredMs, ackMs };
}
