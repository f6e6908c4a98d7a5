/** One function for each operation of assistants. */
import type { Audit } from '../../observability/audit.ts';
import { Fault, type Handlers, type UserContext } from '../../protocol/index.ts';
import type { Message } from '../chat/contract.ts';
import type { ChatService } from '../chat/index.ts';
import type { aiContract } from './contract.ts';
import type { StreamRow, StreamStore } from './model.ts';
import { buildConversation, chatNameFrom, HISTORY_MESSAGES } from './prompt-history.ts';
import type { AiRequest } from './provider.ts';
import type { RunningStreams } from './running-streams.ts';
import { streamIdsFor } from './stream-ids.ts';
import type { StreamReader } from './stream-reader.ts';

/** The longest answer, in tokens. */
const MAX_TOKENS = 8_192;

export interface AiHandlerDeps {
  chat: Pick<ChatService, 'createAssistantChat' | 'history' | 'post' | 'requireMember'>;
  streams: StreamStore;
  running: RunningStreams;
  reader: StreamReader;
  audit: Audit;
  /** Names of users by their ids; unknown ones are left out. */
  nameOf: (userIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  nodeId: string;
  /** The model to ask when the prompt names none. */
  model: string;
}

interface Prompt {
  content: string;
  chatId?: string | undefined;
  clientId?: string | undefined;
  model?: string | undefined;
  context?: string | undefined;
}

export function createAiHandlers(deps: AiHandlerDeps): Handlers<typeof aiContract> {
  const { chat, streams, running, reader, audit, nameOf, nodeId, model: defaultModel } = deps;

  /** The stream of a prompt: the one that its clientId began before, else a new one. */
  async function begin(prompt: Prompt, { session: { userId }, origin, release }: UserContext): Promise<StreamRow> {
    const { content, clientId, context, model = defaultModel } = prompt;
    running.requireOpen();
    const chatId = prompt.chatId ?? (await chat.createAssistantChat(userId, chatNameFrom(content), clientId)).chatId;
    await chat.requireMember(chatId, userId);
    const ids = streamIdsFor(userId, chatId, clientId);
    const existing = clientId === undefined ? undefined : await streams.find(ids.streamId);
    if (existing) return existing;

    // Looked at before the message is stored; the insert below decides between prompts that come at once.
    await streams.requireFreeSlot(chatId);
    const message = await chat.post({
      chatId,
      sender: { type: 'user', userId },
      content,
      ...(clientId === undefined ? {} : { clientId }),
      onQueued: release,
    });
    const { row, isNew } = await running.start(
      { ...ids, chatId, userMessageId: message.id, askedBy: userId, nodeId, model },
      () => requestFor(message, model, context),
    );
    if (isNew) audit.record({ action: 'ai.prompt', userId, target: row.streamId, ok: true, origin });
    return row;
  }

  async function requestFor(prompt: Message, model: string, context: string | undefined): Promise<AiRequest> {
    const history = await chat.history(prompt.chatId, HISTORY_MESSAGES);
    const userIds = new Set([...history, prompt].flatMap((message) => message.sender.userId ?? []));
    const names = userIds.size > 1 ? await nameOf([...userIds]) : new Map<string, string>();
    return { model, maxTokens: MAX_TOKENS, ...buildConversation({ history, prompt, context, names }) };
  }

  return {
    async 'ai:prompt'({ wait, ...prompt }, context) {
      const { streamId, messageId, userMessageId, chatId } = await begin(prompt, context);
      const ids = { streamId, messageId, userMessageId, chatId };
      if (!wait) return ids;
      context.release();
      const { row, message } = await reader.ended(streamId, context.signal);
      return { ...ids, message, usage: row.usage, truncated: row.stopReason === 'max_tokens' };
    },

    async 'ai:resume'({ streamId, offset }, { session }) {
      await reader.require(streamId, session.userId);
      const { text, offset: start, status, message } = await reader.read(streamId, offset);
      return { text, offset: start, status, ...(message ? { message } : {}) };
    },

    async 'ai:stop'({ streamId }, { session: { userId }, origin }) {
      const row = await reader.require(streamId, userId);
      if (row.askedBy !== userId) {
        const { role } = await chat.requireMember(row.chatId, userId);
        if (role === 'member')
          throw new Fault('forbidden', 'Only who asked, or an owner or admin, may stop this answer');
      }
      if (row.status !== 'running') return {};
      const runner = running.get(streamId);
      // Durable before it is acknowledged; another node does it within its next sweep.
      if (runner) await runner.stop('stopped');
      else await streams.askToStop(streamId);
      audit.record({ action: 'ai.stop', userId, target: streamId, ok: true, origin });
      return {};
    },
  };
}
