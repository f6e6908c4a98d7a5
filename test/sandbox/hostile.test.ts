/** Whatever comes over the link ends it at the most: with a code, and without harm to anything else. */
import { stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import {
  AGENT_LIMITS,
  encodeAgentMessage,
  encodeFrame,
  type AgentMessage,
  type Hello,
} from '../../src/sandbox/agent-protocol/index.ts';
import { randomOf } from '../support/random.ts';
import { createStage, shell, view } from './agent-process.ts';
import { forgeAgent, HELLO, welcomedAgent } from './forged-agent.ts';

test('[AG-3] the socket is for the agent alone: its directory 0710, itself 0660', async () => {
  await using stage = await createStage();
  await stage.link();
  expect((await stat(stage.directory)).mode & 0o777).toBe(0o710);
  expect((await stat(stage.socketPath)).mode & 0o777).toBe(0o660);
});

test('[AG-3] a hello with the wrong secret, version or fence is refused with its code', async () => {
  await using stage = await createStage();
  let superseded = 0;
  const link = await stage.link({ fence: 5, events: { onSuperseded: () => superseded++ } });
  const refusals: [Partial<Hello>, string][] = [
    [{ secret: 'a guess' }, 'secret'],
    [{ version: 2 }, 'version'],
    [{ fence: 6 }, 'superseded'],
    // Nobody learns by the fence whether the secret is right.
    [{ fence: 6, secret: 'a guess' }, 'secret'],
  ];
  for (const [hello, code] of refusals) {
    const agent = await welcomedAgent(stage.socketPath, hello);
    await expect.poll(() => agent.refused()).toBe(code);
    await expect.poll(() => agent.isClosed()).toBe(true);
  }
  expect(superseded).toBe(1);
  expect(link.isConnected).toBe(false);
  const agent = await welcomedAgent(stage.socketPath, { fence: 5 });
  await expect.poll(() => agent.heard).toEqual([{ type: 'welcome', fence: 5 }]);
  agent.end();
});

test('[AG-3] who says nothing is sent away, and few may try at once', async () => {
  await using stage = await createStage();
  await stage.link();
  const silent = await Promise.all([1, 2, 3, 4].map(() => forgeAgent(stage.socketPath)));
  const fifth = await forgeAgent(stage.socketPath);
  await expect.poll(() => fifth.isClosed()).toBe(true);
  for (const agent of silent) await expect.poll(() => agent.refused(), { timeout: 10_000 }).toBe('timeout');
  const agent = await welcomedAgent(stage.socketPath);
  await expect.poll(() => agent.heard.length).toBe(1);
  agent.end();
});

test('[AG-5] a new connection of the agent takes the place of the one before', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  const first = await welcomedAgent(stage.socketPath);
  await expect.poll(() => link.isConnected).toBe(true);
  const second = await welcomedAgent(stage.socketPath);
  await expect.poll(() => first.refused()).toBe('replaced');
  expect(link.isConnected).toBe(true);
  second.end();
  await expect.poll(() => link.isConnected).toBe(false);
});

const size = { columns: 80, rows: 24 };
const OPEN = { number: 1, id: 't', seq: 100, input: 10, taken: 10, ...size };
const exit = { code: 0, signal: 0 };
const data = Uint8Array.of(1, 2, 3);
/** What the attachment 2 of the terminal 1, which reads from 100 on with a credit of 10 bytes, may not get. */
const FORGED: Record<string, AgentMessage[]> = {
  'a second hello': [{ type: 'hello', hello: HELLO }],
  'output with a hole before it': [{ type: 'output', attachment: 2, seq: 101, data }],
  'output again': [
    { type: 'output', attachment: 2, seq: 100, data },
    { type: 'output', attachment: 2, seq: 100, data },
  ],
  'more output than was asked for': [{ type: 'output', attachment: 2, seq: 100, data: new Uint8Array(11) }],
  'output for nobody': [{ type: 'output', attachment: 9, seq: 0, data }],
  'an end before the end': [{ type: 'end', attachment: 2, seq: 200, exit }],
  'parts of a snapshot in another order': [
    { type: 'snapshot', attachment: 2, seq: 0, ...size, totalBytes: 6, offset: 3, data },
  ],
  'something amid a snapshot': [
    { type: 'snapshot', attachment: 2, seq: 0, ...size, totalBytes: 6, offset: 0, data },
    { type: 'taken', terminal: 1, input: 10 },
  ],
  'a snapshot without credit': [
    { type: 'snapshot', attachment: 2, seq: 0, ...size, totalBytes: 11, offset: 0, data: new Uint8Array(11) },
    { type: 'snapshot', attachment: 2, seq: 0, ...size, totalBytes: 3, offset: 0, data },
  ],
  'input that was never sent': [{ type: 'taken', terminal: 1, input: 11 }],
  'less input than before': [{ type: 'taken', terminal: 1, input: 9 }],
  'a terminal that nobody opened': [{ type: 'opened', terminal: 77 }],
  'an open terminal that failed': [{ type: 'failed', terminal: 1, code: 'fork', message: '' }],
  'a terminal closed unasked': [{ type: 'closed', terminal: 1 }],
  'two exits': [
    { type: 'exited', terminal: 1, seq: 100, exit },
    { type: 'exited', terminal: 1, seq: 100, exit },
  ],
  'a killing that nobody asked for': [{ type: 'killed', request: 3, processes: 1 }],
  'a count that nobody asked for': [{ type: 'counted', request: 3, bytes: 1 }],
};

