/**
 * A local server that speaks the wire format of Anthropic's `POST /v1/messages` (server-sent events) and misbehaves on
 * command. Requests are checked as the service checks them: version header, credentials, streaming body, refused settings.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const TEST_KEY = 'sk-ant-test-0123456789';

export interface RecordedRequest {
  headers: IncomingMessage['headers'];
  body: Record<string, unknown>;
}

/** What the server does with one request. */
export type Behaviour = (response: ServerResponse, request: RecordedRequest) => void | Promise<void>;

export interface AnthropicServer {
  url: string;
  requests: RecordedRequest[];
  /** Behaviours of the next requests, one each; the last one stays. */
  script(...behaviours: Behaviour[]): void;
  close(): Promise<void>;
}

export async function startAnthropicServer(): Promise<AnthropicServer> {
  const requests: RecordedRequest[] = [];
  let behaviours: Behaviour[] = [];

  const server = createServer((request, response) => {
    response.on('error', () => {});
    void readBody(request).then(async (body) => {
      const recorded = { headers: request.headers, body };
      requests.push(recorded);
      const refusal = refusalOf(request, body);
      const behaviour = behaviours.length > 1 ? behaviours.shift() : behaviours[0];
      await (refusal ?? behaviour ?? status(500, 'api_error'))(response, recorded);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    script: (...next) => {
      behaviours = next;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

export interface AnswerOptions {
  stopReason?: string;
  inputTokens?: number;
  outputTokens?: number;
  cacheReadTokens?: number;
}

/** A whole answer, one event after another. */
export const answer = (pieces: readonly string[], options: AnswerOptions = {}): Behaviour =>
  raw(wholeAnswer(pieces, options));

/** A whole answer in writes of `size` bytes: characters, lines and events are cut anywhere. */
export const splitAnswer =
  (pieces: readonly string[], size: number): Behaviour =>
  async (response) => {
    const bytes = Buffer.from(wholeAnswer(pieces, {}));
    begin(response);
    for (let at = 0; at < bytes.length; at += size) await write(response, bytes.subarray(at, at + size));
    response.end();
  };

/** A refusal after some text, as the service's classifiers make it. */
export const refusal = (pieces: readonly string[]): Behaviour => answer(pieces, { stopReason: 'refusal' });

/** Some text, then the connection is cut. */
export const killed =
  (pieces: readonly string[]): Behaviour =>
  async (response) => {
    begin(response);
    await write(response, opening({}) + pieces.map(textDelta).join(''));
    response.destroy();
  };

/** Some text, then a clean end of the response without `message_stop`. */
export const closedEarly = (pieces: readonly string[]): Behaviour => raw(opening({}) + pieces.map(textDelta).join(''));

/** Some text, then nothing: the connection stays open, with pings or without. Gives the moment when the client left. */
export function stalled(pieces: readonly string[], pingEveryMs?: number): Behaviour & { gone: Promise<void> } {
  let left: () => void = () => {};
  const gone = new Promise<void>((resolve) => {
    left = resolve;
  });
  const behaviour: Behaviour = async (response) => {
    begin(response);
    const pings =
      pingEveryMs === undefined
        ? undefined
        : setInterval(() => response.write(event('ping', { type: 'ping' })), pingEveryMs);
    response.on('close', () => {
      clearInterval(pings);
      left();
    });
    await write(response, opening({}) + pieces.map(textDelta).join(''));
  };
  return Object.assign(behaviour, { gone });
}

/** Takes the request and never answers, not even with headers. */
export const silent: Behaviour = () => {};

/** Some text, then an event that is no JSON. */
export const malformed = (pieces: readonly string[]): Behaviour =>
  raw(
    `${opening({})}${pieces.map(textDelta).join('')}event: content_block_delta\ndata: {"type":"content_block_delta","del\n\n`,
  );

/** Some text, then an error event inside the stream. */
export const errorEvent = (pieces: readonly string[], type: string): Behaviour =>
  raw(
    opening({}) +
      pieces.map(textDelta).join('') +
      event('error', { type: 'error', error: { type, message: `Secret detail about ${type}` } }),
  );

/** An HTTP error with the service's body. */
export const status =
  (code: number, type: string, headers: Record<string, string> = {}): Behaviour =>
  (response) => {
    response.writeHead(code, { 'content-type': 'application/json', 'request-id': 'req_test', ...headers });
    response.end(JSON.stringify({ type: 'error', error: { type, message: `Secret detail about ${type}` } }));
  };

/** Any text as the body of an event stream. */
export const raw =
  (text: string): Behaviour =>
  (response) => {
    begin(response);
    response.end(text);
  };

function wholeAnswer(pieces: readonly string[], options: AnswerOptions): string {
  const { stopReason = 'end_turn', outputTokens = pieces.length } = options;
  return (
    opening(options) +
    event('ping', { type: 'ping' }) +
    pieces.map(textDelta).join('') +
    event('content_block_stop', { type: 'content_block_stop', index: 0 }) +
    event('message_delta', {
      type: 'message_delta',
      delta: { stop_reason: stopReason, stop_sequence: null, stop_details: null, container: null },
      usage: {
        output_tokens: outputTokens,
        input_tokens: null,
        cache_read_input_tokens: null,
        cache_creation_input_tokens: null,
      },
    }) +
    event('message_stop', { type: 'message_stop' })
  );
}

function opening({ inputTokens = 10, cacheReadTokens = 0 }: AnswerOptions): string {
  const usage = {
    input_tokens: inputTokens,
    output_tokens: 1,
    cache_read_input_tokens: cacheReadTokens,
    cache_creation_input_tokens: 0,
  };
  const message = { id: 'msg_test', type: 'message', role: 'assistant', model: 'test', content: [], usage };
  return (
    event('message_start', { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null } }) +
    event('content_block_start', { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
  );
}

const textDelta = (text: string): string =>
  event('content_block_delta', { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } });

export const event = (name: string, data: object): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

function begin(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'request-id': 'req_test' });
}

/** Resolves when the bytes have left this process, in a packet of their own as far as that can be had. */
const write = (response: ServerResponse, data: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => response.write(data, () => setImmediate(resolve)));

/** What the service answers 400 or 401 to. */
function refusalOf(request: IncomingMessage, body: Record<string, unknown>): Behaviour | undefined {
  const { headers } = request;
  if (request.method !== 'POST' || request.url !== '/v1/messages') return status(404, 'not_found_error');
  if (headers['x-api-key'] !== TEST_KEY && headers.authorization !== `Bearer ${TEST_KEY}`) {
    return status(401, 'authentication_error');
  }
  const messages = Array.isArray(body.messages) ? (body.messages as { role?: unknown; content?: unknown }[]) : [];
  const isWellFormed =
    headers['anthropic-version'] !== undefined &&
    body.stream === true &&
    typeof body.model === 'string' &&
    typeof body.max_tokens === 'number' &&
    !('temperature' in body || 'top_p' in body || 'top_k' in body) &&
    messages.length > 0 &&
    messages.at(-1)?.role === 'user' &&
    messages.every(({ content }) => typeof content === 'string' && content !== '');
  return isWellFormed ? undefined : status(400, 'invalid_request_error');
}

async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
}
