/** An agent that says on its bulk link whatever it likes harms nothing but that link. */
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import type { AgentLink } from '../../src/sandbox/agent-link.ts';
import { AGENT_LIMITS, type AgentMessage } from '../../src/sandbox/agent-protocol/index.ts';
import { createStage, line, type Stage } from './agent-process.ts';
import { welcomedAgent, type ForgedAgent } from './forged-agent.ts';

/** For a machine that is busy with other tests. */
const WAITS = { timeout: 10_000 };

const FIRST = 2 ** 31;
const data = Uint8Array.of(1, 2, 3);
const exit = { code: 0, signal: 0 };
const { chunkBytes, streamBytes } = AGENT_LIMITS;
const full = Array.from({ length: streamBytes / chunkBytes }, (): AgentMessage => ({
  type: 'data',
  stream: 2,
  data: new Uint8Array(chunkBytes),
}));

async function bulkAgent(stage: Stage, link: AgentLink): Promise<ForgedAgent> {
  const agent = await welcomedAgent(stage.socketPath, { role: 'bulk' });
  await expect.poll(() => link.streams.isConnected, WAITS).toBe(true);
  return agent;
}

/** What may not be said where 1, 2 and 3 are a process that has been started, and 4 a connection that is being made. */
const FORGED: Record<string, AgentMessage[]> = {
  'a stream that nobody opened': [{ type: 'data', stream: 5, data }],
  'no stream at all': [{ type: 'finish', stream: 0 }],
  'an answer to no question': [{ type: 'started', stream: 2 }],
  'a second answer': [{ type: 'started', stream: 1 }],
  'a failure after the start': [{ type: 'unable', stream: 1, code: 'fork' }],
  'data of an input': [{ type: 'data', stream: 1, data }],
  'the end of an input': [{ type: 'finish', stream: 1 }],
  'more room than there can be': [{ type: 'more', stream: 1, bytes: 1 }],
  'room for an output': [{ type: 'more', stream: 2, bytes: 1 }],
  'no room at all': [{ type: 'more', stream: 4, bytes: 0 }],
  'more data than there is room for': [...full, { type: 'data', stream: 2, data }],
  'data after the end': [
    { type: 'finish', stream: 4 },
    { type: 'data', stream: 4, data },
  ],
  'two ends': [
    { type: 'finish', stream: 4 },
    { type: 'finish', stream: 4 },
  ],
  'the end of a process that never was': [{ type: 'ended', stream: 4, exit }],
  'two ends of a process': [
    { type: 'ended', stream: 1, exit },
    { type: 'ended', stream: 1, exit },
  ],
  "a stream of its own with the server's number": [{ type: 'incoming', stream: 77, listener: 'npm' }],
  'a number twice': [
    { type: 'incoming', stream: FIRST, listener: 'npm' },
    { type: 'incoming', stream: FIRST, listener: 'npm' },
  ],
  'a terminal': [{ type: 'opened', terminal: 1 }],
};

test.each(Object.entries(FORGED))('[AG-18] %s ends the bulk link, and its streams with it', async (_, messages) => {
  await using stage = await createStage();
  const link = await stage.link();
  const agent = await bulkAgent(stage, link);
  const spawning = link.streams.spawn(line('true'));
  const connecting = link.streams.connect(80);
  connecting.catch(() => {});
  await expect.poll(() => agent.heard.map(({ type }) => type), WAITS).toEqual(['welcome', 'spawn', 'connect']);
  agent.say({ type: 'started', stream: 1 });
  const child = await spawning;
  agent.say(...messages);
  await expect.poll(() => agent.refused(), WAITS).toBe('message');
  await expect(connecting).rejects.toMatchObject({ code: 'unavailable' });
  expect(link.streams.isConnected).toBe(false);
  expect(child.stdin.destroyed).toBe(true);

  const next = await bulkAgent(stage, link);
  const again = link.streams.connect(80);
  await expect.poll(() => next.heard.at(-1), WAITS).toEqual({ type: 'connect', stream: 1, port: 80 });
  next.say({ type: 'started', stream: 1 }, { type: 'data', stream: 1, data: Buffer.from('whole') });
  const stream = await again;
  stream.setEncoding('utf8');
  await expect.poll(() => stream.read() as unknown, WAITS).toBe('whole');
  next.end();
});

