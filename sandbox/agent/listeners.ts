/** Ports of the loopback on which the agent takes connections for the server, such as that of a package registry. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

/** Gets what connects to the listener of that name. */
export type TakeSocket = (name: string, socket: Socket) => void;

export class Listeners {
  readonly #servers: Server[] = [];
  /** Undefined while there is no server for them: they are refused then. */
  taker: TakeSocket | undefined;

  /** Rejects where another program has one of the ports: it would be taken for the registry. */
  async listen(ports: readonly { name: string; port: number }[]): Promise<void> {
    for (const { name, port } of ports) {
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        socket.on('error', () => {});
        if (this.taker) this.taker(name, socket);
        else socket.resetAndDestroy();
      });
      this.#servers.push(server);
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    }
  }

  close(): void {
    for (const server of this.#servers) server.close();
  }
}
