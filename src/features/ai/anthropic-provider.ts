/**
 * Anthropic's Messages API through its SDK. The SDK sends the request and cuts the event stream; whether an answer is
 * complete, whether to try again and when to give up is decided here:
 * its own iterator ends silently after a clean close, it logs malformed events with their text, and it hides the pings
 * that tell a slow answer from a dead connection. So the raw events are read, and only `message_stop` is an end.
 */
import type Anthropic from '@anthropic-ai/sdk';
import { Fault } from '../../protocol/index.ts';
import type { Log } from '../../observability/log.ts';
import { sleep, systemClock, within, type Clock } from './clock.ts';
import type { StopReason } from './contract.ts';
import { NO_USAGE, type AiPart, type AiProvider, type AiRequest } from './provider.ts';
import { RETRY_POLICY, retryAfterOf, retryDelay, type RetryPolicy } from './retry.ts';
import { UpstreamError } from './upstream-error.ts';

export interface AnthropicSettings {
  apiKey: string;
  /** Without one, the service's own address. */
  baseUrl?: string | undefined;
  model?: string | undefined;
  /** Silence of the service that ends an attempt, in milliseconds (60,000). Pings are no silence. */
  idleMs?: number;
  retry?: RetryPolicy;
  log: Log;
  clock?: Clock;
  random?: () => number;
}

const DEFAULT_MODEL = 'claude-sonnet-5-5';
const DEFAULT_URL = 'https://api.anthropic.com';

/** Error events inside a stream have a type but no status. */
const STATUS_BY_TYPE: Record<string, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

type Sdk = typeof import('@anthropic-ai/sdk');

