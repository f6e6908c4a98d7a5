/**
 * How a plain WebSocket gets to `/yjs/<fileId>?token=…`. Every upgrade is accepted and then refused by a close code:
 * stock providers try an HTTP refusal again for ever.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer, type ServerOptions } from 'ws';
import { LIMITS, type Origin } from '../../protocol/index.ts';
import type { YjsEndpoint } from './yjs-endpoint.ts';
import { CLOSE, type CloseCode } from './yjs-peer.ts';

export const YJS_PREFIX = '/yjs/';

/** Where a connection came from, once it counts; or why it cannot come in. */
export type Admitted = { origin: Origin; leave: () => void } | { refused: 'origin' | 'full' | 'stopping' };

export interface YjsUpgradeDeps {
  endpoint: Pick<YjsEndpoint, 'accept'>;
  /** The doors that Socket.IO has: origins, and connections of one address. */
  admit: (request: IncomingMessage) => Admitted;
  onBug: (error: unknown) => void;
}

export interface YjsUpgrade {
  readonly prefix: string;
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** ws answers a message that is too large with 1009, at which a stock provider would send it again and again. */
class YjsWebSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code === 1009 ? CLOSE.tooLarge : code, reason);
  }
}

const REFUSALS: Record<'origin' | 'full' | 'stopping', { code: CloseCode; reason: string }> = {
  origin: { code: CLOSE.forbidden, reason: 'This origin is not allowed' },
  full: { code: CLOSE.later, reason: 'Too many connections' },
  stopping: { code: CLOSE.later, reason: 'This server stops' },
};

export function createYjsUpgrade({ endpoint, admit, onBug }: YjsUpgradeDeps): YjsUpgrade {
  // Its types do not know the last one yet.
  const options: ServerOptions<typeof YjsWebSocket> & { closeTimeout: number } = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: LIMITS.packetBytes,
    WebSocket: YjsWebSocket,
    closeTimeout: LIMITS.yjsCloseMs,
  };
  const server = new WebSocketServer(options);
  return {
    prefix: YJS_PREFIX,
    handle(request, socket, head) {
      const { pathname, searchParams } = urlOf(request);
      const fileId = pathname.slice(YJS_PREFIX.length);
      const token = searchParams.get('token') ?? '';
      server.handleUpgrade(request, socket, head, (ws) => {
        const admitted = admit(request);
        const isIn = 'origin' in admitted;
        endpoint
          .accept(ws, {
            fileId,
            token,
            origin: isIn ? admitted.origin : NOWHERE,
            refused: isIn ? undefined : REFUSALS[admitted.refused],
            left: isIn ? admitted.leave : () => {},
          })
          .catch(onBug);
      });
    },
  };
}

const NOWHERE: Origin = { ip: '', userAgent: '' };

function urlOf({ url = '/' }: IncomingMessage): URL {
  try {
    return new URL(url, 'http://host');
  } catch {
    return new URL('http://host/');
  }
}
