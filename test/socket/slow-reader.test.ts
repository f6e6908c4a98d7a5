/** A client of a whole server that does not read while its chat is busy: it is given up, and loses nothing by it. */
import { once } from 'node:events';
import { io } from 'socket.io-client';
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { connectRaw } from '../support/raw-client.ts';
import { startServer, type Person } from '../support/server.ts';

const MIB = 1024 * 1024;
/** The system takes some megabytes for a connection before anything waits in the server. */
const MOST_MESSAGES = 1_000;

/** The server's own figures. */
async function figures(url: string): Promise<(name: string) => number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return (name) => Number(new RegExp(`^atelier_${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

async function helloOf(url: string, { accessToken }: Person): Promise<Record<string, unknown>> {
  const socket = io(url, { auth: { token: accessToken }, forceNew: true });
  const [hello] = (await once(socket as never, 'hello')) as [Record<string, unknown>];
  socket.close();
  return hello;
}

test(
  '[PR-18] [CH-12] a client that does not read costs less than 2 MiB, is given up, and gets all of it afterwards',
  { timeout: 120_000 },
  async () => {
    await using server = await startServer();
    const [ada, grace, slow] = [await server.person('Ada'), await server.person('Grace'), await server.person('Slow')];
    const chatId = await server.chat([ada, grace, slow]);
    const [writer, reader] = [await server.socket(ada), await server.socket(grace)];
    const seen: number[] = [];
    reader.on('message:created', ({ message }: { message: { seq: number } }) => seen.push(message.seq));
    using client = await connectRaw(server.url, slow.accessToken);
    client.stopReading();

    const content = 'x'.repeat(LIMITS.messageBytes);
    let sent = 0;
    let largest = 0;
    let givenUp = 0;
    while (givenUp === 0 && sent < MOST_MESSAGES) {
      const answers = await Promise.all(
        Array.from({ length: 16 }, (_, n) =>
          writer.emitWithAck('message:send', { chatId, clientId: `c${sent + n}`, content }),
        ),
      );
      for (const answer of answers) expect(answer).toMatchObject({ ok: true });
      sent += answers.length;
      const figure = await figures(server.url);
      largest = Math.max(largest, figure('outbound_bytes'), figure('outbound_largest_bytes'));
      givenUp = figure('slow_readers_total');
    }
    expect(givenUp).toBe(1);
    expect(largest).toBeGreaterThan(LIMITS.outboundBytes);
    expect(largest).toBeLessThan(2 * MIB);
    await expect.poll(async () => (await figures(server.url))('sockets')).toBe(2);
    // The others have heard everything in order.
    await expect.poll(() => seen.length).toBe(sent);
    expect(seen).toEqual(Array.from({ length: sent }, (_, n) => n + 1));

    client.readOn();
    await expect.poll(() => client.closed).toBe(true);
    expect(await helloOf(server.url, slow)).toMatchObject({ previousClose: 'slow_consumer' });
    expect(await helloOf(server.url, slow)).not.toHaveProperty('previousClose');

    const heard = client
      .events()
      .filter(([name]) => name === 'message:created')
      .map(([, data]) => (data as { rev: number }).rev);
    const again = await server.socket(slow);
    let after = heard.at(-1) ?? 0;
    for (let more = true; more;) {
      const { data } = (await again.emitWithAck('chat:sync', { chatId, after })) as {
        data: { items: { rev: number }[]; position: number; more: boolean };
      };
      heard.push(...data.items.map(({ rev }) => rev));
      ({ position: after, more } = data);
    }
    expect(heard).toEqual(Array.from({ length: sent }, (_, n) => n + 1));
    expect(server.errors).toEqual([]);
  },
);
