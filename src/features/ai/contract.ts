/** Assistants in chats: operations and events. Live text rides on events, never on acks. */
import { z } from 'zod';
import { ClientId, Empty, event, Id, LIMITS, operation, textOf, wireInt } from '../../protocol/index.ts';
import { Message } from '../chat/contract.ts';

export const Usage = z
  .object({
    inputTokens: z.int(),
    outputTokens: z.int(),
    cacheReadTokens: z.int(),
    cacheWriteTokens: z.int(),
  })
  .meta({ id: 'Usage' });
export type Usage = z.output<typeof Usage>;

export const StopReason = z.enum(['end', 'max_tokens', 'stopped', 'refused']);
export type StopReason = z.output<typeof StopReason>;
export const StreamStatus = z.enum(['running', 'finished', 'interrupted', 'failed']);

const streamKey = (input: { streamId: string }): string => input.streamId;

export const aiContract = {
  'ai:prompt': operation({
    input: z.strictObject({
      chatId: Id.optional().meta({ description: 'Without one, an assistant chat is created' }),
      content: textOf(LIMITS.promptBytes).min(1),
      clientId: ClientId.optional(),
      model: z.string().min(1).max(100).optional(),
      context: textOf(LIMITS.promptBytes)
        .optional()
        .meta({ description: 'Given to the model with this prompt only; not stored' }),
      wait: z.boolean().optional().meta({ description: 'Answer when the assistant has finished' }),
    }),
    output: z.object({
      streamId: Id,
      messageId: Id.meta({ description: "The assistant's message, given beforehand" }),
      userMessageId: Id,
      chatId: Id,
      message: Message.optional(),
      usage: Usage.optional(),
      truncated: z.boolean().optional(),
    }),
    auth: 'user',
    rate: 'ai',
    maxBytes: LIMITS.aiOperationBytes,
    timeoutMs: 300_000,
    orderKey: (input) => input.chatId ?? 'new',
    http: { route: 'POST /api/chats/:chatId/prompt', alias: 'POST /api/chat/send', stream: true },
    doc: "Sends the prompt as the caller's message and lets the assistant answer to everyone in the chat. With `wait: true` the answer comes when it is done and adds message, usage and truncated.",
  }),
  'ai:resume': operation({
    input: z.strictObject({ streamId: Id, offset: wireInt(0) }),
    output: z.object({
      text: z.string(),
      offset: z.int().meta({ description: 'Of the first unit of `text`' }),
      status: StreamStatus,
      message: Message.optional(),
    }),
    auth: 'user',
    rate: 'reads',
    orderKey: streamKey,
    doc: 'The rest of a stream from an offset (UTF-16 units). Deltas below the end of it are to be dropped, one above means another resume.',
  }),
  'ai:stop': operation({
    input: z.strictObject({ streamId: Id }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: streamKey,
    doc: "Stops a stream and keeps its text so far: by whoever asked, or the chat's owner or admin. Stopping one that has ended is no error.",
  }),
};

export const aiEvents = {
  'ai:started': event({
    data: z.object({ streamId: Id, messageId: Id, chatId: Id }),
    doc: 'An assistant begins to answer.',
  }),
  'ai:delta': event({
    data: z.object({ streamId: Id, offset: z.int(), text: z.string() }),
    doc: 'More text of a stream; `offset` is that of its first UTF-16 unit.',
  }),
  'ai:finished': event({
    data: z.object({ streamId: Id, message: Message, usage: Usage, stopReason: StopReason }),
    doc: 'The answer is complete and stored; message:created comes beside it.',
  }),
  'ai:failed': event({
    data: z.object({ streamId: Id, code: z.enum(['upstream', 'timeout', 'unavailable']), message: z.string() }),
    doc: 'The answer broke off. Text so far, if any, is stored with metadata.incomplete.',
  }),
};