test('[AG-18] a bulk link names no terminals, and terminal links carry no streams', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  const state = { number: 1, id: 't', seq: 0, input: 0, taken: 0, columns: 80, rows: 24 };
  const named = await welcomedAgent(stage.socketPath, { role: 'bulk', terminals: [state] });
  await expect.poll(() => named.refused(), WAITS).toBe('message');
  const terminal = await welcomedAgent(stage.socketPath);
  await expect.poll(() => link.isConnected, WAITS).toBe(true);
  terminal.say({ type: 'incoming', stream: FIRST, listener: 'npm' });
  await expect.poll(() => terminal.refused(), WAITS).toBe('message');
});

test('[AG-5] [AG-25] a new bulk connection takes the place of the one before, and the terminal link stays', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  let connections = 0;
  link.streams.onConnected(() => connections++);
  const terminal = await welcomedAgent(stage.socketPath);
  const first = await bulkAgent(stage, link);
  const connecting = link.streams.connect(80);
  connecting.catch(() => {});
  const second = await bulkAgent(stage, link);
  await expect.poll(() => first.refused(), WAITS).toBe('replaced');
  await expect(connecting).rejects.toMatchObject({ code: 'unavailable' });
  expect([link.streams.isConnected, link.isConnected]).toEqual([true, true]);
  await expect.poll(() => connections, WAITS).toBe(2);
  for (const agent of [second, terminal]) agent.end();
  await expect.poll(() => link.streams.isConnected, WAITS).toBe(false);
});

test('[AG-23] an agent that is not read is granted nothing, and one that is gets it back', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  const taken: Duplex[] = [];
  link.streams.accept('npm', (stream) => taken.push(stream));
  const agent = await bulkAgent(stage, link);
  const grants = (): number[] =>
    agent.heard.flatMap((message) => (message.type === 'more' && message.stream === FIRST ? [message.bytes] : []));
  agent.say({ type: 'incoming', stream: FIRST, listener: 'npm' });
  for (const message of full) agent.say({ ...message, stream: FIRST } as AgentMessage);
  // What is said later has been handled later.
  agent.say({ type: 'incoming', stream: FIRST + 1, listener: 'nobody' });
  await expect.poll(() => agent.heard.at(-1), WAITS).toEqual({ type: 'reset', stream: FIRST + 1 });
  expect(grants()).toEqual([]);
  taken[0]?.resume();
  await expect.poll(() => grants().reduce((sum, bytes) => sum + bytes, 0), WAITS).toBe(streamBytes);
  // Of a stream that is over nothing is wrong any more.
  taken[0]?.destroy();
  agent.say({ type: 'data', stream: FIRST, data }, { type: 'more', stream: FIRST, bytes: 5 });
  agent.say({ type: 'finish', stream: FIRST + 1 }, { type: 'incoming', stream: FIRST + 2, listener: 'nobody' });
  await expect.poll(() => agent.heard.at(-1), WAITS).toEqual({ type: 'reset', stream: FIRST + 2 });
  agent.end();
});

test('[AG-24] streams of an agent beyond the limit are reset', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  let taken = 0;
  link.streams.accept('npm', () => taken++);
  const agent = await bulkAgent(stage, link);
  const { agentStreams } = AGENT_LIMITS;
  for (let i = 0; i <= agentStreams; i++) agent.say({ type: 'incoming', stream: FIRST + i, listener: 'npm' });
  await expect.poll(() => agent.heard.at(-1), WAITS).toEqual({ type: 'reset', stream: FIRST + agentStreams });
  expect(taken).toBe(agentStreams);
  agent.end();
});

test('[AG-17] more frames of streams in a second than allowed end the link', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  const agent = await bulkAgent(stage, link);
  const messages = Array.from({ length: 4 * AGENT_LIMITS.framesPerSecondTaken }, (_, i): AgentMessage => ({
    type: 'incoming',
    stream: FIRST + i,
    listener: 'npm',
  }));
  agent.say(...messages);
  await expect.poll(() => agent.isClosed(), WAITS).toBe(true);
});
