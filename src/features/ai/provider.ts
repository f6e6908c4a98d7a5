/** The one port to language models. Adapters keep every peculiarity of their service behind it. */
import type { StopReason, Usage } from './contract.ts';

/** One turn of a conversation; roles alternate, the first and the last are the user's. */
export interface AiTurn {
  role: 'user' | 'assistant';
  content: string;
}

export interface AiRequest {
  model: string;
  system: string;
  turns: AiTurn[];
  /** The longest answer, in tokens. */
  maxTokens: number;
}

/** `usage` is cumulative: a later one replaces an earlier one. `stop` is the last part; a stream without it broke off. */
export type AiPart =
  | { type: 'text'; text: string }
  | { type: 'usage'; usage: Usage }
  | { type: 'stop'; reason: Exclude<StopReason, 'stopped'> };

export interface AiProvider {
  /** As in `AI_PROVIDER`. */
  readonly name: string;
  /** The model that is asked when nobody names one. */
  readonly model: string;
  /**
   * Asks once. Throws `Fault('upstream')` when the service refuses or breaks off, `Fault('timeout')` when it falls silent,
   * and the signal's reason after an abort. No error carries the key or the service's own words.
   */
  stream(request: AiRequest, signal: AbortSignal): AsyncIterable<AiPart>;
}

export const NO_USAGE: Usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };
