/** What the SDK does for completeness: every event of a chat once and in order, streams without gaps. */
import { describe, expect, test } from 'vitest';
import type { AtelierClient, ClientEvents } from '../../src/client/index.ts';
import { REPLAY_MAX } from '../../src/client/chats.ts';
import { fault, newId, type ScriptedServer } from './sdk-scripted-server.ts';
import { contentsOf, heardBy, startClient, startServer } from './sdk-setup.ts';

/** Cuts the connection, lets `meanwhile` happen and waits until the client is back. */
async function away(server: ScriptedServer, client: AtelierClient, meanwhile: () => void): Promise<void> {
  const gone = client.once('state', ({ state }) => state === 'reconnecting');
  server.cut();
  await gone;
  meanwhile();
  await client.ready();
}

describe('chats', () => {
  test('[SD-2] from ready on every message is heard, those before are history', async () => {
    const server = await startServer();
    const chat = server.addChat(3);
    const client = startClient(server);
    const heard = heardBy(client);
    await client.ready();
    server.post(chat.id, 'new');
    await expect.poll(() => contentsOf(heard)).toEqual(['new']);
  });

  test('[SD-2] a message told between hello and the first heads is heard', async () => {
    const server = await startServer();
    const chat = server.addChat(3);
    const client = startClient(server);
    const heard = heardBy(client);
    server.fate = (call) => {
      if (call.name === 'chat:heads') server.post(chat.id, 'early');
      return 'answer';
    };
    await client.ready();
    expect(contentsOf(heard)).toEqual(['early']);
  });

  test('[SD-2] an event of a known chat that comes long before the heads does not make the chat new', async () => {
    const server = await startServer();
    const chat = server.addChat(2);
    const client = startClient(server, { timings: { holeMs: 1 } });
    const heard = heardBy(client);
    let answer: ((fate: 'answer') => void) | undefined;
    server.fate = (call) => (call.name === 'chat:heads' ? new Promise((resolve) => (answer = resolve)) : 'answer');
    await expect.poll(() => answer).toBeDefined();
    server.post(chat.id, 'early');
    await expect(client.once('chat:created', () => true, { timeoutMs: 30 })).rejects.toMatchObject({ code: 'timeout' });
    answer?.('answer');
    await client.ready();
    expect(contentsOf(heard)).toEqual(['early']);
    expect(server.calls.map(({ name }) => name)).toEqual(['chat:heads']);
  });

  test('[SD-2] operations wait for the first heads, so that what they read covers what is not told', async () => {
    const server = await startServer();
    const chat = server.addChat(1);
    const client = startClient(server);
    let answer: ((fate: 'answer') => void) | undefined;
    server.fate = (call) => (call.name === 'chat:heads' ? new Promise((resolve) => (answer = resolve)) : 'answer');
    const page = client.call('message:list', { chatId: chat.id });
    await expect.poll(() => answer).toBeDefined();
    server.append(chat.id, 'while the heads are read');
    answer?.('answer');
    expect((await page).items).toHaveLength(2);
    expect(server.calls.map(({ name }) => name)).toEqual(['chat:heads', 'message:list']);
  });

  test('[SD-1] what was missed while away is heard in order before what comes live', async () => {
    const server = await startServer();
    const chats = [server.addChat(2), server.addChat(), server.addChat(1)];
    const client = startClient(server);
    const heard = heardBy(client);
    await client.ready();
    await away(server, client, () => {
      for (let i = 0; i < 450; i++) server.append(chats[0]?.id ?? '', `a${i}`);
      server.append(chats[1]?.id ?? '', 'b0');
    });
    server.post(chats[0]?.id ?? '', 'a450');
    await expect.poll(() => heard).toHaveLength(452);
    const of = (i: number): string[] => contentsOf(heard.filter((message) => message.chatId === chats[i]?.id));
    expect(of(0)).toEqual(Array.from({ length: 451 }, (_, i) => `a${i}`));
    expect(of(1)).toEqual(['b0']);
    expect(server.callsOf('chat:sync').filter((call) => call.input.chatId === chats[2]?.id)).toEqual([]);
  });

  test('[SD-1] a hole in the live events is asked for, doubles are dropped', async () => {
    const server = await startServer();
    const chat = server.addChat(1);
    const client = startClient(server);
    const heard = heardBy(client);
    await client.ready();
    server.copies = () => 2;
    server.post(chat.id, 'a');
    server.append(chat.id, 'b');
    server.post(chat.id, 'c');
    await expect.poll(() => contentsOf(heard)).toEqual(['a', 'b', 'c']);
    expect(server.callsOf('chat:sync').map(({ input }) => input.after)).toEqual([2]);
  });

  test('[SD-1] an event that is only late is not asked for', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server, { timings: { holeMs: 60_000 } });
    const heard = heardBy(client);
    await client.ready();
    const late = server.append(chat.id, 'a');
    server.post(chat.id, 'b');
    server.tell(late);
    await expect.poll(() => contentsOf(heard)).toEqual(['a', 'b']);
    expect(server.callsOf('chat:sync')).toEqual([]);
  });

  test('[SD-1] one’s own message is heard also when its event is lost', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server);
    const heard = heardBy(client);
    await client.ready();
    server.copies = () => 0;
    await client.send(chat.id, 'mine');
    await expect.poll(() => contentsOf(heard)).toEqual(['mine']);
  });

  test('[SD-1] questions that the server cannot answer now are asked again', async () => {
    const server = await startServer();
    const chat = server.addChat();
    let n = 0;
    server.fate = () => (n++ % 2 === 0 ? fault(n % 3 ? 'rate_limited' : 'unavailable', { retryAfterMs: 1 }) : 'answer');
    const client = startClient(server);
    const heard = heardBy(client);
    await client.ready();
    await away(server, client, () => server.append(chat.id, 'missed'));
    await expect.poll(() => contentsOf(heard)).toEqual(['missed']);
  });

  test('[SD-3] what the server no longer keeps is a chat:reset, and events go on from there', async () => {
    const server = await startServer();
    const chat = server.addChat(1);
    const client = startClient(server);
    const heard = heardBy(client);
    const resets: ClientEvents['chat:reset'][] = [];
    client.on('chat:reset', (reset) => resets.push(reset));
    await client.ready();
    await away(server, client, () => {
      for (let i = 0; i < 5; i++) server.append(chat.id, `m${i}`);
      server.floors.set(chat.id, 4);
    });
    await expect.poll(() => contentsOf(heard)).toEqual(['m3', 'm4']);
    expect(resets).toEqual([{ chatId: chat.id, position: 4 }]);
  });

  test('[SD-15] a chat begun while away is told with its messages; a long one is to be read', async () => {
    const server = await startServer();
    const client = startClient(server);
    const told: string[] = [];
    client.on('chat:created', ({ chat }) => told.push(`created ${chat.id}`));
    client.on('chat:reset', ({ chatId, position }) => told.push(`reset ${chatId} ${position}`));
    client.on('message:created', ({ message }) => told.push(`${message.content} ${message.chatId}`));
    await client.ready();
    let ids: string[] = [];
    await away(server, client, () => {
      ids = [server.addChat(2).id, server.addChat(REPLAY_MAX + 1).id];
    });
    const [short, long] = ids;
    await expect.poll(() => told).toHaveLength(5);
    expect(told.filter((line) => line.includes(`${short}`))).toEqual([`created ${short}`, `0 ${short}`, `1 ${short}`]);
    expect(told.filter((line) => line.includes(`${long}`))).toEqual([
      `created ${long}`,
      `reset ${long} ${REPLAY_MAX + 1}`,
    ]);
  });

  test('[SD-15] a chat begun while connected is told once, with all its messages, also across a cut', async () => {
    const server = await startServer();
    const client = startClient(server);
    const heard = heardBy(client);
    let created = 0;
    client.on('chat:created', () => created++);
    await client.ready();
    const chat = server.addChat();
    server.emit('chat:created', { chat });
    server.emit('chat:created', { chat });
    server.append(chat.id, 'lost');
    server.post(chat.id, 'live');
    await expect.poll(() => contentsOf(heard)).toEqual(['lost', 'live']);
    const other = server.addChat();
    server.emit('chat:created', { chat: other });
    await expect.poll(() => created).toBe(2);
    await away(server, client, () => server.append(other.id, 'missed'));
    await expect.poll(() => contentsOf(heard)).toEqual(['lost', 'live', 'missed']);
    expect(created).toBe(2);
  });

  test('[SD-15] a chat whose notice is lost is told with its first event, one that is made here at once', async () => {
    const server = await startServer();
    const client = startClient(server);
    const told: string[] = [];
    client.on('chat:created', () => told.push('created'));
    client.on('message:created', ({ message }) => told.push(message.content));
    await client.ready();
    const chat = server.addChat();
    server.append(chat.id, 'lost');
    server.post(chat.id, 'heard');
    await expect.poll(() => told).toEqual(['created', 'lost', 'heard']);

    const own = server.addChat();
    server.handlers['chat:create'] = () => ({ chat: own });
    await client.call('chat:create', { kind: 'group', memberIds: [] });
    const before = server.calls.length;
    server.post(own.id, 'first');
    await expect.poll(() => told).toContain('first');
    server.emit('chat:created', { chat: own });
    await expect.poll(() => told).toEqual(['created', 'lost', 'heard', 'first', 'created']);
    expect(server.calls).toHaveLength(before);
  });

  test('[SD-15] of a chat with a past that one is added to, only what is new is heard', async () => {
    const server = await startServer();
    const client = startClient(server);
    const heard = heardBy(client);
    await client.ready();
    const chat = server.addChat(5);
    server.emit('chat:created', { chat: { ...chat, lastSeq: 5 } });
    await expect.poll(() => server.callsOf('chat:heads').map(({ input }) => input.chatIds)).toContainEqual([chat.id]);
    server.post(chat.id, 'new');
    await expect.poll(() => contentsOf(heard)).toEqual(['new']);
  });

  test('[SD-16] chats that the server does not send by itself are asked for', async () => {
    const server = await startServer();
    const old = server.addChat(2);
    const newest = Array.from({ length: 1_000 }, () => ({ chatId: newId(), rev: 0, seq: 0 }));
    server.handlers['chat:heads'] = ({ chatIds }) => ({
      items: chatIds ? [{ chatId: old.id, rev: server.logs.get(old.id)?.length, seq: 0 }] : newest,
    });
    const client = startClient(server, { timings: { pollMs: 20 } });
    const heard = heardBy(client);
    await client.call('chat:join', { chatId: old.id });
    await client.call('chat:leave', { chatId: old.id });
    server.append(old.id, 'quiet');
    await expect.poll(() => contentsOf(heard)).toEqual(['quiet']);
    await away(server, client, () => server.append(old.id, 'missed'));
    await expect.poll(() => contentsOf(heard)).toEqual(['quiet', 'missed']);
  });

  test('[SD-17] opened chats, watched people and the own presence are set up again, and changes are told', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const [one, two] = [newId(), newId()];
    let status = 'online';
    server.handlers['presence:watch'] = () => ({
      items: [
        { userId: one, status, lastSeen: null },
        { userId: two, status: 'offline', lastSeen: null },
      ],
    });
    const client = startClient(server);
    const left = server.addChat();
    await client.call('chat:join', { chatId: chat.id });
    await client.call('chat:join', { chatId: left.id });
    await client.call('chat:leave', { chatId: left.id });
    await client.call('presence:watch', { userIds: [one, two] });
    await client.call('presence:set', { status: 'busy' });
    const changed = client.once('presence:changed');
    await away(server, client, () => (status = 'away'));
    expect(await changed).toEqual({ userId: one, status: 'away', lastSeen: null });
    const again = server.calls.filter(({ connection }) => connection === 2).map(({ name, input }) => [name, input]);
    expect(again).toContainEqual(['chat:join', { chatId: chat.id }]);
    expect(again).not.toContainEqual(['chat:join', { chatId: left.id }]);
    expect(again).toContainEqual(['presence:watch', { userIds: [one, two] }]);
    expect(again).toContainEqual(['presence:set', { status: 'busy' }]);
  });

  test('[SD-18] without autoResume events come as they are sent and nothing is asked', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server, { autoResume: false });
    const heard = heardBy(client);
    await client.ready();
    server.copies = () => 2;
    server.append(chat.id, 'a');
    server.post(chat.id, 'b');
    await expect.poll(() => contentsOf(heard)).toEqual(['b', 'b']);
    expect(server.calls).toEqual([]);
  });
});

