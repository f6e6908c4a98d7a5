/**
 * Sends codes by Twilio's Messages API. Its SDK is loaded with the first message. Its errors carry credentials and the
 * message's text, so nothing of them gets out of here but a status and an error number. A message whose outcome is
 * unknown is never sent again.
 */
import type { Twilio } from 'twilio';
import { Fault } from '../../protocol/index.ts';
import type { Log } from '../../observability/log.ts';
import type { OtpProvider } from './otp-provider.ts';

export interface TwilioMessagesOptions {
  kind: 'twilio-messages';
  accountSid: string;
  authToken: string;
  /** A number in E.164, or a messaging service (`MG…`). Without it SMS is not served. */
  from?: string | undefined;
  /** A number in E.164. Without it WhatsApp is not served. */
  whatsappFrom?: string | undefined;
  /** Another address than Twilio's. */
  baseUrl?: string | undefined;
  timeoutMs?: number | undefined;
}

/** Well below the deadline of `auth:send-otp`. */
const TIMEOUT_MS = 10_000;

/** Twilio's error numbers that are about the phone; all others are ours or Twilio's. */
const BAD_NUMBER = new Set([21_211, 21_214, 21_217, 21_401, 21_421, 21_614]);
const NOT_REACHABLE = new Set([21_408, 21_610, 21_612, 63_003, 63_024]);
const TIMED_OUT = new Set(['ECONNABORTED', 'ETIMEDOUT', 'ESOCKETTIMEDOUT', 'ECONNRESET', 'EPIPE']);

export function createTwilioMessages(options: TwilioMessagesOptions, log: Log): OtpProvider {
  let client: Promise<Twilio> | undefined;
  const { from = '' } = options;
  const sender = from.startsWith('MG') ? { messagingServiceSid: from } : { from };

  return {
    serves: (channel) => (channel === 'sms' ? options.from : options.whatsappFrom) !== undefined,

    async send({ to, channel, text }) {
      client ??= connect(options);
      const { messages } = await client;
      let failure: unknown;
      try {
        const message = await messages.create({
          body: text,
          ...(channel === 'sms' ? { ...sender, to } : { from: whatsapp(options.whatsappFrom ?? ''), to: whatsapp(to) }),
        });
        // A body that is not Twilio's gives an instance without fields.
        if (typeof message.sid === 'string') return;
      } catch (error) {
        failure = error;
      }
      const { status, code } = detailsOf(failure);
      log.warn('A code could not be handed to Twilio', { status, code });
      throw faultOf(status, code);
    },
  };
}

async function connect({ accountSid, authToken, baseUrl, timeoutMs }: TwilioMessagesOptions): Promise<Twilio> {
  const { default: twilio } = await import('twilio');
  const client = twilio(accountSid, authToken, { timeout: timeoutMs ?? TIMEOUT_MS, autoRetry: false });
  if (baseUrl !== undefined) client.api.baseUrl = baseUrl;
  return client;
}

const whatsapp = (number: string): string => (number.startsWith('whatsapp:') ? number : `whatsapp:${number}`);

/** The two harmless facts of an SDK error. */
function detailsOf(error: unknown): { status: number | undefined; code: number | string | undefined } {
  const { status, code } = (error ?? {}) as { status?: unknown; code?: unknown };
  return {
    status: typeof status === 'number' ? status : undefined,
    code: typeof code === 'number' || typeof code === 'string' ? code : undefined,
  };
}

/** Never with the SDK's error as its cause. */
function faultOf(status: number | undefined, code: number | string | undefined): Fault {
  if (typeof code === 'number' && BAD_NUMBER.has(code)) {
    const message = 'This phone number cannot receive messages';
    return new Fault('invalid', message, { detail: [{ path: 'phoneNumber', message }] });
  }
  if (typeof code === 'number' && NOT_REACHABLE.has(code)) {
    return new Fault('unsupported', 'Messages cannot be sent to this phone');
  }
  if (status === 429) {
    return new Fault('unavailable', 'Too many messages are being sent; wait', { retryAfterMs: 10_000 });
  }
  if (typeof code === 'string' && TIMED_OUT.has(code)) {
    return new Fault('timeout', 'It is not known whether the code was sent; if it arrives, it is valid');
  }
  return new Fault('upstream', 'The message service did not take the code');
}
