import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault, LIMITS } from '../../../src/protocol/index.ts';
import { newId, startSystem, type TestNode, type TestSystem } from './ai-setup.ts';

const ADA = newId();
const BOB = newId();
const EVE = newId();

let system: TestSystem;
let node: TestNode;
let chatId: string;

beforeEach(async () => {
  system = await startSystem();
  node = await system.addNode();
  chatId = await system.group(ADA, BOB);
});
afterEach(() => system[Symbol.asyncDispose]());

const faultOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no fault',
    (error: unknown) => (error instanceof Fault ? error.code : String(error)),
  );

const usage = { inputTokens: 3, outputTokens: 2, cacheReadTokens: 0, cacheWriteTokens: 0 };

describe('ai:prompt', () => {
  test('[AI-20] stores the prompt, streams to the chat, and stores the answer under the id given beforehand', async () => {
    const ids = await node.call('ai:prompt', ADA, { chatId, content: 'Hello' });
    const answer = await node.provider.answer(0);
    answer.say('Hi ');
    answer.say('Ada');
    answer.part({ type: 'usage', usage });
    answer.finish();
    const end = await node.ended(ids.streamId);

    expect(node.of(ids.streamId).map(({ event }) => event)).toEqual([
      'ai:started',
      'ai:delta',
      'ai:delta',
      'ai:finished',
    ]);
    expect(new Set(node.of(ids.streamId).map(({ room }) => room))).toEqual(new Set([`chat:${chatId}`]));
    expect(end.data).toMatchObject({
      usage,
      stopReason: 'end',
      message: { id: ids.messageId, seq: 2, sender: { type: 'assistant' }, content: 'Hi Ada' },
    });
    const history = await node.chat.history(chatId, 10);
    expect(history).toEqual([
      expect.objectContaining({
        id: ids.userMessageId,
        seq: 1,
        content: 'Hello',
        sender: { type: 'user', userId: ADA },
      }),
      expect.objectContaining({
        id: ids.messageId,
        content: 'Hi Ada',
        metadata: { streamId: ids.streamId, model: 'test-model', stopReason: 'end' },
      }),
    ]);
    expect(end.data.message).toEqual(history[1]);
    const created = node.rooms.heard.filter(({ event }) => event === 'message:created');
    expect(created.map(({ data }) => data.message)).toEqual(history);
    expect(node.audited).toMatchObject([{ action: 'ai.prompt', userId: ADA, target: ids.streamId }]);
  });

  test('[AI-20] tells the model the newest part of the chat with names, the context and the model that was named', async () => {
    await node.call('ai:prompt', ADA, { chatId, content: 'One' });
    const first = await node.provider.answer(0);
    first.say('Answer');
    first.finish();
    await expect.poll(() => node.chat.history(chatId, 10)).toHaveLength(2);
    await node.call('ai:prompt', BOB, { chatId, content: 'Two', context: 'code', model: 'other' });
    const { request } = await node.provider.answer(1);
    expect(request).toMatchObject({
      model: 'other',
      turns: [
        { role: 'user', content: `User ${ADA.slice(0, 4)}: One` },
        { role: 'assistant', content: 'Answer' },
        { role: 'user', content: `User ${BOB.slice(0, 4)}: Two\n\n<context>\ncode\n</context>` },
      ],
    });
    expect(first.request).toMatchObject({ model: 'test-model', turns: [{ role: 'user', content: 'One' }] });
  });

  test('[AI-20] without a chat opens one, named after the prompt', async () => {
    const ids = await node.call('ai:prompt', ADA, { content: 'Write me a poem', clientId: 'new' });
    expect(await node.chat.view(ids.chatId, ADA)).toMatchObject({ kind: 'assistant', name: 'Write me a poem' });
    expect(await node.call('ai:prompt', ADA, { content: 'Write me a poem', clientId: 'new' })).toEqual(ids);
    expect(await node.call('ai:prompt', ADA, { content: 'Write me a poem' })).not.toMatchObject({ chatId: ids.chatId });
  });

  test('[AI-20] of a stranger is not_found and leaves nothing', async () => {
    expect(await faultOf(node.call('ai:prompt', EVE, { chatId, content: 'Hello' }))).toBe('not_found');
    expect(await node.chat.history(chatId, 10)).toEqual([]);
    expect(node.provider.answers).toEqual([]);
  });

  test('[AI-20] an answer at the limit is cut there, and not within a pair', async () => {
    const small = await system.addNode({ maxChars: 5 });
    const { streamId } = await small.call('ai:prompt', ADA, { chatId, content: 'Hello' });
    const answer = await small.provider.answer(0);
    answer.say('1234😀5');
    expect((await small.ended(streamId)).data).toMatchObject({
      stopReason: 'max_tokens',
      message: { content: '1234' },
    });
    expect(answer.signal.aborted).toBe(true);
  });
});