describe('assistant streams', () => {
  const usage = { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0 };

  function createStream(server: ScriptedServer, chatId: string) {
    const ids = { streamId: newId(), messageId: newId(), chatId };
    const stream = { ...ids, text: '', status: 'running' as 'running' | 'finished' | 'failed' };
    server.streams.set(ids.streamId, stream);
    return {
      ids,
      start: () => server.emit('ai:started', ids),
      /** Adds text; tells it unless `quiet`. */
      add(text: string, quiet = false): void {
        const offset = stream.text.length;
        stream.text += text;
        if (!quiet) server.emit('ai:delta', { streamId: ids.streamId, offset, text });
      },
      finish(quiet = false): void {
        stream.status = 'finished';
        const message = Object.assign(server.append(chatId, stream.text), { id: ids.messageId });
        if (!quiet) server.emit('ai:finished', { streamId: ids.streamId, message, usage, stopReason: 'end' });
      },
      fail(quiet = false): void {
        stream.status = 'failed';
        if (!quiet) server.emit('ai:failed', { streamId: ids.streamId, code: 'upstream', message: 'broke' });
      },
    };
  }

  /** Everything that a client hears of streams, and their texts put together by offsets. */
  function followStreams(client: AtelierClient): { told: string[]; text: () => string } {
    const told: string[] = [];
    let text = '';
    client.on('ai:started', () => told.push('started'));
    client.on('ai:delta', ({ offset, text: piece }) => {
      expect(offset).toBe(text.length);
      text += piece;
    });
    client.on('ai:finished', ({ message }) => told.push(`finished ${message.content}`));
    client.on('ai:failed', ({ code }) => told.push(`failed ${code}`));
    return { told, text: () => text };
  }

  test('[SD-4] deltas come once and without gaps, doubles and holes notwithstanding', async () => {
    const server = await startServer();
    const client = startClient(server);
    const { told, text } = followStreams(client);
    await client.ready();
    const stream = createStream(server, server.addChat().id);
    server.copies = () => 2;
    stream.start();
    stream.add('One ');
    stream.add('two ', true);
    stream.add('three ');
    stream.add('four', true);
    stream.finish();
    await expect.poll(() => told).toEqual(['started', 'finished One two three four']);
    expect(text()).toBe('One two three four');
  });

  test('[SD-4] a stream goes on across a cut from its offset', async () => {
    const server = await startServer();
    const client = startClient(server);
    const { told, text } = followStreams(client);
    await client.ready();
    const stream = createStream(server, server.addChat().id);
    stream.start();
    stream.add('Before. ');
    await expect.poll(() => text()).toBe('Before. ');
    await away(server, client, () => stream.add('Away. '));
    stream.add('After.');
    await expect.poll(() => text()).toBe('Before. Away. After.');
    expect(server.callsOf('ai:resume').map(({ input }) => input.offset)).toEqual([8]);
    stream.fail();
    await expect.poll(() => told).toEqual(['started', 'failed upstream']);
  });

  test.each([
    ['finished', 'finished Before. Away.'],
    ['failed', 'failed upstream'],
    ['forgotten', 'failed unavailable'],
  ])('[SD-4] a stream that %s while away ends once', async (how, told) => {
    const server = await startServer();
    const client = startClient(server);
    const followed = followStreams(client);
    await client.ready();
    const stream = createStream(server, server.addChat().id);
    stream.start();
    stream.add('Before. ');
    await expect.poll(() => followed.text()).toBe('Before. ');
    await away(server, client, () => {
      stream.add('Away.');
      if (how === 'finished') stream.finish(true);
      else if (how === 'failed') stream.fail(true);
      else server.streams.clear();
    });
    await expect.poll(() => followed.told).toEqual(['started', told]);
    if (how === 'finished') stream.finish();
    else stream.fail();
    stream.add('late');
    await expect(client.call('chat:get', { chatId: newId() })).rejects.toMatchObject({ code: 'not_found' });
    expect(followed.told).toEqual(['started', told]);
  });

  test('[SD-4] a chat opened in the middle of a stream tells it from its beginning', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const stream = createStream(server, chat.id);
    stream.add('Already there, ');
    const client = startClient(server);
    const { told, text } = followStreams(client);
    await client.call('chat:join', { chatId: chat.id });
    stream.add('and more.');
    await expect.poll(() => text()).toBe('Already there, and more.');
    expect(told).toEqual(['started']);
  });

  test('[SD-19] streamText gives the text as it comes and returns the message', async () => {
    const server = await startServer();
    const chat = server.addChat();
    const client = startClient(server);
    const stream = createStream(server, chat.id);
    server.handlers['ai:prompt'] = () => {
      stream.start();
      stream.add('Hello');
      return { ...stream.ids, userMessageId: newId() };
    };
    const { streamId } = await client.call('ai:prompt', { chatId: chat.id, content: 'Hi' });
    const reading = client.streamText(streamId);
    expect(await reading.next()).toEqual({ done: false, value: 'Hello' });
    await away(server, client, () => stream.add(', world'));
    expect(await reading.next()).toEqual({ done: false, value: ', world' });
    stream.finish();
    expect(await reading.next()).toMatchObject({ done: true, value: { content: 'Hello, world' } });

    const again: string[] = [];
    for await (const piece of client.streamText(streamId)) again.push(piece);
    expect(again).toEqual(['Hello, world']);
  });

  test('[SD-19] streamText throws when the answer failed or the client closes', async () => {
    const server = await startServer();
    const client = startClient(server);
    await client.ready();
    const [failing, endless] = [createStream(server, server.addChat().id), createStream(server, server.addChat().id)];
    const failed = client.streamText(failing.ids.streamId).next();
    failing.fail();
    await expect(failed).rejects.toMatchObject({ code: 'upstream' });
    const reading = client.streamText(endless.ids.streamId).next();
    client.close();
    await expect(reading).rejects.toMatchObject({ code: 'unavailable' });
  });
});
