/** What sends a notification to one device. Web push is built in; others (FCM, APNs) may be added. */
export interface PushTarget {
  endpoint: string;
  p256dh: string;
  auth: string;
}

export interface PushMessage {
  /** JSON of at most 3 KiB. */
  payload: string;
  /** One that has not been delivered yet is replaced by the next with the same topic. */
  topic: string;
  urgency: 'normal' | 'high';
  /** How long the push service tries. */
  ttlSeconds: number;
}

export type PushOutcome =
  | { kind: 'sent' }
  /** The device will never take anything again. */
  | { kind: 'gone' }
  /** This message was refused for good. */
  | { kind: 'refused'; status: number }
  /** It may succeed another time, `retryAfterMs` from now at the earliest. */
  | { kind: 'later'; retryAfterMs: number | undefined };

export interface PushSender {
  /** What a client subscribes with. */
  readonly publicKey: string;
  /** Throws `Fault('invalid')` for an endpoint or key that can never be sent to. */
  check(target: PushTarget): void;
  /** Never rejects. */
  send(target: PushTarget, message: PushMessage, signal: AbortSignal): Promise<PushOutcome>;
  close(): void;
}
