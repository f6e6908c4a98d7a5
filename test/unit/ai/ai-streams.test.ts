import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createAnthropicProvider } from '../../../src/features/ai/anthropic-provider.ts';
import type { StreamEvent } from '../../../src/features/ai/index.ts';
import { StreamStore } from '../../../src/features/ai/model.ts';
import { streamIdsFor } from '../../../src/features/ai/stream-ids.ts';
import { Fault } from '../../../src/protocol/index.ts';
import { killed, splitAnswer, startAnthropicServer, TEST_KEY } from '../../support/anthropic-server.ts';
import { newId, startSystem, type Answer, type TestNode, type TestSystem } from './ai-setup.ts';
import { createTestLog } from './test-log.ts';

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

async function begin(at = node, userId = BOB): Promise<{ streamId: string; messageId: string; answer: Answer }> {
  const number = at.provider.answers.length;
  const { streamId, messageId } = await at.call('ai:prompt', userId, { chatId, content: 'Hello' });
  return { streamId, messageId, answer: await at.provider.answer(number) };
}

/** Resolves when the text that has been emitted is this. */
const heard = (streamId: string, text: string, at = node): Promise<void> =>
  expect.poll(() => emitted(at, streamId)).toBe(text);

/** Resolves at the next delta. */
const further = (streamId: string): Promise<void> =>
  new Promise((resolve) => {
    node.rooms.listen(({ event, data }) => {
      if (event === 'ai:delta' && data.streamId === streamId) resolve();
    });
  });

const emitted = (at: TestNode, streamId: string): string =>
  at
    .of(streamId)
    .filter(({ event }) => event === 'ai:delta')
    .map(({ data }) => data.text as string)
    .join('');

describe('ai:resume', () => {
  test('[AI-30] gives the rest while the stream runs, on its node and on another', async () => {
    const other = await system.addNode();
    const { streamId, answer } = await begin();
    answer.say('a😀b');
    await heard(streamId, 'a😀b');
    for (const at of [node, other]) {
      const resume = (offset: number): Promise<unknown> => at.call('ai:resume', ADA, { streamId, offset });
      expect(await resume(0)).toEqual({ text: 'a😀b', offset: 0, status: 'running' });
      expect(await resume(1)).toEqual({ text: '😀b', offset: 1, status: 'running' });
      // In the middle of a pair: from its beginning.
      expect(await resume(2)).toEqual({ text: '😀b', offset: 1, status: 'running' });
      expect(await resume(4)).toEqual({ text: '', offset: 4, status: 'running' });
      expect(await resume(999)).toEqual({ text: '', offset: 4, status: 'running' });
      expect(await at.ai.running(chatId)).toMatchObject([{ streamId, offset: 4 }]);
    }
  });

  test('[AI-30] gives the rest and the message after the end', async () => {
    const { streamId, messageId, answer } = await begin();
    answer.say('Hello Ada');
    answer.finish();
    await node.ended(streamId);
    const other = await system.addNode();
    for (const at of [node, other]) {
      expect(await at.call('ai:resume', ADA, { streamId, offset: 6 })).toMatchObject({
        text: 'Ada',
        offset: 6,
        status: 'finished',
        message: { id: messageId, content: 'Hello Ada' },
      });
      expect(await at.ai.running(chatId)).toEqual([]);
    }
    expect(await system.cluster.streamLog.read(streamId, 0)).toBeUndefined();
  });

  test('[AI-30] tells strangers nothing, not even that the stream exists', async () => {
    const { streamId } = await begin();
    const strange = await node.call('ai:resume', EVE, { streamId, offset: 0 }).catch((error: unknown) => error);
    const missing = await node
      .call('ai:resume', EVE, { streamId: newId(), offset: 0 })
      .catch((error: unknown) => error);
    expect(strange).toBeInstanceOf(Fault);
    expect((strange as Fault).toBody()).toEqual((missing as Fault).toBody());
    expect((strange as Fault).code).toBe('not_found');
    expect(await faultOf(node.call('ai:stop', EVE, { streamId }))).toBe('not_found');
  });

  test.each([1, 2, 3, 4])(
    '[AI-31] clients that come late or leave and come back have every unit once (seed %i)',
    async (seed) => {
      const random = seeded(seed);
      const other = await system.addNode();
      const { streamId, answer } = await begin();
      const clients = Array.from({ length: 12 }, (_, n) => new Client(n % 3 === 0 ? other : node, streamId));
      node.rooms.listen(({ event, data }) => {
        if (event !== 'ai:delta' || data.streamId !== streamId) return;
        for (const client of clients) client.hear(data.offset as number, data.text as string);
      });
      const full = randomText(random, 3_000);
      const probes: Promise<{ text: string; offset: number }>[] = [];
      let said = 0;
      while (said < full.length) {
        const size = 2 + Math.floor(random() * 40);
        const delta = further(streamId);
        // Cut anywhere, within pairs too.
        answer.say(full.slice(said, said + size));
        said += size;
        for (const client of clients) {
          if (random() < 0.05) client.isConnected = false;
          else if (!client.isConnected && random() < 0.2) client.connect();
        }
        if (random() < 0.1) {
          probes.push(node.call('ai:resume', ADA, { streamId, offset: Math.floor(random() * full.length) }));
        }
        if (random() < 0.3) await new Promise((resolve) => setImmediate(resolve));
        if (random() < 0.15) await delta;
      }
      for (const client of clients) if (random() < 0.5) client.connect();
      answer.finish();
      const end = await node.ended(streamId);
      expect(end.data).toMatchObject({ message: { content: full } });
      for (const client of clients) client.connect();
      await Promise.all(clients.map((client) => client.settled()));
      for (const client of clients) expect(client).toMatchObject({ text: full, straddles: 0 });
      for (const { text, offset } of await Promise.all(probes)) expect(full.slice(offset).startsWith(text)).toBe(true);
      expect(clients.some((client) => client.resumes > 1)).toBe(true);
    },
  );
});

