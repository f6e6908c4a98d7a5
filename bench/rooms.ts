/**
 * message:send → delivered and acked in one room, against stock Socket.IO in the same run; durable messages per second
 * with 1, 32 and 256 concurrent senders. Prints Markdown. Usage: npm run bench [-- rounds]
 */
import { cpus } from 'node:os';
import { count, diskSyncMs, ms, percentile, table } from './figures.ts';
import { LoadClient } from './load-client.ts';
import { startAtelier, startBare, type Target } from './target.ts';

const CLIENTS = 100;
const SECONDS = 8;
/** Messages per second where latency is measured: well below what either server can do. */
const QUIET_RATE = 50;
/** Senders in the saturated room and operations each keeps under way. */
const SENDERS = 16;
const WINDOW = 8;

interface Room {
  target: Target;
  chatId: string;
  clients: LoadClient[];
}

interface Saturated {
  deliveriesPerSecond: number;
  cpuPer100k: number;
  messagesPerSecond: number;
}

async function post(url: string, path: string, body: object, token?: string): Promise<Record<string, unknown>> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { data: Record<string, unknown> };
  if (!response.ok) throw new Error(JSON.stringify(answer));
  return answer.data;
}

/** Users and a chat of them all; on the bare server neither exists. */
async function openRoom(target: Target, clientCount: number, authenticated: boolean): Promise<Room> {
  const tokens: string[] = [];
  let chatId = '0'.repeat(24);
  if (authenticated) {
    const ids: string[] = [];
    for (let n = 0; n < 4; n++) {
      const email = `bench-${Date.now()}-${n}@example.com`;
      const data = await post(target.url, '/api/auth/register', {
        email,
        password: 'correct horse battery',
        name: `B${n}`,
      });
      tokens.push(String(data['accessToken']));
      ids.push((data['user'] as { id: string }).id);
    }
    const { chat } = await post(target.url, '/api/chats', { kind: 'group', memberIds: ids.slice(1) }, tokens[0]);
    chatId = (chat as { id: string }).id;
  }
  const clients: LoadClient[] = [];
  for (let n = 0; n < clientCount; n++) {
    const token = tokens[n % tokens.length];
    const client = new LoadClient({ url: target.url, ...(token === undefined ? {} : { token }) });
    await client.ready;
    clients.push(client);
  }
  return { target, chatId, clients };
}

let nextClientId = 0;
const send = (room: Room, client: LoadClient, content: string): Promise<unknown> =>
  client.call('message:send', { chatId: room.chatId, clientId: `c${nextClientId++}`, content }).then((answer) => {
    if (!(answer as { ok: boolean }).ok) throw new Error(JSON.stringify(answer));
  });

async function saturated(room: Room): Promise<Saturated> {
  let deliveries = 0;
  let sent = 0;
  for (const client of room.clients) client.listen(() => deliveries++);
  const cpuBefore = room.target.cpuSeconds();
  const startedAt = performance.now();
  const until = startedAt + SECONDS * 1_000;
  const senders = room.clients.slice(0, SENDERS).flatMap((client) =>
    Array.from({ length: WINDOW }, async () => {
      while (performance.now() < until) {
        await send(room, client, 'x'.repeat(100));
        sent++;
      }
    }),
  );
  await Promise.all(senders);
  const seconds = (performance.now() - startedAt) / 1_000;
  const cpu = room.target.cpuSeconds() - cpuBefore;
  return {
    deliveriesPerSecond: deliveries / seconds,
    cpuPer100k: (cpu / deliveries) * 100_000,
    messagesPerSecond: sent / seconds,
  };
}