test.each(Object.entries(FORGED))('[AG-18] %s ends the link, and the next one is whole', async (_, messages) => {
  await using stage = await createStage();
  const codes: unknown[] = [];
  const link = await stage.link({ events: { onDisconnected: (code) => codes.push(code) } });
  const agent = await welcomedAgent(stage.socketPath, { terminals: [OPEN] });
  await expect.poll(() => link.isConnected).toBe(true);
  const viewer = view(link, 't', { after: 100, creditBytes: 10, keepsUp: false });
  agent.say(...messages);
  await expect.poll(() => agent.refused()).toBe('message');
  expect(codes).toEqual(['message']);

  const after = viewer.position();
  const next = await welcomedAgent(stage.socketPath, { terminals: [{ ...OPEN, seq: 200 }] });
  await expect.poll(() => next.heard.find(({ type }) => type === 'attach')).toMatchObject({ attachment: 2, after });
  viewer.grant(10);
  next.say({ type: 'output', attachment: 2, seq: after, data: Buffer.from('good') });
  await viewer.sees('good');
  next.end();
});

test('[AG-18] a hello that claims what cannot be ends the link', async () => {
  await using stage = await createStage();
  await stage.link();
  const hellos: Hello['terminals'][] = [
    [OPEN, { ...OPEN, id: 'other' }],
    [OPEN, { ...OPEN, number: 2 }],
  ];
  for (const terminals of hellos) {
    const agent = await welcomedAgent(stage.socketPath, { terminals });
    await expect.poll(() => agent.refused()).toBe('message');
  }
  const first = await welcomedAgent(stage.socketPath, { terminals: [OPEN] });
  await expect.poll(() => first.heard.length).toBe(1);
  // It was further already, and it has input that it was never sent.
  for (const wrong of [{ taken: 9 }, { input: 11 }, { id: 'u' }]) {
    const agent = await welcomedAgent(stage.socketPath, { terminals: [{ ...OPEN, ...wrong }] });
    await expect.poll(() => agent.refused()).toBe('message');
  }
});

test('[AG-18] garbage and oversized frames end a connection at once and harm no terminal of the real agent', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(shell('t', 'while read line; do echo "got $line"; done'));
  const viewer = view(link, 't');
  const random = randomOf(18);
  for (let round = 0; round < 20; round++) {
    const garbage = Uint8Array.from({ length: 1 + random(3_000) }, () => random(256));
    // No length that could be one, whose bytes would be waited for.
    garbage[0] = 1;
    const agent = await forgeAgent(stage.socketPath);
    agent.write(Buffer.concat([garbage, new Uint8Array(4)]));
    await expect.poll(() => agent.refused()).toBe('frame');
  }
  const large = await forgeAgent(stage.socketPath);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(AGENT_LIMITS.payloadBytes + 6);
  large.write(header);
  await expect.poll(() => large.refused()).toBe('frame');
  const early = await forgeAgent(stage.socketPath);
  early.say({ type: 'output', attachment: 2, seq: 0, data });
  await expect.poll(() => early.refused()).toBe('message');
  const backwards = await forgeAgent(stage.socketPath);
  backwards.write(encodeFrame({ type: 65, channel: 0, payload: Buffer.from('{"version":1,"fence":0}') }));
  await expect.poll(() => backwards.refused()).toBe('frame');

  link.input('t', Buffer.from('hello\n'));
  await viewer.sees('got hello');
});

test('[AG-17] more frames in a second than allowed end the link', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  const agent = await welcomedAgent(stage.socketPath, { terminals: [OPEN] });
  await expect.poll(() => link.isConnected).toBe(true);
  const frame = encodeAgentMessage({ type: 'taken', terminal: 1, input: 10 });
  agent.write(Buffer.concat(Array.from({ length: 3 * AGENT_LIMITS.framesPerSecondTaken }, () => frame)));
  await expect.poll(() => agent.refused()).toBe('flood');
});
