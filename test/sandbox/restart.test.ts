/** Servers come and go; terminals stay. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import type { AgentLinkEvents } from '../../src/sandbox/agent-link.ts';
import { spawnChild } from '../support/child.ts';
import { createStage, shell, view, type Stage } from './agent-process.ts';

const LINES = 18_000;
const COUNTER = `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo line $i; [ $((i % 200)) = 0 ] && sleep 0.01; done`;
const COUNTED = Array.from({ length: LINES }, (_, i) => `line ${i + 1}\r\n`).join('');

test('[AG-6] servers are killed amid the output, and the next one gets exactly what is missing', async () => {
  await using stage = await createStage();
  stage.agent();
  let seen = Buffer.alloc(0);
  for (const killAt of [1, 20_000, 70_000, 150_000, Infinity]) {
    seen = Buffer.concat([seen, await readUntil(stage, seen.length, killAt)]);
  }
  expect(seen.toString() === COUNTED).toBe(true);
});

/** Reads on in a new server process, until it has given so much in all and is killed, or to the end. */
async function readUntil(stage: Stage, after: number, killAt: number): Promise<Buffer> {
  const args = ['--import', './test/support/typescript.mjs', 'test/sandbox/server-end.ts'];
  const child = spawnChild(process.execPath, [...args, stage.directory, '1', String(after), COUNTER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const chunks: Buffer[] = [];
  let position = after;
  if (!child.stdout) throw new Error('No output');
  for await (const line of createInterface({ input: child.stdout })) {
    const [seq = '', data] = line.split(' ');
    if (data === undefined) {
      expect(line).toBe('exit');
      child.kill('SIGKILL');
      continue;
    }
    expect(Number(seq)).toBe(position);
    const chunk = Buffer.from(data, 'base64');
    chunks.push(chunk);
    position += chunk.length;
    if (position >= killAt) child.kill('SIGKILL');
  }
  await exited;
  return Buffer.concat(chunks);
}

test('[AG-6] what is typed while the agent is away arrives once, in order, and its size and end are told', async () => {
  await using stage = await createStage();
  const events: string[] = [];
  const link = await stage.link({
    events: { onConnected: () => events.push('connected'), onDisconnected: (code) => events.push(`gone ${code}`) },
  });
  stage.agent();
  await link.open(shell('t', 'while read line; do echo "got $line $(stty size)"; done'));
  const viewer = view(link, 't');
  for (let round = 0; round < 5; round++) {
    link.input('t', Buffer.from(`${round}a\n`));
    // Another server is there for a moment: the agent leaves this one and comes back to its successor.
    const other = await stage.link({ fence: 1 });
    await expect.poll(() => other.isConnected).toBe(true);
    expect(link.isConnected).toBe(false);
    link.input('t', Buffer.from(`${round}b\n`));
    link.resize('t', { columns: 80, rows: 30 + round });
    await other.stop();
    await link.listen();
    await viewer.sees(`got ${round}b`);
  }
  expect(viewer.text().match(/got \w+/g)).toEqual(
    Array.from({ length: 5 }, (_, round) => [`got ${round}a`, `got ${round}b`]).flat(),
  );
  expect(viewer.snapshots).toEqual([]);
  expect(events.filter((event) => event === 'connected').length).toBe(6);
});

test('[AG-4] the agent turns to the server with the highest fence and stays with it', async () => {
  await using stage = await createStage();
  let superseded = 0;
  const events: Partial<AgentLinkEvents> = { onSuperseded: () => superseded++ };
  const first = await stage.link({ fence: 1, events });
  stage.agent();
  await first.open(shell('t', 'read line; echo "got $line"'));
  const second = await stage.link({ fence: 2 });
  await expect.poll(() => second.isConnected, { timeout: 5_000 }).toBe(true);
  await expect.poll(() => first.isConnected).toBe(false);
  // It has the terminal, with what was said.
  await second.open(shell('t', 'echo never'));
  const viewer = view(second, 't');

  // The first one does not know yet and puts its socket there again: the agent tells it.
  await first.listen();
  await expect.poll(() => superseded, { timeout: 5_000 }).toBeGreaterThan(0);
  expect(first.isConnected).toBe(false);
  await second.listen();
  await expect.poll(() => second.isConnected, { timeout: 5_000 }).toBe(true);
  second.input('t', Buffer.from('hello\n'));
  await viewer.ends();
  expect(viewer.text()).toBe('hello\r\ngot hello\r\n');
});

test('[AG-6] the terminals of an agent that died are lost, and readers are told', async () => {
  await using stage = await createStage();
  const lost: string[] = [];
  const link = await stage.link({ events: { onLost: (id) => lost.push(id) } });
  const agent = stage.agent();
  await link.open(shell('t', 'echo hello; read line'));
  const viewer = view(link, 't');
  await viewer.sees('hello');
  await agent.end('SIGKILL');
  await expect.poll(() => link.isConnected).toBe(false);
  // Asked for while nobody is there.
  const opening = link.open(shell('u', 'echo new'));
  stage.agent();
  await opening;
  expect(lost).toEqual(['t']);
  expect(viewer.isLost()).toBe(true);
  expect(link.terminals().map(({ id }) => id)).toEqual(['u']);
  await view(link, 'u').sees('new');
});
