import { expect, test } from 'vitest';
import { createProvider } from '../../../src/features/ai/create-provider.ts';
import { createDemoProvider, demoAnswer } from '../../../src/features/ai/demo-provider.ts';
import type { AiPart, AiRequest } from '../../../src/features/ai/provider.ts';
import { createTestClock, settled } from './test-clock.ts';
import { createTestLog } from './test-log.ts';

const ask = (content: string, maxTokens = 10_000): AiRequest => ({
  model: 'demo',
  system: '',
  turns: [{ role: 'user', content }],
  maxTokens,
});

async function all(request: AiRequest): Promise<AiPart[]> {
  const parts: AiPart[] = [];
  const demo = createDemoProvider({ delayMs: 0 });
  for await (const part of demo.stream(request, new AbortController().signal)) parts.push(part);
  return parts;
}

const textOf = (parts: readonly AiPart[]): string =>
  parts.map((part) => (part.type === 'text' ? part.text : '')).join('');

test('[AI-7] the demo says what it is and answers the same to the same', async () => {
  const parts = await all(ask('Hello there,\nworld'));
  expect(textOf(parts)).toBe(demoAnswer('Hello there,\nworld'));
  expect(textOf(parts)).toContain('demo assistant');
  expect(textOf(parts)).toContain('> Hello there,\n> world');
  expect(textOf(await all(ask('Hello there,\nworld')))).toBe(textOf(parts));
  expect(parts.length).toBeGreaterThan(20);
  expect(parts.at(-1)).toEqual({ type: 'stop', reason: 'end' });
});

test('[AI-7] the demo counts when asked to, and stops at the token limit', async () => {
  expect(textOf(await all(ask('Please count to 300')))).toMatch(/ 298 299 300$/);
  const cut = await all(ask('Please count to 300', 50));
  expect(cut.filter((part) => part.type === 'text')).toHaveLength(50);
  expect(cut.at(-1)).toEqual({ type: 'stop', reason: 'max_tokens' });
});

test('[AI-7] the demo ends with the signal’s reason, and leaves no timer', async () => {
  const clock = createTestClock();
  const controller = new AbortController();
  const demo = createDemoProvider({ delayMs: 10, clock });
  const iterator = demo.stream(ask('Hello'), controller.signal)[Symbol.asyncIterator]();
  const first = iterator.next();
  await clock.advance(10);
  expect(await first).toMatchObject({ done: false, value: { type: 'text' } });
  const next = iterator.next();
  await settled();
  controller.abort(new Error('enough'));
  await expect(next).rejects.toThrow('enough');
  expect(clock.waiting).toBe(0);
});

test('[AI-8] auto is Anthropic with a key and the demo without; a missing key is an error at the start', () => {
  const log = createTestLog();
  expect(createProvider({ aiProvider: 'auto' }, log).name).toBe('demo');
  expect(createProvider({ aiProvider: 'auto', anthropicApiKey: 'k' }, log).name).toBe('anthropic');
  expect(createProvider({ aiProvider: 'demo', anthropicApiKey: 'k' }, log).name).toBe('demo');
  const chosen = createProvider({ aiProvider: 'anthropic', anthropicApiKey: 'k', aiModel: 'mine' }, log);
  expect(chosen).toMatchObject({ name: 'anthropic', model: 'mine' });
  expect(() => createProvider({ aiProvider: 'anthropic' }, log)).toThrow('ANTHROPIC_API_KEY');
});
