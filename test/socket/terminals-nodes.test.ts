/** Terminals whose viewers and sandbox are on different nodes, and change nodes. */
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { randomOf } from '../support/random.ts';
import { createStand, eventually, type Member, type Screen } from './terminals-setup.ts';

/** What `seq` prints on a terminal. */
const counted = (last: number): string => Array.from({ length: last }, (_, n) => `${n + 1}\r\n`).join('');

test('[TM-17] viewers on two nodes share a terminal: its bytes, its size and its end', async () => {
  await using stand = await createStand({ nodes: 2 });
  const here = await stand.join('owner', 0);
  const there = await stand.join('editor', 1);
  const mine = await here.open({ command: 'read line; seq 1 60000; read line; stty size; echo done', cols: 90 });
  const { terminalId } = mine;
  const theirs = await there.attach(terminalId, { cols: 70, rows: 30 });
  expect(theirs.attached.size).toEqual({ cols: 70, rows: 24 });
  await there.call('terminal:input', { terminalId, data: 'go\n' });
  await theirs.sees('60000\r\n');
  await here.call('terminal:input', { terminalId, data: '\n' });
  for (const screen of [mine, theirs]) {
    await screen.ends();
    expect(screen.text() === `go\r\n${counted(60_000)}\r\n24 70\r\ndone\r\n`).toBe(true);
    expect(screen.runs.length).toBe(1);
    expect(screen.wrong).toEqual([]);
  }
  expect(here.heard('terminal:resized')).toEqual([{ terminalId, size: { cols: 70, rows: 24 } }]);
  // All that is asked reaches the sandbox's node.
  const opened = await there.open({ command: 'sleep 100' });
  const { items } = await there.call('terminal:list', { projectId: stand.projectId });
  expect(items.map((item) => item.terminalId)).toEqual([terminalId, opened.terminalId]);
  await there.call('terminal:signal', { terminalId: opened.terminalId, signal: 'SIGTERM' });
  await opened.ends();
  expect(opened.end()).toMatchObject({ signal: 'SIGTERM' });
  await there.call('terminal:close', { terminalId });
  await expect(there.call('terminal:attach', { terminalId })).rejects.toMatchObject({ code: 'not_found' });
});

test('[TM-17] a node that dies takes the sizes of its writers with it', async () => {
  await using stand = await createStand({ nodes: 2 });
  const here = await stand.join('owner', 0);
  const there = await stand.join('editor', 1);
  const mine = await here.open({ command: 'sleep 100' });
  await there.attach(mine.terminalId, { cols: 20, rows: 10 });
  await eventually(() => here.heard('terminal:resized').length).toBe(1);
  expect(here.heard('terminal:resized').at(-1)).toMatchObject({ size: { cols: 20, rows: 10 } });
  stand.kill(1);
  await eventually(() => here.heard('terminal:resized').at(-1)).toMatchObject({ size: { cols: 80, rows: 24 } });
});

test('[TM-18] when the sandbox goes to another node viewers miss nothing and get nothing twice', async () => {
  await using stand = await createStand({ nodes: 2 });
  const here = await stand.join('owner', 0);
  const there = await stand.join('editor', 1);
  const mine = await here.open({
    command: 'for n in $(seq 1 3000); do echo $n; sleep 0.001; done; stty size',
    cols: 90,
  });
  const theirs = await there.attach(mine.terminalId, { cols: 70, rows: 24 });
  for (const node of [1, 0, 1]) {
    const reached = mine.position();
    await eventually(mine.position).toBeGreaterThan(reached + 500);
    await stand.moveTo(node);
  }
  for (const screen of [mine, theirs]) {
    await screen.ends();
    expect(screen.text() === `${counted(3_000)}24 70\r\n`).toBe(true);
    expect(screen.runs.length).toBe(1);
    expect(screen.wrong).toEqual([]);
  }
});

test('[TM-19] a terminal that goes with its sandbox ends as lost', async () => {
  await using stand = await createStand({ nodes: 2 });
  const here = await stand.join('owner', 0);
  const there = await stand.join('viewer', 1);
  const mine = await here.open({ command: 'echo ready; sleep 100' });
  const theirs = await there.attach(mine.terminalId);
  await theirs.sees('ready');
  await stand.lose();
  for (const screen of [mine, theirs]) {
    await screen.ends();
    expect(screen.end()).toEqual({ terminalId: mine.terminalId, code: null, signal: null, reason: 'lost' });
  }
  await expect(there.call('terminal:attach', { terminalId: mine.terminalId })).rejects.toMatchObject({
    code: 'not_found',
  });
  expect((await there.call('terminal:list', { projectId: stand.projectId })).items).toEqual([]);
});

test('[TM-19] so do those of an agent that comes back without them', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const mine = await owner.open({ command: 'echo ready; sleep 100' });
  await mine.sees('ready');
  await stand.agent.end('SIGKILL');
  stand.stage.agent();
  await mine.ends();
  expect(mine.end()).toMatchObject({ code: null, signal: null, reason: 'lost' });
});

