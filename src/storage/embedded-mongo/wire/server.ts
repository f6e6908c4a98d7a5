import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { Engine, OnError } from '../engine.ts';
import { LARGEST_MESSAGE } from '../commands/server.ts';
import { errorReply, fail } from '../errors.ts';
import { encodeAnswer, parseMessage, type Message } from './messages.ts';

/** Answers up to this size are written in one piece. */
const ONE_WRITE = 65_536;

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
        if (!isDisconnect(error)) onError?.(error, 'connection');
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
    const reply = await answer(engine, message);
    if (message.silent) continue;
    const parts = encodeAnswer(message, reply, ++answers);
    if (!write(socket, parts)) await once(socket, 'drain');
  }
}

async function answer(engine: Engine, message: Message) {
  let request;
  try {
    request = message.read();
  } catch (error) {
    return errorReply(error);
  }
  return engine.run(request);
}

function write(socket: Socket, parts: Buffer[]): boolean {
  if (socket.destroyed) return true;
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  if (size < ONE_WRITE) return socket.write(Buffer.concat(parts, size));
  socket.cork();
  const flushed = parts.map((part) => socket.write(part)).at(-1);
  socket.uncork();
  return flushed !== false;
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

function isDisconnect(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR';
}