describe('ai:stop', () => {
  test('[AI-32] by whoever asked keeps the text so far', async () => {
    const { streamId, messageId, answer } = await begin(node, BOB);
    answer.say('So far');
    await heard(streamId, 'So far');
    expect(await node.call('ai:stop', BOB, { streamId })).toEqual({});
    expect(await node.chat.messageById(chatId, messageId)).toMatchObject({
      content: 'So far',
      metadata: { stopReason: 'stopped' },
    });
    expect((await node.ended(streamId)).data).toMatchObject({ stopReason: 'stopped', message: { content: 'So far' } });
    expect(answer.signal.aborted).toBe(true);
    expect(await node.call('ai:stop', BOB, { streamId })).toEqual({});
    expect(node.of(streamId).filter(({ event }) => event === 'ai:finished')).toHaveLength(1);
  });

  test('[AI-32] is for whoever asked and for the chat’s owner and admins', async () => {
    const { streamId } = await begin(node, ADA);
    expect(await faultOf(node.call('ai:stop', BOB, { streamId }))).toBe('forbidden');
    const mine = await begin(node, BOB);
    expect(await node.call('ai:stop', ADA, { streamId: mine.streamId })).toEqual({});
    expect((await node.ended(mine.streamId)).event).toBe('ai:finished');
    expect(await node.ai.running(chatId)).toHaveLength(1);
  });

  test('[AI-32] before the first word leaves an empty message', async () => {
    const { streamId } = await begin();
    await node.call('ai:stop', BOB, { streamId });
    expect((await node.ended(streamId)).data).toMatchObject({ stopReason: 'stopped', message: { content: '' } });
  });

  test('[AI-32] on another node reaches the one that runs the stream', async () => {
    await node.ai.recover();
    const other = await system.addNode();
    const { streamId, answer } = await begin();
    answer.say('So far');
    await heard(streamId, 'So far');
    await other.call('ai:stop', BOB, { streamId });
    expect((await node.ended(streamId)).data).toMatchObject({ stopReason: 'stopped', message: { content: 'So far' } });
  });
});

