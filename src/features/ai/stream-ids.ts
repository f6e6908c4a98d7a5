import { createHash, randomBytes } from 'node:crypto';

export interface StreamIds {
  streamId: string;
  /** Of the assistant's message. */
  messageId: string;
}

/** The ids of a prompt's stream: always the same ones for the same prompt of a client, else new ones. */
export function streamIdsFor(userId: string, chatId: string, clientId: string | undefined): StreamIds {
  const bytes =
    clientId === undefined
      ? randomBytes(24)
      : createHash('sha256')
          .update(JSON.stringify([userId, 'ai:prompt', chatId, clientId]))
          .digest();
  return { streamId: bytes.toString('hex', 0, 12), messageId: bytes.toString('hex', 12, 24) };
}
