/**
 * A local server that answers as Twilio's Messages API does (`POST /2010-04-01/Accounts/<sid>/Messages.json`,
 * form-encoded, basic authentication), for the real SDK. What it answers next is the test's choice.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface TwilioMessage {
  to: string;
  from: string | null;
  messagingServiceSid: string | null;
  body: string;
  authorization: string;
}

/** `sent` is the default; the others hold until changed. */
export type TwilioBehaviour =
  | { kind: 'sent' }
  /** An error as the API words it. */
  | { kind: 'error'; status: number; code: number }
  /** The request arrives, the answer never does. */
  | { kind: 'hang' }
  /** 201, but no JSON. */
  | { kind: 'malformed' }
  /** The connection ends in the middle. */
  | { kind: 'reset' };

export interface TwilioServer extends AsyncDisposable {
  /** For `TWILIO_BASE_URL`. */
  url: string;
  accountSid: string;
  authToken: string;
  /** Every message that arrived, also those that were answered by an error. */
  received: TwilioMessage[];
  behave: (behaviour: TwilioBehaviour) => void;
  close: () => Promise<void>;
}

const MESSAGES: Record<number, string> = {
  20_003: 'Authenticate',
  20_429: 'Too Many Requests',
  21_211: "Invalid 'To' Phone Number",
  21_408: 'Permission to send an SMS or MMS has not been enabled for the region',
  21_610: 'Attempt to send to unsubscribed recipient',
  21_614: "'To' number is not a valid mobile number",
};

export async function startTwilioServer(): Promise<TwilioServer> {
  const accountSid = `AC${randomBytes(16).toString('hex')}`;
  const authToken = randomBytes(16).toString('hex');
  const received: TwilioMessage[] = [];
  let behaviour: TwilioBehaviour = { kind: 'sent' };

  const expected = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString('base64')}`;
  const path = `/2010-04-01/Accounts/${accountSid}/Messages.json`;

  const server = createServer((request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = new URLSearchParams(await textOf(request));
    if (request.method !== 'POST' || request.url !== path) return fail(response, 404, 20_404);
    const { authorization = '' } = request.headers;
    if (authorization !== expected) return fail(response, 401, 20_003);
    received.push({
      to: form.get('To') ?? '',
      from: form.get('From'),
      messagingServiceSid: form.get('MessagingServiceSid'),
      body: form.get('Body') ?? '',
      authorization,
    });
    const now = behaviour;
    if (now.kind === 'hang') return undefined;
    if (now.kind === 'reset') return void request.socket.destroy();
    if (now.kind === 'error') return fail(response, now.status, now.code);
    response.writeHead(201, { 'Content-Type': 'application/json' });
    if (now.kind === 'malformed') return void response.end('<html>It works!</html>');
    return void response.end(JSON.stringify(messageOf(accountSid, form)));
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accountSid,
    authToken,
    received,
    behave: (next) => {
      behaviour = next;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function fail(response: ServerResponse, status: number, code: number): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  const message = MESSAGES[code] ?? 'The requested resource was not found';
  response.end(JSON.stringify({ code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status }));
}

/** A message resource as the API returns it when it has queued one. */
function messageOf(accountSid: string, form: URLSearchParams): Record<string, unknown> {
  const sid = `SM${randomBytes(16).toString('hex')}`;
  const at = new Date().toUTCString();
  return {
    account_sid: accountSid,
    api_version: '2010-04-01',
    body: form.get('Body'),
    date_created: at,
    date_sent: null,
    date_updated: at,
    direction: 'outbound-api',
    error_code: null,
    error_message: null,
    from: form.get('From'),
    messaging_service_sid: form.get('MessagingServiceSid'),
    num_media: '0',
    num_segments: '1',
    price: null,
    price_unit: 'USD',
    sid,
    status: 'queued',
    subresource_uris: { media: `/2010-04-01/Accounts/${accountSid}/Messages/${sid}/Media.json` },
    to: form.get('To'),
    uri: `/2010-04-01/Accounts/${accountSid}/Messages/${sid}.json`,
  };
}