describe('a failure', () => {
  test('[AI-33] after text stores it as incomplete, then says so', async () => {
    const { streamId, messageId, answer } = await begin();
    answer.say('Half a sen');
    answer.fail(new Fault('upstream', 'The AI service broke off'));
    const end = await node.ended(streamId);
    expect(end).toMatchObject({ event: 'ai:failed', data: { code: 'upstream', message: 'The AI service broke off' } });
    const message = await node.chat.messageById(chatId, messageId);
    expect(message).toMatchObject({ content: 'Half a sen', metadata: { incomplete: true, streamId } });
    expect(await node.call('ai:resume', ADA, { streamId, offset: 5 })).toEqual({
      text: 'a sen',
      offset: 5,
      status: 'failed',
      message,
    });
    const order = node.rooms.heard.map(({ event }) => event);
    expect(order.lastIndexOf('message:created')).toBeLessThan(order.indexOf('ai:failed'));
  });

  test('[AI-33] before any text leaves no message', async () => {
    const { streamId, answer } = await begin();
    answer.fail(new Fault('timeout', 'Silence'));
    expect((await node.ended(streamId)).data).toMatchObject({ code: 'timeout', message: 'Silence' });
    expect(await node.chat.history(chatId, 10)).toHaveLength(1);
    expect(await node.call('ai:resume', ADA, { streamId, offset: 0 })).toEqual({
      text: '',
      offset: 0,
      status: 'failed',
    });
  });

  test('[AI-33] of our own making is logged and tells nothing', async () => {
    const { streamId, answer } = await begin();
    answer.fail(new Error('secret detail'));
    expect((await node.ended(streamId)).data).toMatchObject({ code: 'unavailable' });
    expect(JSON.stringify(node.of(streamId))).not.toContain('secret detail');
    expect(node.log.lines.some(({ level }) => level === 'error')).toBe(true);
  });

  test('[AI-33] to store the end is made good as soon as it can be', async () => {
    let failures = 2;
    const { chat } = node;
    const failing = await system.addNode({
      chat: {
        ...chat,
        async post(message) {
          if (message.sender.type === 'assistant' && failures-- > 0) throw new Fault('unavailable', 'Full');
          return chat.post(message);
        },
      },
      // The pauses between tries are short; the half hour that a stream may take stays as it is.
      clock: { now: Date.now, after: (ms, callback) => clearing(setTimeout(callback, ms > 60_000 ? ms : 5)) },
    });
    const { streamId, messageId, answer } = await begin(failing);
    answer.say('Kept');
    answer.finish();
    expect((await failing.ended(streamId)).data).toMatchObject({ message: { id: messageId, content: 'Kept' } });
    expect(failures).toBe(-1);
  });

  test('[AI-33] to keep the stream log leaves the stream as it is', async () => {
    const broken = await system.addNode({
      streamLog: {
        append: () => Promise.reject(new Error('away')),
        read: async () => undefined,
        remove: () => Promise.reject(new Error('away')),
        close: async () => {},
      },
    });
    const { streamId, answer } = await begin(broken);
    answer.say('All');
    answer.finish();
    expect((await broken.ended(streamId)).data).toMatchObject({ message: { content: 'All' } });
    expect(emitted(broken, streamId)).toBe('All');
  });
});

