/** The SDK's operations and its connection, against a scripted server. */
import { describe, expect, test } from 'vitest';
import { AtelierError, type ClientState } from '../../src/client/index.ts';
import { UNDER_WAY_MAX, WAITING_MAX } from '../../src/client/requests.ts';
import { TOKENS_MAX } from '../../src/client/connection.ts';
import { fault, newId } from './sdk-scripted-server.ts';
import { startClient, startServer } from './sdk-setup.ts';

describe('operations', () => {
  test('[SD-7] an answer resolves, an error rejects with its code, detail and retryAfterMs', async () => {
    const server = await startServer();
    const client = startClient(server);
    const chat = server.addChat();
    expect(await client.send(chat.id, 'hello')).toMatchObject({ seq: 1, rev: 1 });
    expect((await client.call('chat:get', { chatId: chat.id })).chat.id).toBe(chat.id);
    await expect(client.call('chat:get', { chatId: newId() })).rejects.toMatchObject({ code: 'not_found' });
    const detail = [{ path: 'content', message: 'too short' }];
    server.fate = () => fault('invalid', { detail, retryAfterMs: 7 });
    const error = await client.send(chat.id, '').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(AtelierError);
    expect(error).toMatchObject({ code: 'invalid', detail, retryAfterMs: 7, outcomeUnknown: false });
  });

  test('[SD-8] a message whose answer is lost is sent again with the same clientId and exists once', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server, { requestTimeoutMs: 30 });
    const fates = ['lose-answer', 'cut-after', 'cut'] as const;
    let n = 0;
    server.fate = (call) => (call.name === 'message:send' ? (fates[n++] ?? 'answer') : 'answer');
    expect(await client.send(chat.id, 'once')).toMatchObject({ seq: 1 });
    const calls = server.callsOf('message:send');
    expect(calls).toHaveLength(4);
    expect(new Set(calls.map((call) => call.input.clientId)).size).toBe(1);
    expect(server.logs.get(chat.id)).toHaveLength(1);
  });

  test('[SD-8] what a cut left without an answer is sent again as soon as the connection is back', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server, { requestTimeoutMs: 600_000, retryForMs: 600_000 });
    const fates = ['cut-after', 'cut'] as const;
    let n = 0;
    server.fate = (call) => (call.name === 'message:send' ? (fates[n++] ?? 'answer') : 'answer');
    expect(await client.send(chat.id, 'once')).toMatchObject({ seq: 1 });
    expect(server.logs.get(chat.id)).toHaveLength(1);
  });

  test('[SD-8] the server’s own timeout is an unknown outcome too', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server);
    let n = 0;
    server.fate = (call) => (call.name === 'message:send' && n++ === 0 ? fault('timeout') : 'answer');
    expect(await client.send(chat.id, 'once')).toMatchObject({ seq: 1 });
  });

  test('[SD-8] calls made offline are sent in their order after the connection is back', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server);
    await client.ready();
    server.cut();
    await client.once('state', ({ state }) => state === 'reconnecting');
    const answers = await Promise.all(['a', 'b', 'c'].map((content) => client.send(chat.id, content)));
    expect(answers.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  test('[SD-9] what may not be sent twice rejects when its connection ends and says that the outcome is unknown', async () => {
    const server = await startServer();
    const client = startClient(server);
    server.fate = (call) => (call.name === 'user:update-profile' ? 'cut' : 'answer');
    await expect(client.call('user:update-profile', { name: 'New' })).rejects.toMatchObject({
      code: 'unavailable',
      outcomeUnknown: true,
    });
    await client.ready();
    server.fate = (call) => (call.name === 'user:update-profile' ? 'lose' : 'answer');
    await expect(client.call('user:update-profile', { name: 'New' }, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'timeout',
      outcomeUnknown: true,
    });
    expect(server.callsOf('user:update-profile')).toHaveLength(2);
  });

  test('[SD-9] a call that was never sent says so', async () => {
    const server = await startServer();
    server.greets = false;
    const client = startClient(server);
    await expect(client.call('chat:list', {}, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'unavailable',
      outcomeUnknown: false,
    });
    expect(server.callsOf('chat:list')).toHaveLength(0);
  });

  test('[SD-9] a signal rejects with its reason', async () => {
    const server = await startServer();
    const client = startClient(server);
    await client.ready();
    server.fate = () => 'lose';
    const controller = new AbortController();
    const call = client.call('chat:list', {}, { signal: controller.signal });
    controller.abort(new Error('changed my mind'));
    await expect(call).rejects.toThrow('changed my mind');
    await expect(client.call('chat:list', {}, { signal: controller.signal })).rejects.toThrow('changed my mind');
  });

  test('[SD-10] a burst stays under the server’s limit of operations under way, and more than can wait is refused', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server);
    await client.ready();
    server.fate = (call) =>
      call.name === 'message:send' ? new Promise((resolve) => setImmediate(() => resolve('answer'))) : 'answer';
    const sends = Array.from({ length: WAITING_MAX }, (_, i) => client.send(chat.id, `${i}`));
    await expect(client.send(chat.id, 'one more')).rejects.toMatchObject({ code: 'rate_limited' });
    const seqs = (await Promise.all(sends)).map(({ seq }) => seq);
    expect(seqs).toEqual(Array.from({ length: WAITING_MAX }, (_, i) => i + 1));
    expect(server.mostUnderWay).toBeLessThanOrEqual(UNDER_WAY_MAX);
  });

  test('[SD-8] what answers late (`wait: true`) is not sent again while its connection lives', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server, { requestTimeoutMs: 10, retryForMs: 20 });
    await client.ready();
    let answer: ((fate: 'answer') => void) | undefined;
    server.handlers['ai:prompt'] = () => ({
      streamId: newId(),
      messageId: newId(),
      userMessageId: newId(),
      chatId: chat.id,
    });
    server.fate = (call) =>
      call.name === 'ai:prompt' ? new Promise((resolve) => (answer = resolve)) : fault('not_found');
    const prompt = client.call('ai:prompt', { chatId: chat.id, content: 'Hi', wait: true });
    await expect.poll(() => answer).toBeDefined();
    // Longer than every limit that holds for other operations.
    await expect(client.once('typing:changed', () => true, { timeoutMs: 40 })).rejects.toMatchObject({
      code: 'timeout',
    });
    answer?.('answer');
    expect((await prompt).chatId).toBe(chat.id);
    expect(server.callsOf('ai:prompt')).toHaveLength(1);
  });
});

