/** Terminals in containers, through whole server processes: shared by people on two nodes, and outliving the server. */
import type { Socket } from 'socket.io-client';
import { describe, expect, test, vi } from 'vitest';
import { call } from '../support/calls.ts';
import { hasRedis } from '../support/redis.ts';
import { startDockerCluster } from './deployments.ts';

vi.setConfig({ testTimeout: 120_000 });

interface Piece {
  terminalId: string;
  offset: number;
  data: Uint8Array;
}

/** What somebody has seen of a terminal, over as many connections as it takes. */
class Seen {
  offset = 0;
  readonly #parts: Buffer[] = [];
  ended = false;

  text(): string {
    return Buffer.concat(this.#parts).toString();
  }

  /** Goes on at the byte after the last. A gap or an overlap is an error. */
  async attach(socket: Socket, terminalId: string): Promise<void> {
    // Until the answer is there, what comes may be of the attachment before.
    const early: Piece[] = [];
    let take = (piece: Piece): void => void early.push(piece);
    const onOutput = (piece: Piece): void => {
      if (piece.terminalId === terminalId) take(piece);
    };
    socket.on('terminal:output', onOutput);
    socket.on('terminal:exited', (end: { terminalId: string }) => {
      if (end.terminalId === terminalId) this.ended = true;
    });
    try {
      const { chunks, snapshot } = await call(socket, 'terminal:attach', { terminalId, after: this.offset });
      if (snapshot) throw new Error('The output was no longer kept');
      for (const chunk of chunks) this.#take(chunk);
      for (const piece of early) if (piece.offset >= this.offset) this.#take(piece);
      take = (piece) => this.#take(piece);
    } catch (error) {
      socket.off('terminal:output', onOutput);
      throw error;
    }
  }

  #take({ offset, data }: { offset: number; data: Uint8Array }): void {
    if (offset !== this.offset) throw new Error(`Output of ${offset} where ${this.offset} was to come`);
    this.#parts.push(Buffer.from(data));
    this.offset += data.length;
  }
}

const LINES = 1_500;
/** Counts slowly enough for a server to die amid it. */
const COUNT = `for n in $(seq ${LINES}); do echo "line $n"; sleep 0.005; done`;
const wanted = [...Array(LINES).keys()].map((n) => String(n + 1));
const linesOf = (text: string): string[] => [...text.matchAll(/line (\d+)\r/g)].map(([, n = '']) => n);

test('[TM-2] [SB-2] a server killed while a shell counts: no line is missing or doubled', async () => {
  await using world = await startDockerCluster({ nodes: 1, redis: false });
  const [node] = world.cluster.nodes;
  const people = world.cluster.world();
  const person = await people.person('Ada');
  const before = await people.socket(person);
  const { project } = await call(before, 'project:create', { name: 'A project', template: 'empty' });
  const { terminalId } = await call(before, 'terminal:open', {
    projectId: project.id,
    cols: 80,
    rows: 24,
    command: COUNT,
  });
  const seen = new Seen();
  await seen.attach(before, terminalId);
  await expect.poll(() => seen.text(), { timeout: 20_000 }).toContain('line 100\r');
  await node?.kill();
  before.close();
  await node?.restart();
  const after = await people.socket(person);
  // A node that was killed is known to be dead after some seconds.
  await expect
    .poll(
      () =>
        seen.attach(after, terminalId).then(
          () => true,
          () => false,
        ),
      { timeout: 30_000, interval: 500 },
    )
    .toBe(true);
  await expect.poll(() => seen.ended, { timeout: 60_000 }).toBe(true);
  expect(linesOf(seen.text())).toEqual(wanted);
});

describe.runIf(hasRedis())('two nodes', () => {
  test('[TM-17] two people on two nodes see identical bytes, also one who was away for a while', async () => {
    await using world = await startDockerCluster({ nodes: 2 });
    const [here, there] = [world.cluster.world(0), world.cluster.world(1)];
    const [ada, ben] = [await here.person('Ada'), await there.person('Ben')];
    const [a, b] = [await here.socket(ada), await there.socket(ben)];
    const { project } = await call(a, 'project:create', { name: 'A project', template: 'empty' });
    await call(a, 'project:add-member', { projectId: project.id, userId: ben.id, role: 'editor' });
    const { terminalId } = await call(a, 'terminal:open', { projectId: project.id, cols: 80, rows: 24 });
    const [first, second] = [new Seen(), new Seen()];
    await first.attach(a, terminalId);
    await second.attach(b, terminalId);
    await call(b, 'terminal:input', { terminalId, data: `${COUNT}; exit\n` });
    await expect.poll(() => second.text(), { timeout: 20_000 }).toContain('line 100\r');
    b.close();
    await expect.poll(() => first.text(), { timeout: 20_000 }).toContain('line 400\r');
    await second.attach(await there.socket(ben), terminalId);
    await expect.poll(() => [first.ended, second.ended], { timeout: 60_000 }).toEqual([true, true]);
    expect(second.text()).toBe(first.text());
    expect(linesOf(first.text())).toEqual(wanted);
  });
});