describe('the end of a node', () => {
  test('[AI-34] that is stopped stores what there is as incomplete, and takes no more prompts', async () => {
    const { streamId, messageId, answer } = await begin();
    const silent = await begin();
    answer.say('So far');
    await heard(streamId, 'So far');
    await node.ai.close();
    expect(await node.ended(streamId)).toMatchObject({ event: 'ai:failed', data: { code: 'unavailable' } });
    expect(await node.chat.messageById(chatId, messageId)).toMatchObject({
      content: 'So far',
      metadata: { incomplete: true },
    });
    expect(await node.chat.messageById(chatId, silent.messageId)).toBeUndefined();
    expect(await node.ai.running(chatId)).toEqual([]);
    expect(await faultOf(node.call('ai:prompt', ADA, { chatId, content: 'More' }))).toBe('unavailable');
    expect(await node.call('ai:resume', ADA, { streamId, offset: 0 })).toMatchObject({ status: 'interrupted' });
  });

  test('[AI-35] that died is noticed while the stream log is out of reach: its end waits for the text', async () => {
    const { streamLog } = system.cluster;
    let inReach = false;
    const other = await system.addNode({
      streamLog: {
        ...streamLog,
        read: (streamId, offset) =>
          inReach ? streamLog.read(streamId, offset) : Promise.reject(new Fault('unavailable', 'Out of reach')),
      },
    });
    const { streamId, messageId, answer } = await begin();
    answer.say('So far');
    await heard(streamId, 'So far');
    await system.cluster.kill(node.id);
    await other.ai.recover();
    // Meanwhile nobody who asks about the chat is refused.
    expect(await other.ai.running(chatId)).toEqual([{ streamId, messageId, offset: 0 }]);
    expect(await other.call('ai:resume', ADA, { streamId, offset: 3 })).toMatchObject({ status: 'running', text: '' });
    inReach = true;
    await other.ended(streamId);
    expect(await other.chat.messageById(chatId, messageId)).toMatchObject({ content: 'So far' });
  });

  test('[AI-35] that died is noticed: another one stores the text that the log has', async () => {
    const other = await system.addNode();
    await other.ai.recover();
    const { streamId, messageId, answer } = await begin();
    answer.say('So far');
    await heard(streamId, 'So far');
    await system.cluster.kill(node.id);
    expect(await other.ended(streamId)).toMatchObject({ event: 'ai:failed', data: { code: 'unavailable' } });
    expect(await other.chat.messageById(chatId, messageId)).toMatchObject({
      content: 'So far',
      metadata: { incomplete: true },
    });
    expect(await other.ai.running(chatId)).toEqual([]);

    // It was only slow: what it has to say now comes too late, and says nothing twice.
    answer.say(' and more');
    answer.finish();
    await expect
      .poll(() => node.call('ai:resume', ADA, { streamId, offset: 0 }))
      .toMatchObject({ status: 'interrupted', text: 'So far' });
    expect(node.of(streamId).some(({ event }) => event === 'ai:finished')).toBe(false);
    expect(await other.chat.history(chatId, 10)).toHaveLength(2);
  });

  test('[AI-35] that died before its start is found by the next start', async () => {
    const store = new StreamStore(system.database.connection, Date.now);
    const message = await node.chat.post({
      chatId,
      sender: { type: 'user', userId: ADA },
      content: 'x',
      clientId: 'c1',
    });
    const ids = streamIdsFor(ADA, chatId, 'c1');
    const row = { ...ids, chatId, userMessageId: message.id, askedBy: ADA, nodeId: 'gone', model: 'm' };
    await store.start(row);
    await node.ai.recover();
    await system.cluster.kill('gone');
    expect(await node.ended(ids.streamId)).toMatchObject({ event: 'ai:failed', data: { code: 'unavailable' } });
    expect(await node.chat.history(chatId, 10)).toHaveLength(1);
    // The prompt's first outcome stays its outcome.
    expect(await node.call('ai:prompt', ADA, { chatId, content: 'x', clientId: 'c1' })).toMatchObject(ids);
    expect(await faultOf(node.call('ai:prompt', ADA, { chatId, content: 'x', clientId: 'c1', wait: true }))).toBe(
      'unavailable',
    );
  });

  test('[AI-35] that died between message and row leaves a finished stream', async () => {
    const store = new StreamStore(system.database.connection, Date.now);
    const ids = streamIdsFor(ADA, chatId, undefined);
    const row = { ...ids, chatId, userMessageId: newId(), askedBy: ADA, nodeId: 'gone', model: 'm' };
    await store.start(row);
    const metadata = { streamId: ids.streamId, model: 'm', stopReason: 'max_tokens' };
    await node.chat.post({ id: ids.messageId, chatId, sender: { type: 'assistant' }, content: 'Whole', metadata });
    await node.ai.recover();
    await system.cluster.kill('gone');
    expect(await node.ended(ids.streamId)).toMatchObject({
      event: 'ai:finished',
      data: { stopReason: 'max_tokens', message: { content: 'Whole' } },
    });
  });
});