describe('a repeated clientId', () => {
  const prompt = { content: 'Hello', clientId: 'c1' };

  test('[AI-21] joins the stream while it runs and after its end', async () => {
    const ids = await node.call('ai:prompt', ADA, { chatId, ...prompt });
    expect(await node.call('ai:prompt', ADA, { chatId, ...prompt, content: 'Other words' })).toEqual(ids);
    const answer = await node.provider.answer(0);
    answer.say('Hi');
    answer.finish();
    await node.ended(ids.streamId);
    expect(await node.call('ai:prompt', ADA, { chatId, ...prompt })).toEqual(ids);
    expect(await node.call('ai:prompt', ADA, { chatId, ...prompt, wait: true })).toMatchObject({
      ...ids,
      message: { content: 'Hi' },
    });
    expect(node.provider.answers).toHaveLength(1);
    expect(await node.chat.history(chatId, 10)).toHaveLength(2);
  });

  test('[AI-21] many at once, on two nodes, are one stream', async () => {
    const other = await system.addNode();
    const all = await Promise.all(
      [node, other, node, other, node].map((at) => at.call('ai:prompt', ADA, { chatId, ...prompt })),
    );
    expect(new Set(all.map(({ streamId }) => streamId)).size).toBe(1);
    await expect.poll(() => node.provider.answers.length + other.provider.answers.length).toBe(1);
    expect(await node.chat.history(chatId, 10)).toHaveLength(1);
  });

  test('[AI-21] of somebody else or of another chat is another prompt', async () => {
    const second = await system.group(ADA, BOB);
    const all = await Promise.all([
      node.call('ai:prompt', ADA, { chatId, ...prompt }),
      node.call('ai:prompt', BOB, { chatId, ...prompt }),
      node.call('ai:prompt', ADA, { chatId: second, ...prompt }),
    ]);
    expect(new Set(all.map(({ streamId }) => streamId)).size).toBe(3);
  });

  test('[AI-21] starts the stream that a crash kept from starting', async () => {
    // What a server leaves that died between the message and the stream.
    const message = await node.chat.post({ chatId, sender: { type: 'user', userId: ADA }, ...prompt });
    const ids = await node.call('ai:prompt', ADA, { chatId, ...prompt });
    expect(ids.userMessageId).toBe(message.id);
    const answer = await node.provider.answer(0);
    expect(answer.request.turns).toEqual([{ role: 'user', content: 'Hello' }]);
  });
});

describe('limits', () => {
  test('[AI-22] a chat has at most so many answers under way, however they come', async () => {
    const other = await system.addNode();
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        faultOf((n % 2 ? node : other).call('ai:prompt', ADA, { chatId, content: 'x' })),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === 'no fault')).toHaveLength(LIMITS.streamsPerChat);
    expect(new Set(outcomes)).toEqual(new Set(['no fault', 'rate_limited']));

    const before = await node.chat.history(chatId, 50);
    expect(await faultOf(node.call('ai:prompt', ADA, { chatId, content: 'one more' }))).toBe('rate_limited');
    expect(await node.chat.history(chatId, 50)).toEqual(before);

    const [running] = await node.ai.running(chatId);
    for (const { provider } of [node, other]) for (const answer of provider.answers) answer.finish();
    await expect.poll(() => node.ai.running(chatId)).toEqual([]);
    expect(running).toMatchObject({ offset: 0 });
    expect(await faultOf(node.call('ai:prompt', ADA, { chatId, content: 'now' }))).toBe('no fault');
  });
});

describe('wait', () => {
  test('[AI-23] answers with the message when it is done', async () => {
    const waiting = node.call('ai:prompt', ADA, { chatId, content: 'Hello', wait: true });
    const answer = await node.provider.answer(0);
    answer.say('Hi');
    answer.part({ type: 'usage', usage });
    answer.finish('max_tokens');
    expect(await waiting).toMatchObject({ message: { content: 'Hi' }, usage, truncated: true });
  });

  test('[AI-23] answers on another node as well', async () => {
    const other = await system.addNode();
    const prompt = { chatId, content: 'Hello', clientId: 'c1' };
    await node.call('ai:prompt', ADA, prompt);
    const waiting = other.call('ai:prompt', ADA, { ...prompt, wait: true });
    const answer = await node.provider.answer(0);
    answer.say('Hi');
    answer.finish();
    expect(await waiting).toMatchObject({ message: { content: 'Hi' }, truncated: false });
  });

  test('[AI-23] fails as the stream does', async () => {
    const waiting = faultOf(node.call('ai:prompt', ADA, { chatId, content: 'Hello', wait: true }));
    (await node.provider.answer(0)).fail(new Fault('timeout', 'Silence'));
    expect(await waiting).toBe('timeout');
  });

  test('[AI-23] a caller who leaves does not end the stream', async () => {
    const controller = new AbortController();
    const waiting = faultOf(node.call('ai:prompt', ADA, { chatId, content: 'Hello', wait: true }, controller.signal));
    const answer = await node.provider.answer(0);
    controller.abort(new Fault('timeout', 'The caller has gone'));
    expect(await waiting).toBe('timeout');
    answer.say('Hi');
    answer.finish();
    await expect.poll(() => node.chat.history(chatId, 10)).toHaveLength(2);
  });
});
