/** What the model is told: a short system prompt and the newest part of the chat as alternating turns. */
import type { Message } from '../chat/contract.ts';
import { pairSafe } from './delta-writer.ts';
import type { AiTurn } from './provider.ts';

/** Messages of the chat that are given to the model at most … */
export const HISTORY_MESSAGES = 50;
/** … and their text at most, in UTF-16 units (about 50,000 tokens); the prompt itself is always given. */
export const HISTORY_CHARS = 200_000;

export interface PromptParts {
  /** Ascending by seq; those after the prompt are left out. */
  history: readonly Message[];
  /** The stored prompt. */
  prompt: Message;
  /** Given with this prompt only. */
  context?: string | undefined;
  /** Names of the people in `history`, by user id. */
  names: ReadonlyMap<string, string>;
}

export function buildConversation({ history, prompt, context, names }: PromptParts): {
  system: string;
  turns: AiTurn[];
} {
  const earlier = history.filter((message) => message.seq < prompt.seq && isSaid(message));
  const humans = new Set([...earlier, prompt].flatMap((message) => message.sender.userId ?? []));
  const said = (message: Message): AiTurn => {
    const isAssistant = message.sender.type === 'assistant';
    const label = isAssistant || humans.size < 2 ? '' : `${labelOf(names.get(message.sender.userId ?? ''))}: `;
    return { role: isAssistant ? 'assistant' : 'user', content: label + message.content };
  };

  const last = said(prompt);
  if (context) last.content += `\n\n<context>\n${context}\n</context>`;
  const turns: AiTurn[] = [last];
  let left = HISTORY_CHARS - last.content.length;
  for (const message of earlier.toReversed()) {
    const turn = said(message);
    left -= turn.content.length;
    if (left < 0) break;
    turns.unshift(turn);
  }
  // A conversation begins with a question.
  while (turns[0]?.role === 'assistant') turns.shift();
  return { system: systemPrompt(humans.size > 1), turns: merge(turns) };
}

/** The first words of a prompt, as the name of the chat that it opens. */
export function chatNameFrom(prompt: string): string {
  const words = prompt.trim().split(/\s+/);
  let name = '';
  for (const word of words) {
    const longer = name === '' ? word : `${name} ${word}`;
    if (longer.length > 60) break;
    name = longer;
  }
  const [first = ''] = words;
  return name || first.slice(0, pairSafe(first, 60)) || 'New chat';
}

const isSaid = (message: Message): boolean =>
  message.content !== '' &&
  message.type === 'text' &&
  message.sender.type !== 'system' &&
  message.deletedAt === undefined;

/** A name is not ours: it stays on its line and short. */
const labelOf = (name: string | undefined): string => name?.replace(/\s+/g, ' ').slice(0, 80).trim() || 'Someone';

function merge(turns: readonly AiTurn[]): AiTurn[] {
  const merged: AiTurn[] = [];
  for (const turn of turns) {
    const previous = merged.at(-1);
    if (previous?.role === turn.role) previous.content += `\n\n${turn.content}`;
    else merged.push({ ...turn });
  }
  return merged;
}

const systemPrompt = (isShared: boolean): string =>
  [
    'You are the assistant in a chat of Atelier, where people and you work together on software.',
    ...(isShared
      ? [
          'Several people write here; each of their messages begins with its author’s name. Do not begin yours with one.',
        ]
      : []),
    'Answer in the language of the question. Use Markdown, and put code into fenced blocks with their language.',
  ].join(' ');