describe('watch', () => {
  const signal = new AbortController().signal;

  async function collect(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
    const all: StreamEvent[] = [];
    for await (const event of events) all.push(event);
    return all;
  }

  const textOf = (events: readonly StreamEvent[]): string =>
    events.map((event) => (event.event === 'delta' ? event.data.text : '')).join('');

  test('[AI-36] tells a stream from its start to its end, on its node and on another', async () => {
    const other = await system.addNode();
    const { streamId, messageId, answer } = await begin();
    const watching = [node, other].map((at) => collect(at.ai.watch(streamId, ADA, 0, signal)));
    answer.say('One ');
    await heard(streamId, 'One ');
    answer.say('two');
    answer.finish();
    for (const events of await Promise.all(watching)) {
      expect(events[0]).toEqual({ id: `${streamId}:0`, event: 'started', data: { streamId, messageId, chatId } });
      expect(textOf(events)).toBe('One two');
      expect(events.at(-1)).toMatchObject({ id: `${streamId}:8`, event: 'finished', data: { stopReason: 'end' } });
      const deltas = events.filter((event) => event.event === 'delta');
      for (const { id, data } of deltas) expect(id).toBe(`${streamId}:${data.offset + data.text.length}`);
    }
  });

  test('[AI-36] goes on exactly after any event that was seen', async () => {
    const { streamId, answer } = await begin();
    const all = collect(node.ai.watch(streamId, ADA, 0, signal));
    for (const piece of ['One ', '😀 ', 'three']) {
      answer.say(piece);
      await expect.poll(() => emitted(node, streamId).endsWith(piece)).toBe(true);
    }
    answer.finish();
    const events = await all;
    for (const [index, { id }] of events.entries()) {
      const rest = await collect(node.ai.watch(streamId, ADA, Number(id.split(':')[1]), signal));
      const told = rest.filter(({ event }) => event !== 'started');
      expect(textOf(told)).toBe(textOf(events.slice(index + 1)));
      // Whoever has seen the end hears nothing more.
      expect(told.at(-1)?.event).toBe(index === events.length - 1 ? undefined : 'finished');
    }
  });

  test('[AI-36] tells of a failure, of nothing to strangers, and ends with its signal', async () => {
    const { streamId, answer } = await begin();
    expect(await faultOf(collect(node.ai.watch(streamId, EVE, 0, signal)))).toBe('not_found');
    const controller = new AbortController();
    const leaving = collect(node.ai.watch(streamId, ADA, 0, controller.signal));
    const staying = collect(node.ai.watch(streamId, ADA, 0, signal));
    answer.say('Half');
    await heard(streamId, 'Half');
    controller.abort();
    expect((await leaving).at(-1)?.event).not.toBe('failed');
    answer.fail(new Fault('upstream', 'Broken'));
    expect((await staying).map(({ event }) => event)).toEqual(['started', 'delta', 'failed']);
  });
});

describe('with Anthropic’s SDK', () => {
  test('[AI-37] an answer arrives whole, a cut one as far as it came', async () => {
    const server = await startAnthropicServer();
    const log = createTestLog();
    const provider = createAnthropicProvider({ apiKey: TEST_KEY, baseUrl: server.url, log, model: 'claude-test' });
    const real = await system.addNode({ provider });
    const pieces = ['Grüße ', '👩‍👩‍👧', ' 日本', '\n```ts\nlet a = 1;\n```'];
    server.script(splitAnswer(pieces, 5), killed(['Half ']));
    const answered = await real.call('ai:prompt', ADA, { chatId, content: 'Hello', wait: true });
    expect(answered.message?.content).toBe(pieces.join(''));
    expect(emitted(real, answered.streamId)).toBe(pieces.join(''));
    expect(answered.usage).toMatchObject({ inputTokens: 10, outputTokens: 4 });

    expect(await faultOf(real.call('ai:prompt', ADA, { chatId, content: 'Again', wait: true }))).toBe('upstream');
    expect((await real.chat.history(chatId, 1))[0]).toMatchObject({ content: 'Half ', metadata: { incomplete: true } });
    expect(server.requests[1]?.body.messages).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: pieces.join('') },
      { role: 'user', content: 'Again' },
    ]);
    await real.close();
    await server.close();
  });
});

/** A reader that does what the protocol says and no more: drop below, append at, resume above. */
class Client {
  text = '';
  resumes = 0;
  straddles = 0;
  isConnected = false;
  readonly #node: TestNode;
  readonly #streamId: string;
  #asking: Promise<void> | undefined;

  constructor(node: TestNode, streamId: string) {
    this.#node = node;
    this.#streamId = streamId;
  }

  connect(): void {
    this.isConnected = true;
    this.#asking ??= this.#resume();
  }

  hear(offset: number, text: string): void {
    if (!this.isConnected) return;
    if (offset === this.text.length) this.text += text;
    else if (offset > this.text.length) this.#asking ??= this.#resume();
    // Positions are ends of deltas: one that begins below does not reach beyond.
    else if (offset + text.length > this.text.length) this.straddles += 1;
  }

  async settled(): Promise<void> {
    while (this.#asking) await this.#asking;
  }

  async #resume(): Promise<void> {
    this.resumes += 1;
    const rest = await this.#node.call('ai:resume', ADA, { streamId: this.#streamId, offset: this.text.length });
    if (rest.offset + rest.text.length > this.text.length) this.text = this.text.slice(0, rest.offset) + rest.text;
    this.#asking = undefined;
  }
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function randomText(random: () => number, length: number): string {
  const alphabet = ['a', 'b ', '😀', '👩‍👩‍👧', 'ß', '日', '\n', '<', '"'];
  let text = '';
  while (text.length < length) text += alphabet[Math.floor(random() * alphabet.length)];
  return text;
}

const clearing = (timer: NodeJS.Timeout) => (): void => clearTimeout(timer);
