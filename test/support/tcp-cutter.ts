/** A TCP relay that can be cut: what is under way is lost, as when a cable is pulled. */
import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type NetConnectOpts, type Socket } from 'node:net';

export interface TcpCutter extends AsyncDisposable {
  port: number;
  /** Ends every relayed connection at once. */
  cut(): void;
  /** Passes on nothing that the server answers from now on, until `cut`. */
  swallowAnswers(): void;
}

/** On a free port unless one is given. */
export async function startTcpCutter(target: NetConnectOpts, port = 0): Promise<TcpCutter> {
  const pairs = new Set<[Socket, Socket]>();
  let swallowing = false;
  const server = createServer((client) => {
    const upstream = connect(target);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const side of pair) side.on('error', end).on('close', end);
    client.on('data', (data) => upstream.write(data));
    upstream.on('data', (data) => swallowing || client.write(data));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    swallowing = false;
    for (const [client, upstream] of pairs) {
      client.destroy();
      upstream.destroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    swallowAnswers() {
      swallowing = true;
    },
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
