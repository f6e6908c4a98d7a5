/** The one place that looks at upgrades: Socket.IO takes its own, features theirs by their path, all others are ended. */
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What a feature does with connections that are no HTTP any more. */
export interface UpgradeRoute {
  /** Of the path, as `/yjs/`. */
  readonly prefix: string;
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

const SOCKET_IO = '/socket.io/';
const NOT_FOUND = 'HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

export function routeUpgrades(
  httpServer: HttpServer,
  routes: readonly UpgradeRoute[],
  onBug: (error: unknown) => void,
): void {
  httpServer.on('upgrade', (request, socket, head) => {
    const path = request.url ?? '';
    if (path.startsWith(SOCKET_IO)) return;
    // The other side may go at any time.
    socket.on('error', () => {});
    const route = routes.find(({ prefix }) => path.startsWith(prefix));
    try {
      if (route) route.handle(request, socket, head);
      else end(socket);
    } catch (error) {
      onBug(error);
      socket.destroy();
    }
  });
}

/** An HTTP server's sockets stay half open: their other side is not waited for. */
function end(socket: Duplex): void {
  socket.write(NOT_FOUND);
  (socket as Socket).destroySoon();
}
