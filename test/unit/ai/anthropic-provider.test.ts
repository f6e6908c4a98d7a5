/** The real SDK against a local server that speaks the service's wire format. */
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAnthropicProvider, type AnthropicSettings } from '../../../src/features/ai/anthropic-provider.ts';
import type { AiPart, AiRequest } from '../../../src/features/ai/provider.ts';
import { Fault } from '../../../src/protocol/index.ts';
import {
  answer,
  closedEarly,
  errorEvent,
  event,
  killed,
  malformed,
  raw,
  refusal,
  silent,
  splitAnswer,
  stalled,
  startAnthropicServer,
  status,
  TEST_KEY,
  type AnthropicServer,
} from '../../support/anthropic-server.ts';
import { createTestClock, type TestClock } from './test-clock.ts';
import { createTestLog, type TestLog } from './test-log.ts';

const REQUEST: AiRequest = {
  model: 'claude-test',
  system: 'Be brief.',
  turns: [{ role: 'user', content: 'Hello' }],
  maxTokens: 100,
};

let server: AnthropicServer;
let clock: TestClock;
let log: TestLog;
let waits: number[];

beforeEach(async () => {
  server = await startAnthropicServer();
  clock = createTestClock();
  log = createTestLog();
  waits = [];
});
afterEach(() => server.close());

/** Retries do not wait; how long they would have is in `waits`. Watchdogs wait for the clock to be turned. */
function provider(settings: Partial<AnthropicSettings> = {}): ReturnType<typeof createAnthropicProvider> {
  const after: TestClock['after'] = (ms, callback) => {
    if (ms === 60_000) return clock.after(ms, callback);
    waits.push(ms);
    setImmediate(callback);
    return () => {};
  };
  return createAnthropicProvider({
    apiKey: TEST_KEY,
    baseUrl: server.url,
    log,
    clock: { ...clock, now: clock.now, after },
    random: () => 1,
    ...settings,
  });
}

async function run(
  asked = provider(),
  signal = new AbortController().signal,
): Promise<{ text: string; parts: AiPart[]; error: unknown }> {
  const parts: AiPart[] = [];
  let error: unknown;
  try {
    for await (const part of asked.stream(REQUEST, signal)) parts.push(part);
  } catch (thrown) {
    error = thrown;
  }
  return { text: parts.map((part) => (part.type === 'text' ? part.text : '')).join(''), parts, error };
}

const faultCode = (error: unknown): string => (error instanceof Fault ? error.code : inspect(error));

describe('a good answer', () => {
  test('[AI-1] gives its text, its usage and how it stopped', async () => {
    server.script(answer(['Hel', 'lo ', 'you'], { inputTokens: 7, outputTokens: 42, cacheReadTokens: 5 }));
    const { text, parts, error } = await run();
    expect(error).toBeUndefined();
    expect(text).toBe('Hello you');
    expect(parts.at(-1)).toEqual({ type: 'stop', reason: 'end' });
    // Cumulative counts replace each other; nulls in the last event do not erase what was known.
    expect(parts.findLast((part) => part.type === 'usage')).toEqual({
      type: 'usage',
      usage: { inputTokens: 7, outputTokens: 42, cacheReadTokens: 5, cacheWriteTokens: 0 },
    });
    expect(waits).toEqual([]);
    expect(clock.waiting).toBe(0);
  });

  test('[AI-1] asks for the model and sends no sampling settings', async () => {
    server.script(answer(['ok']));
    await run();
    const [request] = server.requests;
    expect(request?.body).toEqual({
      model: 'claude-test',
      system: 'Be brief.',
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 100,
      stream: true,
    });
    expect([request?.headers['x-api-key'], request?.headers.authorization]).toContainEqual(
      expect.stringContaining(TEST_KEY),
    );
  });

  test.each([1, 2, 3, 7, 64])('[AI-1] survives writes of %i bytes, cut within characters and lines', async (size) => {
    const pieces = ['Grüße ', '👩‍👩‍👧 ', '日本\n\n', '"quoted" \\ ', 'end'];
    server.script(splitAnswer(pieces, size));
    const { text, error } = await run();
    expect(error).toBeUndefined();
    expect(text).toBe(pieces.join(''));
  });

  test.each([
    ['max_tokens', 'max_tokens'],
    ['model_context_window_exceeded', 'max_tokens'],
    ['stop_sequence', 'end'],
    ['refusal', 'refused'],
  ])('[AI-1] reads the stop reason %s as %s', async (stopReason, reason) => {
    server.script(answer(['text'], { stopReason }));
    expect((await run()).parts.at(-1)).toEqual({ type: 'stop', reason });
  });

  test('[AI-1] keeps the text before a refusal', async () => {
    server.script(refusal(['I will ', 'not']));
    const { text, parts } = await run();
    expect(text).toBe('I will not');
    expect(parts.at(-1)).toEqual({ type: 'stop', reason: 'refused' });
  });

  test('[AI-1] leaves out thoughts and events that it does not know', async () => {
    const delta = (body: object): string =>
      event('content_block_delta', { type: 'content_block_delta', index: 0, delta: body });
    server.script(
      raw(
        [
          event('message_start', { type: 'message_start', message: { usage: { input_tokens: 1, output_tokens: 1 } } }),
          delta({ type: 'thinking_delta', thinking: 'hm' }),
          delta({ type: 'text_delta', text: 'yes' }),
          event('brand_new', { type: 'brand_new', text: 'no' }),
          event('message_delta', { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: {} }),
          event('message_stop', { type: 'message_stop' }),
        ].join(''),
      ),
    );
    expect(await run()).toMatchObject({ text: 'yes', error: undefined });
  });
});

