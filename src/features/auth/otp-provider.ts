/** How a code gets to a phone. */
import type { Log } from '../../observability/log.ts';
import { createTwilioMessages, type TwilioMessagesOptions } from './twilio-messages.ts';

export type OtpChannel = 'sms' | 'whatsapp';

export interface OtpMessage {
  /** E.164. */
  to: string;
  channel: OtpChannel;
  code: string;
  text: string;
}

export interface OtpProvider {
  serves(channel: OtpChannel): boolean;
  /**
   * Hands the message over, once. Rejects with a `Fault`: `invalid` or `unsupported` for a phone that cannot be
   * reached, `unavailable` or `upstream` when the provider fails, `timeout` when it is not known whether it was sent.
   */
  send(message: OtpMessage): Promise<void>;
}

export type OtpProviderOptions = { kind: 'off' } | { kind: 'console' } | TwilioMessagesOptions;

/** A message that was shown instead of sent. */
export interface OutboxMessage extends OtpMessage {
  /** ISO 8601. */
  at: string;
}

/** What the `console` provider has shown, for development only. */
export interface Outbox {
  /** The last 50, newest first. */
  list(): OutboxMessage[];
}

const OUTBOX_LENGTH = 50;

export function createOtpProvider(
  options: OtpProviderOptions,
  log: Log,
  now: () => number,
): { provider: OtpProvider | undefined; outbox?: Outbox } {
  if (options.kind === 'console') return createConsole(log, now);
  return { provider: options.kind === 'off' ? undefined : createTwilioMessages(options, log) };
}

function createConsole(log: Log, now: () => number): { provider: OtpProvider; outbox: Outbox } {
  const messages: OutboxMessage[] = [];
  return {
    provider: {
      serves: () => true,
      async send(message) {
        messages.unshift({ ...message, at: new Date(now()).toISOString() });
        messages.splice(OUTBOX_LENGTH);
        // The one place where a code is meant to be read by whoever runs the server.
        log.info(`The code for ${message.to} is ${message.code}`);
      },
    },
    outbox: { list: () => [...messages] },
  };
}
