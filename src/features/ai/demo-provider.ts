/**
 * An assistant without a service behind it: offline, deterministic, and it says so. It answers in small pieces, so that
 * everything around it can be seen at work. `count to 500` gives a long answer whose every word is known beforehand.
 */
import { sleep, systemClock, type Clock } from './clock.ts';
import type { AiPart, AiProvider, AiRequest } from './provider.ts';

const INTRODUCTION =
  'I am the demo assistant: no AI service is configured, so this answer comes from a fixed rule and nothing leaves this server.';
const COUNT_LIMIT = 5_000;

export interface DemoSettings {
  /** Between two pieces, in milliseconds (12). */
  delayMs?: number;
  clock?: Clock;
}

export function createDemoProvider({ delayMs = 12, clock = systemClock }: DemoSettings = {}): AiProvider {
  return {
    name: 'demo',
    model: 'demo',
    async *stream(request: AiRequest, signal: AbortSignal): AsyncGenerator<AiPart> {
      signal.throwIfAborted();
      const answer = demoAnswer(request.turns.at(-1)?.content ?? '');
      let outputTokens = 0;
      let cut = false;
      for (const text of piecesOf(answer)) {
        if (outputTokens === request.maxTokens) {
          cut = true;
          break;
        }
        await sleep(clock, delayMs, signal);
        outputTokens += 1;
        yield { type: 'text', text };
      }
      const inputTokens = request.turns.reduce((sum, turn) => sum + piecesOf(turn.content).length, 0);
      yield { type: 'usage', usage: { inputTokens, outputTokens, cacheReadTokens: 0, cacheWriteTokens: 0 } };
      yield { type: 'stop', reason: cut ? 'max_tokens' : 'end' };
    },
  };
}

/** The demo's whole answer to a prompt. */
export function demoAnswer(prompt: string): string {
  const count = /\bcount to (\d{1,4})\b/i.exec(prompt);
  if (count) {
    const last = Math.min(Number(count[1]), COUNT_LIMIT);
    return `${INTRODUCTION}\n\n${Array.from({ length: last }, (_, index) => index + 1).join(' ')}`;
  }
  const words = prompt.split(/\s+/).filter((word) => word !== '').length;
  const quoted = prompt.trim().replaceAll('\n', '\n> ');
  return `${INTRODUCTION}\n\nYou wrote ${words} ${words === 1 ? 'word' : 'words'}:\n\n> ${quoted}\n\nSet ANTHROPIC_API_KEY to get real answers.`;
}

/** Words with the white space after them: together they are the text again. */
const piecesOf = (text: string): string[] => text.match(/\s*\S+\s*/g) ?? [];