describe('an answer that breaks off', () => {
  test.each([
    ['a clean close before message_stop', closedEarly(['Half '])],
    ['a cut connection', killed(['Half '])],
    ['an event that is no JSON', malformed(['Half '])],
    ['an error event', errorEvent(['Half '], 'overloaded_error')],
    ['a tool call that nobody offered', answer(['Half '], { stopReason: 'tool_use' })],
  ])('[AI-2] %s after text is `upstream`, with the text before it and no second attempt', async (_, behaviour) => {
    server.script(behaviour);
    const { text, error } = await run();
    expect(text).toBe('Half ');
    expect(faultCode(error)).toBe('upstream');
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    ['a clean close', closedEarly([])],
    ['a cut connection', killed([])],
    ['an overloaded error event', errorEvent([], 'overloaded_error')],
  ])('[AI-3] %s before any text is tried again', async (_, behaviour) => {
    server.script(behaviour, answer(['fine']));
    expect(await run()).toMatchObject({ text: 'fine', error: undefined });
    expect(server.requests).toHaveLength(2);
  });
});

describe('retries', () => {
  test('[AI-3] honour retry-after, and are visible', async () => {
    server.script(status(429, 'rate_limit_error', { 'retry-after': '7' }), answer(['fine']));
    expect((await run()).text).toBe('fine');
    expect(waits).toEqual([7_000]);
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { status: 429, delayMs: 7_000, attempt: 1 } }]);
  });

  test.each([
    [529, 'overloaded_error'],
    [500, 'api_error'],
    [503, 'api_error'],
  ])('[AI-3] of %i back off, and end after four attempts', async (code, type) => {
    server.script(status(code, type));
    const { error } = await run();
    expect(faultCode(error)).toBe('upstream');
    expect(server.requests).toHaveLength(4);
    expect(waits).toEqual([500, 1_000, 2_000]);
  });

  test('[AI-3] do not wait longer than a minute', async () => {
    server.script(status(429, 'rate_limit_error', { 'retry-after': '61' }));
    expect(faultCode((await run()).error)).toBe('upstream');
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    [400, 'invalid_request_error'],
    [401, 'authentication_error'],
    [403, 'permission_error'],
    [404, 'not_found_error'],
    [413, 'request_too_large'],
  ])('[AI-3] are not made for %i', async (code, type) => {
    server.script(status(code, type));
    expect(faultCode((await run()).error)).toBe('upstream');
    expect(server.requests).toHaveLength(1);
  });

  test('[AI-3] are not made when the service says that they are useless', async () => {
    server.script(status(500, 'api_error', { 'x-should-retry': 'false' }));
    expect(faultCode((await run()).error)).toBe('upstream');
    expect(server.requests).toHaveLength(1);
  });

  test('[AI-3] are made when nobody listens', async () => {
    await server.close();
    expect(faultCode((await run()).error)).toBe('upstream');
    expect(waits).toEqual([500, 1_000, 2_000]);
    server = await startAnthropicServer();
  });
});