export function createAnthropicProvider(settings: AnthropicSettings): AiProvider {
  const { apiKey, baseUrl, log, idleMs = 60_000, retry = RETRY_POLICY } = settings;
  const { clock = systemClock, random = Math.random, model = DEFAULT_MODEL } = settings;

  // Loading the SDK takes most of a second: not before somebody asks.
  let loaded: Promise<{ sdk: Sdk; client: Anthropic }> | undefined;
  const load = (): Promise<{ sdk: Sdk; client: Anthropic }> =>
    (loaded ??= import('@anthropic-ai/sdk').then((sdk) => ({
      sdk,
      client: new sdk.default({ apiKey, baseURL: baseUrl ?? DEFAULT_URL, maxRetries: 0, logLevel: 'off' }),
    })));

  async function* attempt(request: AiRequest, signal: AbortSignal): AsyncGenerator<AiPart> {
    const { sdk, client } = await load();
    const controller = new AbortController();
    const forward = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', forward, { once: true });
    const heard = <T>(work: Promise<T>): Promise<T> =>
      within(clock, idleMs, work, () => {
        const silent = new Fault('timeout', `The AI service has said nothing for ${Math.round(idleMs / 1_000)} s`);
        controller.abort(silent);
        return silent;
      });
    try {
      signal.throwIfAborted();
      const response = await heard(
        client.messages
          .create(
            {
              model: request.model,
              system: request.system,
              messages: request.turns,
              max_tokens: request.maxTokens,
              stream: true,
            },
            // The watchdog is the only deadline; the SDK's would cover the headers alone.
            { signal: controller.signal, timeout: idleMs * 2 },
          )
          .asResponse(),
      );
      const { Stream } = await import('@anthropic-ai/sdk/streaming');
      const events = Stream.rawEvents(response, controller);
      const reader = new MessageReader(response.headers.get('request-id') ?? undefined);
      for (;;) {
        const next = await heard(events.next());
        if (next.done) throw reader.failure({});
        yield* reader.read(next.value.event, next.value.data);
        if (reader.ended) return;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw error instanceof Fault || error instanceof UpstreamError ? error : upstreamErrorOf(sdk, error, clock.now());
    } finally {
      signal.removeEventListener('abort', forward);
      controller.abort();
    }
  }

  return {
    name: 'anthropic',
    model,
    async *stream(request, signal) {
      let began = false;
      for (let tries = 1; ; tries++) {
        try {
          for await (const part of attempt(request, signal)) {
            began ||= part.type === 'text';
            yield part;
          }
          return;
        } catch (error) {
          if (!(error instanceof UpstreamError)) throw error;
          const delayMs = began ? undefined : retryDelay(error, tries, retry, random);
          if (delayMs === undefined) throw error.toFault();
          log.warn('The AI service is asked again', {
            provider: 'anthropic',
            attempt: tries,
            delayMs,
            ...error.failure,
          });
          await sleep(clock, delayMs, signal);
        }
      }
    },
  };
}

/** Reads the events of one message, and trusts none of them further than it must. */
class MessageReader {
  #usage = NO_USAGE;
  #stop: Exclude<StopReason, 'stopped'> = 'end';
  readonly #requestId: string | undefined;
  ended = false;

  constructor(requestId: string | undefined) {
    this.#requestId = requestId;
  }

  failure(failure: { status?: number; type?: string }): UpstreamError {
    return new UpstreamError('anthropic', { ...failure, requestId: this.#requestId });
  }

  *read(name: string | null, data: string): Generator<AiPart> {
    if (name === null || name === 'ping') return;
    const event = this.#parse(data);
    if (name === 'error') {
      const type = typeof event.error?.type === 'string' ? event.error.type : undefined;
      throw this.failure({ ...(type === undefined ? {} : { type }), status: STATUS_BY_TYPE[type ?? ''] ?? 500 });
    }
    switch (event.type ?? '') {
      case 'message_start':
        yield this.#count(event.message?.usage);
        break;
      case 'content_block_start':
        if (event.content_block?.type === 'text') yield* textOf(event.content_block.text);
        break;
      case 'content_block_delta':
        if (event.delta?.type === 'text_delta') yield* textOf(event.delta.text);
        break;
      case 'message_delta':
        if (event.delta?.stop_reason != null) this.#stop = this.#reasonOf(event.delta.stop_reason);
        yield this.#count(event.usage);
        break;
      case 'message_stop':
        this.ended = true;
        yield { type: 'stop', reason: this.#stop };
        break;
      default:
      // Events that came later than this adapter are to be ignored, says the service.
    }
  }

  #parse(data: string): WireEvent {
    try {
      const event: unknown = JSON.parse(data);
      if (typeof event === 'object' && event !== null) return event;
    } catch {
      // Its message would quote the answer.
    }
    throw this.failure({ type: 'malformed_event' });
  }

  /** Counts are cumulative: what is given replaces what was known. */
  #count(usage: WireUsage | undefined): AiPart {
    this.#usage = {
      inputTokens: usage?.input_tokens ?? this.#usage.inputTokens,
      outputTokens: usage?.output_tokens ?? this.#usage.outputTokens,
      cacheReadTokens: usage?.cache_read_input_tokens ?? this.#usage.cacheReadTokens,
      cacheWriteTokens: usage?.cache_creation_input_tokens ?? this.#usage.cacheWriteTokens,
    };
    return { type: 'usage', usage: this.#usage };
  }

  #reasonOf(reason: string): Exclude<StopReason, 'stopped'> {
    switch (reason) {
      case 'end_turn':
      case 'stop_sequence':
        return 'end';
      case 'max_tokens':
      case 'model_context_window_exceeded':
        return 'max_tokens';
      case 'refusal':
        return 'refused';
      default:
        // A tool call or a pause, though no tool was offered: going on would need an answer that nobody has.
        throw this.failure({ status: 500, type: `unexpected_${reason.slice(0, 40)}` });
    }
  }
}

function* textOf(text: unknown): Generator<AiPart> {
  if (typeof text === 'string' && text !== '') yield { type: 'text', text };
}

/** What is read of the events; every field may be missing in what really arrives. */
interface WireEvent {
  type?: string;
  message?: { usage?: WireUsage };
  content_block?: { type?: string; text?: unknown };
  delta?: { type?: string; text?: unknown; stop_reason?: string | null };
  usage?: WireUsage;
  error?: { type?: unknown };
}

interface WireUsage {
  input_tokens?: number | null;
  output_tokens?: number | null;
  cache_read_input_tokens?: number | null;
  cache_creation_input_tokens?: number | null;
}

/** Keeps status, kind and request id of an SDK error; its message holds the response's body and is left behind. */
function upstreamErrorOf(sdk: Sdk, error: unknown, now: number): UpstreamError {
  if (!(error instanceof sdk.APIError)) return new UpstreamError('anthropic', { type: nameOf(error) });
  const headers = error.headers as Headers | undefined;
  const advised = headers?.get('x-should-retry');
  return new UpstreamError('anthropic', {
    status: error.status as number | undefined,
    type: error.type ?? (error.status === undefined ? nameOf(error) : undefined),
    requestId: error.requestID ?? undefined,
    retryAfterMs: retryAfterOf(headers, now),
    shouldRetry: advised === 'false' ? false : undefined,
  });
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown');