test('[TM-20] nodes that do not hear each other for a while go on where they were', async () => {
  await using stand = await createStand({ nodes: 2 });
  const here = await stand.join('owner', 0);
  const there = await stand.join('editor', 1);
  const mine = await here.open({ command: 'while read line; do echo "got $line"; done' });
  const { terminalId } = mine;
  const theirs = await there.attach(terminalId);
  const heal = stand.network.cut();
  // Whether it was typed is not known to whoever typed it, and it is not typed again.
  await expect(there.call('terminal:input', { terminalId, data: 'lost\n' })).rejects.toMatchObject({ code: 'timeout' });
  await here.call('terminal:input', { terminalId, data: 'one\n' });
  await mine.sees('got one');
  heal();
  await there.call('terminal:input', { terminalId, data: 'two\n' });
  await mine.sees('got two');
  await theirs.sees('got two');
  expect(theirs.text()).toBe(mine.text());
  expect(mine.text()).not.toContain('lost');
  expect([...mine.wrong, ...theirs.wrong]).toEqual([]);
});

interface Watching {
  member: Member;
  screen: Screen;
  credits: number | undefined;
  isReading: boolean;
}

test.each([1, 2])(
  '[TM-21] viewers that come, go, lag and resume while a program floods have what it wrote, apart from snapshots (seed %i)',
  async (seed) => {
    const random = randomOf(seed);
    await using stand = await createStand({ nodes: 2 });
    const owner = await stand.join('owner', 0);
    const last = 200_000;
    const line = `for part in $(seq 1 20); do seq $((part * 10000 - 9999)) $((part * 10000)); sleep 0.1; done`;
    const { terminalId } = await owner.open({ command: `read line; ${line}; read line` });
    const all = `\r\n${counted(last)}`;
    const finished: Screen[] = [];
    let watching: Watching[] = [];

    const come = async (after: number, member?: Member): Promise<void> => {
      const from = member ?? (await stand.join(random(2) === 0 ? 'viewer' : 'editor', random(2)));
      const credits = random(2) === 0 ? 1 + random(100_000) : undefined;
      const screen = await from.attach(terminalId, { after, ...(credits === undefined ? {} : { credits }) });
      watching.push({ member: from, screen, credits, isReading: true });
    };
    const actions: (() => Promise<void>)[] = [
      () => come(0),
      () => come(random(all.length)),
      async () => {
        // Goes, and is back at its position on another connection.
        const [gone] = watching.splice(random(watching.length), 1);
        if (!gone) return;
        gone.member.socket.close();
        finished.push(gone.screen);
        await come(gone.screen.position());
      },
      async () => {
        // Attaches again on the same one.
        const again = watching[random(watching.length)];
        if (!again?.isReading) return;
        watching.splice(watching.indexOf(again), 1);
        finished.push(again.screen);
        const credits = random(2) === 0 ? 1 + random(100_000) : undefined;
        const former = again.screen;
        const after = former.position();
        const screen = await again.member.attach(
          terminalId,
          { after, ...(credits === undefined ? {} : { credits }) },
          former,
        );
        watching.push({ member: again.member, screen, credits, isReading: true });
      },
      async () => {
        const one = watching[random(watching.length)];
        if (one?.isReading) one.member.stopReading();
        if (one) one.isReading = false;
      },
      async () => {
        for (const one of watching) {
          if (!one.isReading) one.member.readOn();
          one.isReading = true;
        }
      },
      () => stand.moveTo(random(2)),
    ];
    /** Viewers with credits grant what they used, as a client that keeps up does. */
    const granting = new AbortController();
    const grants = (async () => {
      while (!granting.signal.aborted) {
        for (const { member, credits, isReading } of watching) {
          if (credits === undefined || !isReading) continue;
          await member.call('terminal:credit', { terminalId, credits }).catch(() => {});
        }
        await wait(10);
      }
    })();

    await come(0);
    await owner.call('terminal:input', { terminalId, data: '\n' });
    for (let step = 0; step < 30; step++) {
      await actions[random(actions.length)]?.();
      await wait(random(40));
    }
    for (const one of watching) if (!one.isReading) one.member.readOn();
    watching = watching.map((one) => ({ ...one, isReading: true }));
    for (const { screen } of watching) await eventually(screen.position).toBe(all.length);
    granting.abort();
    await grants;

    for (const screen of [...finished, ...watching.map((one) => one.screen)]) {
      expect(screen.wrong).toEqual([]);
      for (const run of screen.runs) {
        expect(all.slice(run.from, run.from + run.data.length) === run.data.toString(), `from ${run.from}`).toBe(true);
      }
    }
    // Nobody is left of those who went.
    for (const { member } of watching) member.socket.close();
    owner.socket.close();
    await eventually(() => stand.nodes.map(({ feature }) => feature.watched())).toEqual([0, 0]);
  },
  60_000,
);