describe('silence', () => {
  test('[AI-4] of 60 s after some text is `timeout`, and the connection is let go', async () => {
    const stall = stalled(['Half ']);
    server.script(stall);
    const parts: AiPart[] = [];
    const reading = (async () => {
      for await (const part of provider().stream(REQUEST, new AbortController().signal)) parts.push(part);
    })();
    const outcome = reading.catch((error: unknown) => error);
    await expect.poll(() => parts.some((part) => part.type === 'text')).toBe(true);
    await clock.advance(59_999);
    await clock.advance(1);
    expect(faultCode(await outcome)).toBe('timeout');
    await stall.gone;
  });

  test('[AI-4] before the headers is `timeout`', async () => {
    server.script(silent);
    const outcome = run();
    await expect.poll(() => server.requests).toHaveLength(1);
    await clock.advance(60_000);
    expect(faultCode((await outcome).error)).toBe('timeout');
  });

  test('[AI-4] is not what pings are: they keep a slow answer alive', async () => {
    server.script(stalled(['Half '], 5));
    const controller = new AbortController();
    let armed = 0;
    const after: TestClock['after'] = (ms, callback) => {
      armed += 1;
      return clock.after(ms, callback);
    };
    const outcome = run(provider({ clock: { now: clock.now, after } }), controller.signal);
    await expect.poll(() => armed).toBeGreaterThan(5);
    for (let turn = 0; turn < 4; turn++) {
      const before = armed;
      await clock.advance(40_000);
      // The next ping puts the deadline off: a whole minute from now.
      await expect.poll(() => armed).toBeGreaterThan(before);
    }
    controller.abort(new Error('enough'));
    expect(((await outcome).error as Error).message).toBe('enough');
  });
});

describe('an abort', () => {
  test('[AI-5] ends the answer with the signal’s reason and lets the connection go', async () => {
    const stall = stalled(['Half ']);
    server.script(stall);
    const controller = new AbortController();
    const iterator = provider().stream(REQUEST, controller.signal)[Symbol.asyncIterator]();
    let part = await iterator.next();
    while (!part.done && part.value.type !== 'text') part = await iterator.next();
    const next = iterator.next();
    controller.abort(new Error('stop it'));
    await expect(next).rejects.toThrow('stop it');
    await stall.gone;
    expect(server.requests).toHaveLength(1);
  });

  test('[AI-5] ends the pause before another attempt', async () => {
    server.script(status(529, 'overloaded_error'));
    const controller = new AbortController();
    const outcome = run(provider({ clock }), controller.signal);
    await expect.poll(() => log.lines).toHaveLength(1);
    controller.abort(new Error('stop it'));
    expect(((await outcome).error as Error).message).toBe('stop it');
    expect(clock.waiting).toBe(0);
    expect(server.requests).toHaveLength(1);
  });
});

describe('secrets', () => {
  test('[AI-6] neither the key nor the service’s words are in any error or log line', async () => {
    const console_ = vi.spyOn(console, 'error').mockImplementation(() => {});
    const errors: unknown[] = [];
    const behaviours = [
      status(401, 'authentication_error'),
      status(500, 'api_error'),
      errorEvent(['x'], 'api_error'),
      malformed(['Secret detail']),
      killed(['x']),
    ];
    for (const behaviour of behaviours) {
      server.script(behaviour);
      errors.push((await run()).error);
    }
    const told = inspect([errors, log.lines], { depth: 20, showHidden: true });
    expect(told).not.toContain(TEST_KEY);
    expect(told).not.toContain('Secret detail');
    expect(told).toContain('req_test');
    expect(console_).not.toHaveBeenCalled();
    console_.mockRestore();
  });
});
