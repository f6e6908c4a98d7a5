/** Passes one request, or one connection that stops being HTTP, on to a program in a sandbox. */
import { request as send, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PreviewAddresses, PreviewPlace } from './preview-address.ts';
import { headersInward, headersOutward } from './preview-headers.ts';

/** Cookies and tokens of both sides. */
export const HEADER_BYTES = 32_768;
/** Neither side says anything for so long: first builds and long polls take minutes. */
const SILENCE_MS = 600_000;
/** An upgrade that is not answered by then is none. */
const UPGRADE_MS = 30_000;
/** Hot reload may be quiet for as long as somebody reads. */
const UPGRADED_SILENCE_MS = 2 * 3_600_000;

export interface Forwarding {
  request: IncomingMessage;
  place: PreviewPlace;
  addresses: PreviewAddresses;
  /** The connection to the program; ended with the request. */
  connection: Duplex;
}

/** Rejects when no answer has come; what fails later ends the response. */
export async function forward(forwarding: Forwarding, response: ServerResponse): Promise<void> {
  const { request, connection, place, addresses } = forwarding;
  const outgoing = begin(forwarding);
  const quiet = new Silence(SILENCE_MS, connection);
  request.on('data', quiet.broken);
  try {
    // A program may answer before it has read all, or without reading at all.
    request.pipe(outgoing);
    const answer = await answerTo(outgoing);
    answer.on('data', quiet.broken);
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, headersOutward(answer, place, addresses));
    // Events have to be seen when they come.
    response.flushHeaders();
    await pipeline(answer, response).catch(() => response.destroy());
  } finally {
    quiet.end();
    request.unpipe(outgoing);
    connection.destroy();
  }
}

/** Resolves with the answer of a program that does not change the protocol, else when the connection has ended. */
export async function forwardUpgrade(
  forwarding: Forwarding,
  socket: Duplex,
  head: Buffer,
): Promise<IncomingMessage | undefined> {
  const { connection, place, addresses } = forwarding;
  const outgoing = begin(forwarding, 'websocket');
  const waiting = new Silence(UPGRADE_MS, connection);
  const upgraded = new Promise<{ answer: IncomingMessage; rest: Buffer }>((resolve) =>
    outgoing.once('upgrade', (answer, _socket, rest) => resolve({ answer, rest })),
  );
  outgoing.end();
  const outcome = await Promise.race([upgraded, answerTo(outgoing)]).finally(() => waiting.end());
  if (!('rest' in outcome)) return outcome;

  const { answer, rest } = outcome;
  const headers = { ...headersOutward(answer, place, addresses), connection: 'Upgrade', upgrade: 'websocket' };
  const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`));
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`, 'latin1');
  if (rest.length > 0) socket.write(rest);
  if (head.length > 0) connection.write(head);
  const quiet = new Silence(UPGRADED_SILENCE_MS, connection);
  socket.on('data', quiet.broken);
  connection.on('data', quiet.broken);
  await Promise.allSettled([pipeline(socket, connection), pipeline(connection, socket)]);
  quiet.end();
  return undefined;
}

function begin({ request, place, addresses, connection }: Forwarding, upgrade?: string): ClientRequest {
  const outgoing = send({
    method: request.method,
    path: request.url,
    headers: headersInward(request, place, addresses, upgrade),
    setHost: false,
    maxHeaderSize: HEADER_BYTES,
    createConnection: () => connection,
  });
  // After an answer this is the connection's end, which the answer's reader sees.
  outgoing.on('error', () => connection.destroy());
  return outgoing;
}

function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
    outgoing.once('close', () => reject(new Error('The program broke off')));
  });
}

/** Ends a connection on which nothing moves. */
class Silence {
  readonly #timer: NodeJS.Timeout;
  readonly broken = (): void => void this.#timer.refresh();

  constructor(ms: number, connection: Duplex) {
    this.#timer = setTimeout(() => connection.destroy(), ms).unref();
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}