describe('the connection', () => {
  test('[SD-11] states follow the connection, hello is that of the newest', async () => {
    const server = await startServer();
    const client = startClient(server);
    const states: ClientState[] = [];
    client.on('state', ({ state }) => states.push(state));
    expect(client.state).toBe('connecting');
    const first = await client.ready();
    server.cut();
    await client.once('state', ({ state }) => state === 'reconnecting');
    const second = await client.ready();
    expect(second.sessionId).not.toBe(first.sessionId);
    expect(client.hello).toBe(second);
    server.kick();
    await client.once('state', ({ state }) => state === 'ready');
    client.close();
    expect(states).toEqual(['ready', 'reconnecting', 'ready', 'reconnecting', 'ready', 'closed']);
  });

  test('[SD-11] a connection that does not say hello is given up', async () => {
    const server = await startServer();
    server.greets = false;
    const client = startClient(server, { timings: { helloMs: 20 } });
    await expect.poll(() => server.connections).toBeGreaterThan(2);
    server.greets = true;
    await client.ready();
  });

  test('[SD-12] a refused token is asked for anew, a bounded number of times', async () => {
    const server = await startServer();
    const reasons: string[] = [];
    const token = (reason: string): string => {
      reasons.push(reason);
      return `token ${reasons.length}`;
    };
    server.refusals.push({ code: 'unauthenticated' });
    const client = startClient(server, { token });
    await client.ready();
    expect(reasons).toEqual(['connect', 'refused']);
    expect(server.tokens).toEqual(['token 1', 'token 2']);

    for (let i = 0; i < TOKENS_MAX; i++) server.refusals.push({ code: 'unauthenticated' });
    const closed = client.once('state', ({ state }) => state === 'closed');
    server.cut();
    expect((await closed).error).toMatchObject({ code: 'unauthenticated' });
    expect(server.tokens).toHaveLength(2 + TOKENS_MAX);
    await expect(client.ready()).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(client.call('chat:list', {})).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  test('[SD-12] a token function that fails is asked again, a bounded number of times', async () => {
    const server = await startServer();
    let asked = 0;
    const client = startClient(server, {
      token: () => (++asked < 3 ? Promise.reject(new Error('offline')) : 'token'),
    });
    await client.ready();
    const hopeless = startClient(server, { token: () => Promise.reject(new Error('signed out')) });
    await expect(hopeless.ready()).rejects.toMatchObject({ code: 'unauthenticated', cause: new Error('signed out') });
  });

  test('[SD-12] a token that comes too late for its handshake is not used for the next', async () => {
    const server = await startServer();
    const asked: ((token: string) => void)[] = [];
    const client = startClient(server, { token: () => new Promise((resolve) => asked.push(resolve)) });
    await expect.poll(() => asked).toHaveLength(1);
    server.cut();
    await expect.poll(() => asked).toHaveLength(2);
    asked[0]?.('late');
    asked[1]?.('in time');
    await client.ready();
    expect(server.tokens).toEqual(['in time']);
  });

  test('[SD-12] a fixed token that is refused, or a protocol that is not spoken, closes the client', async () => {
    const server = await startServer();
    for (const code of ['unauthenticated', 'unsupported', 'forbidden']) {
      server.refusals.push({ code });
      const client = startClient(server);
      await expect(client.ready()).rejects.toMatchObject({ code });
      expect(client.state).toBe('closed');
    }
  });

  test('[SD-12] a busy server is tried until it lets the client in', async () => {
    const server = await startServer();
    for (let i = 0; i < 2 * TOKENS_MAX; i++)
      server.refusals.push({ code: i % 2 ? 'unavailable' : 'rate_limited', retryAfterMs: 1 });
    await startClient(server).ready();
    expect(server.refusals).toEqual([]);
  });

  test('[SD-13] session:expiring brings a new token by auth:refresh, and a fixed token is replaced by the application', async () => {
    const server = await startServer();
    server.handlers['auth:refresh'] = () => ({ expiresInSeconds: 900 });
    const client = startClient(server, { token: (reason) => `token ${reason}` });
    await client.ready();
    const heard = client.once('session:expiring');
    server.emit('session:expiring', { expiresInSeconds: 60 });
    await heard;
    await expect.poll(() => server.callsOf('auth:refresh')).toHaveLength(1);
    expect(server.callsOf('auth:refresh')[0]?.input).toEqual({ accessToken: 'token expiring' });
    client.close();

    const fixed = startClient(server, { token: 'old' });
    await fixed.call('auth:refresh', { accessToken: 'new' });
    server.cut();
    await fixed.once('state', ({ state }) => state === 'ready');
    expect(server.tokens.slice(-2)).toEqual(['old', 'new']);
  });

  test('[SD-13] an expired session comes back with a new token, a revoked one closes the client', async () => {
    const server = await startServer();
    const reasons: string[] = [];
    const client = startClient(server, { token: (reason) => (reasons.push(reason), 'token') });
    await client.ready();
    server.emit('session:closed', { reason: 'expired' });
    server.kick();
    await client.once('state', ({ state }) => state === 'ready');
    expect(reasons).toEqual(['connect', 'refused']);
    const closed = client.once('state', ({ state }) => state === 'closed');
    server.emit('session:closed', { reason: 'revoked' });
    server.kick();
    expect((await closed).error).toMatchObject({ code: 'unauthenticated' });
  });

  test('[SD-14] close ends the connection, rejects what is under way and forgets every listener', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server);
    await client.ready();
    server.fate = () => 'lose';
    const call = client.send(chat.id, 'x');
    const event = client.once('typing:changed');
    const states: ClientState[] = [];
    client.on('state', ({ state }) => states.push(state));
    client.close();
    client.close();
    await expect(call).rejects.toMatchObject({ code: 'unavailable', outcomeUnknown: true });
    await expect(event).rejects.toMatchObject({ code: 'unavailable' });
    await expect(client.send(chat.id, 'x')).rejects.toMatchObject({ code: 'unavailable', outcomeUnknown: false });
    await expect(client.ready()).rejects.toMatchObject({ code: 'unavailable' });
    expect(states).toEqual(['closed']);
    await expect.poll(() => server.sockets).toBe(0);
    expect(server.connections).toBe(1);
  });

  test('[SD-14] a client closed before it connected never connects', async () => {
    const server = await startServer();
    let give: ((token: string) => void) | undefined;
    const client = startClient(server, { token: () => new Promise((resolve) => (give = resolve)) });
    await expect.poll(() => give).toBeDefined();
    client.close();
    give?.('late');
    await startClient(server).ready();
    expect(server.tokens).toEqual(['token']);
  });
});