async function quiet(room: Room): Promise<{ delivered: number[]; acked: number[] }> {
  const delivered: number[] = [];
  const acked: number[] = [];
  for (const client of room.clients) {
    client.listen((raw) => {
      const at = raw.indexOf('"content":"');
      delivered.push(performance.now() - Number.parseFloat(raw.slice(at + 11, at + 31)));
    });
  }
  const pending: Promise<void>[] = [];
  for (let n = 0; n < SECONDS * QUIET_RATE; n++) {
    const client = room.clients[n % room.clients.length] as LoadClient;
    const startedAt = performance.now();
    pending.push(
      send(room, client, startedAt.toFixed(3).padEnd(100)).then(() => void acked.push(performance.now() - startedAt)),
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000 / QUIET_RATE));
  }
  await Promise.all(pending);
  const numeric = (a: number, b: number): number => a - b;
  return { delivered: delivered.sort(numeric), acked: acked.sort(numeric) };
}

/** Acked messages per second with `senders` closed loops, in a room that only the senders' sockets are in. */
async function durable(target: Target, senders: number): Promise<{ perSecond: number; p50: number; p99: number }> {
  const room = await openRoom(target, Math.min(senders, 8), true);
  const times: number[] = [];
  const startedAt = performance.now();
  const until = startedAt + SECONDS * 1_000;
  await Promise.all(
    Array.from({ length: senders }, async (_, n) => {
      const client = room.clients[n % room.clients.length] as LoadClient;
      while (performance.now() < until) {
        const sentAt = performance.now();
        await send(room, client, 'x'.repeat(100));
        times.push(performance.now() - sentAt);
      }
    }),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  for (const client of room.clients) client.close();
  times.sort((a, b) => a - b);
  return { perSecond: times.length / seconds, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

const median = (values: number[]): number =>
  percentile(
    values.sort((a, b) => a - b),
    0.5,
  );

const rounds = Number(process.argv[2] ?? 3);
const sync = diskSyncMs();
console.log(
  `${cpus().length} cores, Node ${process.versions.node}; disk: fdatasync p50 ${ms(sync.p50)} ms, p99 ${ms(sync.p99)} ms\n`,
);

const results = new Map<string, { saturated: Saturated[]; delivered: number[]; acked: number[] }>();
let idleMib = 0;
for (let round = 0; round < rounds; round++) {
  for (const start of [startBare, startAtelier]) {
    const target = await start();
    if (target.name === 'Atelier') idleMib = target.residentBytes() / 1024 ** 2;
    const room = await openRoom(target, CLIENTS, start === startAtelier);
    const { delivered, acked } = await quiet(room);
    const load = await saturated(room);
    const kept = results.get(target.name) ?? { saturated: [], delivered: [], acked: [] };
    kept.saturated.push(load);
    kept.delivered.push(...delivered);
    kept.acked.push(...acked);
    results.set(target.name, kept);
    for (const client of room.clients) client.close();
    await target.stop();
  }
}
const rows = [...results].map(([name, result]) => {
  const delivered = result.delivered.sort((a, b) => a - b);
  const acked = result.acked.sort((a, b) => a - b);
  return [
    name,
    count(median(result.saturated.map((one) => one.deliveriesPerSecond))),
    median(result.saturated.map((one) => one.cpuPer100k)).toFixed(2),
    `${ms(percentile(delivered, 0.5))} / ${ms(percentile(delivered, 0.99))}`,
    `${ms(percentile(acked, 0.5))} / ${ms(percentile(acked, 0.99))}`,
  ];
});
console.log(`Room of ${CLIENTS}, median of ${rounds} rounds\n`);
console.log(
  table(
    [
      'server',
      'deliveries/s (saturated)',
      'CPU s per 100,000 deliveries',
      `delivered p50 / p99 ms (${QUIET_RATE} messages/s)`,
      'acked p50 / p99 ms',
    ],
    rows,
  ),
);

const target = await startAtelier();
const durableRows: string[][] = [];
for (const senders of [1, 32, 256]) {
  const { perSecond, p50, p99 } = await durable(target, senders);
  durableRows.push([String(senders), count(perSecond), ms(p50), ms(p99)]);
}
await target.stop();
console.log(`\nDurable messages (8 sockets in the room)\n`);
console.log(table(['concurrent senders', 'messages/s', 'ack p50 ms', 'ack p99 ms'], durableRows));
console.log(`\nIdle memory after start: ${idleMib.toFixed(0)} MiB resident`);
