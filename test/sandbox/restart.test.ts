/** Servers come and go; terminals stay. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { AgentLinkEvents } from '../../src/sandbox/agent-link.ts';
import { randomOf } from '../support/random.ts';
import { createStage, shell, view, type Stage } from './agent-process.ts';
import { readUntilKilled } from './killed-server.ts';

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

/** Reads on in a new server process. */
const readUntil = (stage: Stage, after: number, killAt: number): Promise<Buffer> =>
  readUntilKilled('test/sandbox/server-end.ts', [stage.directory, '1', String(after), COUNTER], { after, killAt });

test('[AG-6] a link that is cut again and again, amid frames, loses and doubles nothing either way', async () => {
  await using stage = await createStage();
  await using cable = await createCable(stage.socketPath);
  const events: string[] = [];
  const link = await stage.link({
    events: { onConnected: () => events.push('connected'), onDisconnected: () => events.push('gone') },
  });
  stage.agent([], cable.path);
  await link.open(shell('echo', 'stty -echo; while read line; do echo "$line"; done'));
  await link.open(shell('counter', COUNTER));
  const [echo, counter] = [view(link, 'echo'), view(link, 'counter', { creditBytes: 20_000 })];
  const random = randomOf(6);
  const typed: string[] = [];
  for (let round = 0; round < 12; round++) {
    cable.cutAfter(random(30_000));
    for (let i = 0; i < 20; i++) {
      typed.push(`typed ${typed.length}`);
      link.input('echo', Buffer.from(`${typed.at(-1)}\n`));
    }
    link.resize('echo', { columns: 80, rows: 30 + round });
    if (round % 3 === 0) cable.cutAfter(0);
    await echo.sees(`${typed.at(-1)}\r\n`);
  }
  await counter.ends();
  expect(counter.text() === COUNTED).toBe(true);
  expect(echo.text()).toBe(typed.map((line) => `${line}\r\n`).join(''));
  expect(counter.snapshots).toEqual([]);
  expect(events.filter((event) => event === 'gone').length).toBeGreaterThan(4);
});

interface Cable extends AsyncDisposable {
  /** Where an agent connects instead. */
  path: string;
  /** Cuts the connection when so many more bytes have come from the agent. */
  cutAfter(bytes: number): void;
}

/** Between an agent and its server, and not to be relied on. */
async function createCable(serverPath: string): Promise<Cable> {
  const path = `${serverPath}.cable`;
  const sockets = new Set<Socket>();
  let leftBytes = Infinity;
  const cut = (): void => {
    leftBytes = Infinity;
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((agent) => {
    const end = connect(serverPath);
    for (const [from, to] of [
      [agent, end],
      [end, agent],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('data', (piece) => {
        const passed = from === agent ? piece.subarray(0, Math.min(piece.length, leftBytes)) : piece;
        to.write(passed);
        if (from !== agent) return;
        leftBytes -= passed.length;
        // What has passed arrives, then it is cut.
        if (leftBytes <= 0) to.end(cut);
      });
    }
  });
  server.listen(path);
  await once(server, 'listening');
  return {
    path,
    cutAfter(bytes) {
      leftBytes = bytes;
      if (bytes === 0) cut();
    },
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
    },
  };
}

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

  // Another with the old fence, which does not know yet: the agent tells it.
  await stage.link({ fence: 1, events });
  await expect.poll(() => superseded, { timeout: 5_000 }).toBeGreaterThan(0);
  await expect.poll(() => second.isConnected).toBe(false);
  second.input('t', Buffer.from('hello\n'));
  const third = await stage.link({ fence: 3 });
  await expect.poll(() => third.isConnected, { timeout: 5_000 }).toBe(true);
  // What was typed at a server that the agent never came back to is not known to its successor.
  third.input('t', Buffer.from('bye\n'));
  const viewer = view(third, 't');
  await viewer.ends();
  expect(viewer.text()).toBe('bye\r\ngot bye\r\n');
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
