import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Engine, OnError } from '../engine.ts';
import { LARGEST_MESSAGE } from '../commands/server.ts';
import { fail } from '../errors.ts';
import { encodeAnswer, parseMessage } from './messages.ts';

const DISCONNECTS = new Set<unknown>(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR']);

/** Where to listen: a socket file, or a port (0 for any). */
export type Address = { path: string } | { host: string; port: number };

/** A listening server. */
export interface WireServer {
  uri: string;
  close(): Promise<void>;
}

/** Lets clients that speak the MongoDB wire protocol reach an engine. */
export async function listen(engine: Engine, address: Address, onError?: OnError): Promise<WireServer> {
  const conversations = new Map<Socket, Promise<void>>();
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    const conversation = converse(engine, socket)
      .catch((error: unknown) => {
        // A client that vanishes is no error of the server's.
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (!DISCONNECTS.has(code)) onError?.(error, 'connection');
      })
      .finally(() => {
        socket.destroy();
        conversations.delete(socket);
      });
    conversations.set(socket, conversation);
  });
  server.listen(address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const host = 'path' in address ? encodeURIComponent(address.path) : `${address.host}:${port}`;
  return {
    uri: `mongodb://${host}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      const open = [...conversations.values()];
      for (const socket of conversations.keys()) socket.destroy();
      await Promise.all([closed, ...open]);
    },
  };
}

/** Answers one client's messages, one after another; reading waits while an answer is being made or sent. */
async function converse(engine: Engine, socket: Socket): Promise<void> {
  let answers = 0;
  for await (const bytes of messages(socket)) {
    const message = parseMessage(bytes);
    const reply = await engine.run(message.request);
    if (message.silent) continue;
    if (!socket.destroyed && !socket.write(encodeAnswer(message, reply, ++answers))) await once(socket, 'drain');
  }
}

/** Cuts what arrives into messages. */
async function* messages(socket: Socket): AsyncGenerator<Buffer> {
  let chunks: Buffer[] = [];
  let have = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    have += chunk.length;
    while (have >= 16) {
      const head = Buffer.concat(chunks.slice(0, 4), 4);
      const size = head.readInt32LE(0);
      if (size < 16 || size > LARGEST_MESSAGE + 16_384) fail(17, `a message of ${size} bytes`);
      if (have < size) break;
      const [first] = chunks;
      const all = chunks.length === 1 && first ? first : Buffer.concat(chunks, have);
      chunks = have > size ? [all.subarray(size)] : [];
      have -= size;
      yield all.subarray(0, size);
    }
  }
}
