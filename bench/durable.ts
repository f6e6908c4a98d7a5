/** Acknowledged messages per second by so many senders, in a room that only their 8 sockets are in. */
import { count, ms, percentile, table } from './figures.ts';
import { closeAll, connectAll, saturate } from './load.ts';
import { startAtelier } from './systems.ts';

const SECONDS = 8;
const SOCKETS = 8;

export async function durable(): Promise<string> {
  const system = await startAtelier({ rooms: 1, size: SOCKETS, nodes: 1 });
  const clients = await connectAll(system.members);
  const rows: string[][] = [];
  for (const senders of [1, 32, 256]) {
    const load = {
      senders: clients.slice(0, Math.min(senders, SOCKETS)),
      window: Math.ceil(senders / SOCKETS),
      seconds: SECONDS,
    };
    const { messagesPerSecond, serverCpu, ackMs } = await saturate(system, clients, load);
    rows.push([
      String(senders),
      count(messagesPerSecond),
      ms(percentile(ackMs, 0.5)),
      ms(percentile(ackMs, 0.99)),
      ((serverCpu / messagesPerSecond) * 1e6).toFixed(0),
    ]);
  }
  await closeAll(clients);
  await system.stop();
  return [
    '### Durable messages (8 sockets in the room)',
    table(['messages under way', 'messages/s', 'ack p50 ms', 'ack p99 ms', 'server CPU µs per message'], rows),
  ].join('\n\n');
}
