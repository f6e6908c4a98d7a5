/** Terminals through real gateways, sockets and shells. */
import { mkdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/protocol/index.ts';
import { codeOf } from '../support/calls.ts';
import { createStand, eventually } from './terminals-setup.ts';

/** What `seq` prints on a terminal. */
const counted = (last: number): string => Array.from({ length: last }, (_, n) => `${n + 1}\r\n`).join('');

test('[TM-1] a terminal is opened, typed into and ends; its opener and a viewer get the same bytes', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const viewer = await stand.join('viewer');
  const mine = await owner.open({ command: 'read line; echo "got $line"; exit 3' });
  const theirs = await viewer.attach(mine.terminalId);
  await owner.call('terminal:input', { terminalId: mine.terminalId, data: 'hello\n' });
  for (const screen of [mine, theirs]) {
    await screen.ends();
    expect(screen.text()).toBe('hello\r\ngot hello\r\n');
    expect(screen.end()).toMatchObject({ code: 3, signal: null });
    expect(screen.wrong).toEqual([]);
  }
});

test('[TM-2] what was missed comes back to the byte, however it is cut', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const { terminalId, ...first } = await owner.open({ command: 'seq 1 9000; read line; seq 1 100' });
  const all = counted(9_000);
  await eventually(first.position).toBe(all.length);
  for (const after of [0, 1, 777, all.length - 1, all.length]) {
    const again = await owner.attach(terminalId, { after });
    await eventually(again.position).toBe(all.length);
    expect(again.text()).toBe(all.slice(after));
    expect(again.attached.chunks.length).toBeLessThanOrEqual(8);
    expect(again.wrong).toEqual([]);
  }
  const member = await stand.join('viewer');
  const late = await member.attach(terminalId, { after: 5_000 });
  await owner.call('terminal:input', { terminalId, data: '\n' });
  await late.ends();
  expect(late.text()).toBe(`${all.slice(5_000)}\r\n${counted(100)}`);
  // Of a terminal that has ended there is all that is kept, and its end.
  const past = await member.attach(terminalId, { after: 10 });
  await past.ends();
  expect(past.text()).toBe(`${all.slice(10)}\r\n${counted(100)}`);
  expect(past.wrong).toEqual([]);
});

test('[TM-3] who asks for what is no longer kept, or not there yet, gets the screen, and the output that follows it', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const { terminalId, ...first } = await owner.open({ command: 'seq 1 100000; read line; echo done' });
  const all = counted(100_000);
  await eventually(first.position).toBe(all.length);
  const other = await stand.join('viewer');
  for (const after of [0, 1e12]) {
    const screen = await other.attach(terminalId, { after });
    await screen.sees('100000');
    const run = screen.runs.at(-1);
    expect(run?.snapshot?.toString()).toContain('99999');
    expect(run?.data.toString()).toBe(all.slice(run?.from));
    expect(screen.wrong).toEqual([]);
  }
});

test('[TM-4] a viewer without credits that does not read is left behind, not closed, and gets the screen when it reads on', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const slow = await stand.join('viewer');
  // Megabytes wait in the kernel before any wait here: one program writes them, not one for each thousand lines.
  const mine = await owner.open({ command: 'read line; exec yes "$(seq 1 1000)"' });
  const theirs = await slow.attach(mine.terminalId);
  slow.stopReading();
  await owner.call('terminal:input', { terminalId: mine.terminalId, data: '\n' });
  const waitingBytes = (): number => stand.nodes[0]?.gateway.outboundBytes() ?? 0;
  await eventually(waitingBytes).toBeGreaterThanOrEqual(LIMITS.terminalBacklogBytes);
  const reached = mine.position();
  await eventually(mine.position).toBeGreaterThan(reached + 2 * LIMITS.terminalRingBytes);
  expect(waitingBytes()).toBeLessThan(LIMITS.outboundBytes);
  slow.readOn();
  await eventually(() => theirs.runs.length).toBeGreaterThan(1);
  await owner.call('terminal:close', { terminalId: mine.terminalId });
  await Promise.all([mine.ends(), theirs.ends()]);
  const all = `\r\n${counted(1_000).repeat(mine.position() / counted(1_000).length + 1)}`;
  expect(mine.runs.length).toBe(1);
  expect(all.startsWith(mine.text())).toBe(true);
  for (const run of theirs.runs) expect(all.startsWith(run.data.toString(), run.from)).toBe(true);
  expect([...mine.wrong, ...theirs.wrong]).toEqual([]);
});

test('[TM-5] when nobody reads, programs run on without them after a while', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const progress = `${stand.workDir}/progress`;
  const mine = await owner.open({
    command: `read line; part=0; while :; do seq 1 20000; part=$((part + 1)); echo $part > ${progress}; done`,
  });
  owner.stopReading();
  const other = await stand.join('editor');
  await other.call('terminal:input', { terminalId: mine.terminalId, data: '\n' });
  const waitingBytes = (): number => stand.nodes[0]?.gateway.outboundBytes() ?? 0;
  await eventually(waitingBytes).toBeGreaterThanOrEqual(LIMITS.terminalBacklogBytes);
  const partsOf = async (): Promise<number> => Number(await readFile(progress, 'utf8'));
  const reached = await partsOf();
  // Half a megabyte more, which nobody takes.
  await eventually(partsOf).toBeGreaterThan(reached + 5);
  expect(waitingBytes()).toBeLessThan(LIMITS.outboundBytes);
});

test('[TM-6] a viewer with credits is sent no more than it granted, and programs wait for it', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const mine = await owner.open({ command: 'read line; seq 1 200000; echo done', credits: 1_000 });
  const { terminalId } = mine;
  await owner.call('terminal:input', { terminalId, data: '\n' });
  await eventually(mine.position).toBe(1_000);
  const all = `\r\n${counted(200_000)}done\r\n`;
  let granted = 1_000;
  while (!mine.end()) {
    await eventually(() => mine.end() !== undefined || mine.position() === granted).toBe(true);
    expect(mine.position()).toBeLessThanOrEqual(granted);
    granted += 100_000;
    // It may have ended meanwhile.
    await owner.call('terminal:credit', { terminalId, credits: 100_000 }).catch(() => {});
  }
  expect(mine.text() === all).toBe(true);
  expect(mine.runs.length).toBe(1);
  const free = await owner.open({ command: 'sleep 100' });
  await expect(owner.call('terminal:credit', { terminalId: free.terminalId, credits: 1 })).rejects.toMatchObject({
    code: 'conflict',
  });
});

test('[TM-7] the terminal is as small as the smallest of its writers; who only watches does not count', async () => {
  await using stand = await createStand();
  const [owner, editor, viewer] = [await stand.join('owner'), await stand.join('editor'), await stand.join('viewer')];
  const mine = await owner.open({ command: 'bash --norc -i', cols: 100, rows: 40 });
  const { terminalId } = mine;
  const theirs = await editor.attach(terminalId, { cols: 120, rows: 30 });
  expect(theirs.attached.size).toEqual({ cols: 100, rows: 30 });
  const watching = await viewer.attach(terminalId, { cols: 10, rows: 5 });
  expect(watching.attached.size).toEqual({ cols: 100, rows: 30 });
  expect(await owner.call('terminal:resize', { terminalId, cols: 90, rows: 50 })).toEqual({
    size: { cols: 90, rows: 30 },
  });
  await expect(viewer.call('terminal:resize', { terminalId, cols: 1, rows: 1 })).rejects.toMatchObject({
    code: 'forbidden',
  });
  await owner.call('terminal:input', { terminalId, data: 'stty size\n' });
  await mine.sees('30 90');
  editor.socket.close();
  await eventually(() => viewer.heard('terminal:resized').at(-1)).toEqual({ terminalId, size: { cols: 90, rows: 50 } });
  await owner.call('terminal:input', { terminalId, data: 'stty size\n' });
  await mine.sees('50 90');
  expect(viewer.heard('terminal:resized').length).toBe(2);
});

test('[TM-23] who detaches hears nothing more and does not count; the terminal runs on', async () => {
  await using stand = await createStand();
  const [owner, editor] = [await stand.join('owner'), await stand.join('editor')];
  const mine = await owner.open({ command: 'cat', cols: 100, rows: 40 });
  const { terminalId } = mine;
  const theirs = await editor.attach(terminalId, { cols: 50, rows: 20 });
  await editor.call('terminal:detach', { terminalId });
  await editor.call('terminal:detach', { terminalId });
  await eventually(() => owner.heard('terminal:resized').at(-1)).toMatchObject({ size: { cols: 100, rows: 40 } });
  await editor.call('terminal:input', { terminalId, data: 'one\n' });
  await mine.sees('one\r\none');
  expect(theirs.text()).toBe('');
  const again = await editor.attach(terminalId, { after: theirs.position() });
  await again.sees('one\r\none');
  await owner.call('terminal:detach', { terminalId });
  await expect(owner.call('terminal:credit', { terminalId, credits: 1 })).rejects.toMatchObject({ code: 'not_found' });
});

test('[TM-8] viewers watch; only editors and the owner open, type, resize, signal, close and record', async () => {
  await using stand = await createStand();
  const [owner, viewer, stranger] = [
    await stand.join('owner'),
    await stand.join('viewer'),
    await stand.join(undefined),
  ];
  const { terminalId } = await owner.open({ command: 'sleep 100' });
  const refused: [Parameters<typeof viewer.call>[0], object][] = [
    ['terminal:open', { projectId: stand.projectId, cols: 80, rows: 24 }],
    ['terminal:input', { terminalId, data: 'x' }],
    ['terminal:resize', { terminalId, cols: 1, rows: 1 }],
    ['terminal:signal', { terminalId, signal: 'SIGINT' }],
    ['terminal:close', { terminalId }],
    ['terminal:recording', { terminalId, on: true }],
  ];
  const seen: typeof refused = [
    ['terminal:attach', { terminalId }],
    ['terminal:list', { projectId: stand.projectId }],
    ['terminal:recording', { terminalId }],
  ];
  for (const [name, input] of refused) {
    await expect(viewer.call(name, input as never)).rejects.toMatchObject({ code: 'forbidden' });
  }
  for (const [name, input] of seen) await viewer.call(name, input as never);
  for (const [name, input] of [...refused, ...seen]) {
    await expect(stranger.call(name, input as never)).rejects.toMatchObject({ code: 'not_found' });
  }
  // Also a public project's terminals are its members'.
  stand.allow(stranger.userId, undefined, true);
  for (const [name, input] of [...refused, ...seen]) {
    await expect(stranger.call(name, input as never)).rejects.toMatchObject({ code: 'forbidden' });
  }
});

test('[TM-9] who may not watch any more hears nothing from then on; who may not type any more does not count', async () => {
  await using stand = await createStand();
  const [owner, editor, viewer] = [await stand.join('owner'), await stand.join('editor'), await stand.join('viewer')];
  const mine = await owner.open({ command: 'cat', cols: 100, rows: 40 });
  const { terminalId } = mine;
  await editor.attach(terminalId, { cols: 50, rows: 20 });
  const watching = await viewer.attach(terminalId);
  stand.allow(viewer.userId, undefined);
  stand.allow(editor.userId, 'viewer');
  await owner.call('terminal:input', { terminalId, data: 'secret\n' });
  await mine.sees('secret\r\nsecret');
  await eventually(() => viewer.heard('terminal:failed').length).toBe(1);
  expect(viewer.heard('terminal:failed')[0]).toMatchObject({ terminalId, code: 'not_found' });
  expect(watching.text()).toBe('');
  await eventually(() => owner.heard('terminal:resized').at(-1)).toMatchObject({ size: { cols: 100, rows: 40 } });
  await expect(editor.call('terminal:input', { terminalId, data: 'x' })).rejects.toMatchObject({ code: 'forbidden' });
  await expect(viewer.call('terminal:attach', { terminalId })).rejects.toMatchObject({ code: 'not_found' });
});

test('[TM-10] a terminal runs where and as it is told to, and git names who opened it', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  await mkdir(`${stand.workDir}/src`);
  const command = 'pwd; echo "$GIT_AUTHOR_NAME <$GIT_COMMITTER_EMAIL> $TERM $MINE"';
  const mine = await owner.open({ command, cwd: 'src', env: { MINE: 'yes' } });
  await mine.ends();
  expect(mine.text()).toBe(`${stand.workDir}/src\r\nAda <ada@example.com> xterm-256color yes\r\n`);
  const wrong = [
    { cwd: '..' },
    { cwd: '/etc' },
    { cwd: `${stand.workDir}x` },
    { env: { 'A=B': 'c' } },
    { env: { A: '\0' } },
  ];
  for (const input of wrong) {
    await expect(owner.open(input)).rejects.toMatchObject({ code: 'invalid' });
  }
  await expect(
    owner.open({ env: Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`V${n}`, 'x'.repeat(4_000)])) }),
  ).rejects.toMatchObject({ code: 'too_large' });
});

test('[TM-11] a user has at most eight open; those that have ended make room', async () => {
  await using stand = await createStand();
  const [owner, editor] = [await stand.join('owner'), await stand.join('editor')];
  const screens = [];
  for (let n = 0; n < 8; n++) screens.push(await owner.open({ command: 'read line' }));
  await expect(owner.open()).rejects.toMatchObject({ code: 'quota_exceeded' });
  const opened = await editor.open({ command: 'read line' });
  const [, , third] = screens;
  await owner.call('terminal:input', { terminalId: third?.terminalId ?? '', data: '\n' });
  await third?.ends();
  await owner.open({ command: 'read line' });
  const { items } = await owner.call('terminal:list', { projectId: stand.projectId });
  expect(items.length).toBe(9);
  expect(items.map(({ terminalId }) => terminalId)).not.toContain(third?.terminalId);
  expect(items.find(({ terminalId }) => terminalId === opened.terminalId)).toMatchObject({
    userId: editor.userId,
    projectId: stand.projectId,
    command: 'read line',
    size: { cols: 80, rows: 24 },
  });
  expect(editor.heard('terminal:opened').length).toBe(10);
  expect(editor.heard('terminal:closed')).toEqual([{ terminalId: third?.terminalId, projectId: stand.projectId }]);
});

test('[TM-12] opening again with the same clientId finds the terminal, also after it was closed', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const [one, two] = await Promise.all([
    owner.open({ command: 'echo one; read line', clientId: 'c' }),
    owner.open({ command: 'echo two; read line', clientId: 'c' }),
  ]);
  expect(one.terminalId).toBe(two.terminalId);
  await two.sees('one');
  const { items } = await owner.call('terminal:list', { projectId: stand.projectId });
  expect(items.length).toBe(1);
  expect(owner.heard('terminal:opened').length).toBe(1);
  await owner.call('terminal:close', { terminalId: one.terminalId });
  await two.ends();
  expect(two.end()).toMatchObject({ code: null, signal: null, reason: 'closed' });
  await expect(owner.open({ clientId: 'c' })).rejects.toMatchObject({ code: 'conflict' });
});

test('[TM-13] signals reach what runs in the foreground; a closed or unknown terminal is not found', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const mine = await owner.open({
    command: 'trap "echo caught; exit 7" USR1; echo ready; while :; do sleep 0.05; done',
  });
  const { terminalId } = mine;
  await mine.sees('ready');
  await owner.call('terminal:signal', { terminalId, signal: 'SIGUSR1' });
  await mine.ends();
  expect(mine.text()).toContain('caught');
  expect(mine.end()).toMatchObject({ code: 7 });
  const killed = await owner.open({ command: 'echo ready; exec sleep 100' });
  await killed.sees('ready');
  await owner.call('terminal:signal', { terminalId: killed.terminalId, signal: 'SIGKILL' });
  await killed.ends();
  expect(killed.end()).toMatchObject({ code: null, signal: 'SIGKILL' });
  await expect(owner.call('terminal:input', { terminalId, data: 'x' })).rejects.toMatchObject({ code: 'conflict' });
  await owner.call('terminal:close', { terminalId });
  for (const name of ['terminal:attach', 'terminal:close'] as const) {
    await expect(owner.call(name, { terminalId })).rejects.toMatchObject({ code: 'not_found' });
  }
  await expect(owner.call('terminal:resize', { terminalId, cols: 1, rows: 1 })).rejects.toMatchObject({
    code: 'not_found',
  });
  await expect(owner.call('terminal:attach', { terminalId: 'x' })).rejects.toMatchObject({ code: 'invalid' });
});

test("[TM-14] what viewers' terminals answer is not typed; too much at once is refused", async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const mine = await owner.open({ command: 'stty raw -echo; echo ready; head -c 12 | od -An -c' });
  const { terminalId } = mine;
  await mine.sees('ready');
  await owner.call('terminal:input', { terminalId, data: '\u001b[?1;2c\u001b[24;80R' });
  await owner.call('terminal:input', { terminalId, data: Buffer.from('a\u001b[0n\u001b[1;2Rbcd\u001b[A\r') });
  await mine.ends();
  expect(mine.text().replaceAll(/\s+/g, ' ')).toContain('a 033 [ 1 ; 2 R b c d 033 [');
  const other = await owner.open({ command: 'sleep 100' });
  await expect(
    owner.call('terminal:input', { terminalId: other.terminalId, data: 'x'.repeat(33_000) }),
  ).rejects.toMatchObject({ code: 'too_large' });
  // Nobody reads it.
  const typing = Array.from({ length: 8 }, () =>
    codeOf(owner.call('terminal:input', { terminalId: other.terminalId, data: 'x'.repeat(32_000) })),
  );
  expect(await Promise.all(typing)).toContain('rate_limited');
});

test('[TM-15] what one socket types arrives in the order it was sent', async () => {
  await using stand = await createStand({ nodes: 2 });
  for (const node of [0, 1]) {
    const member = await stand.join('owner', node);
    const mine = await member.open({ command: 'read line; echo; echo "$line" | md5sum; sleep 0.1' });
    const text = Array.from({ length: 200 }, (_, n) => `${n},`).join('');
    const sent = text.match(/\d+,/g) ?? [];
    for (let from = 0; from < sent.length; from += 50) {
      await Promise.all(
        sent.slice(from, from + 50).map((data) => member.call('terminal:input', { terminalId: mine.terminalId, data })),
      );
    }
    await member.call('terminal:input', { terminalId: mine.terminalId, data: '\n' });
    await mine.ends();
    expect(mine.text().startsWith(text)).toBe(true);
  }
});

test('[TM-16] a recording has the screen at its beginning, all output and sizes, and is downloaded by its address', async () => {
  await using stand = await createStand();
  const [owner, viewer] = [await stand.join('owner'), await stand.join('viewer')];
  const mine = await owner.open({
    command: 'echo before; read line; printf "%0500d gr\\303\\274n\\n" 0; stty size; read line',
  });
  const { terminalId } = mine;
  await mine.sees('before');
  expect(await viewer.call('terminal:recording', { terminalId })).toEqual({ isOn: false });
  expect(await owner.call('terminal:recording', { terminalId, on: true })).toMatchObject({ isOn: true });
  await owner.call('terminal:resize', { terminalId, cols: 60, rows: 20 });
  await owner.call('terminal:input', { terminalId, data: '\n' });
  await mine.sees('20 60');
  // Whatever the terminal said has been recorded once that is in its size.
  await eventually(async () => (await owner.call('terminal:recording', { terminalId })).sizeBytes).toBeGreaterThan(700);
  const stopped = await owner.call('terminal:recording', { terminalId, on: false });
  expect(stopped.isOn).toBe(false);
  const response = await fetch(`${stand.nodes[0]?.url}${stopped.url}`);
  expect(response.status).toBe(200);
  const lines = (await response.text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(lines[0]).toMatchObject({ version: 2, width: 80, height: 24 });
  const happened = lines.slice(1) as [number, string, string][];
  expect(happened.every(([seconds], n) => seconds >= (happened[n - 1]?.[0] ?? 0))).toBe(true);
  expect(happened.find(([, kind]) => kind === 'r')?.[2]).toBe('60x20');
  const shown = happened
    .filter(([, kind]) => kind === 'o')
    .map(([, , data]) => data)
    .join('');
  expect(shown).toMatch(/before[^]*grün\r\n20 60\r\n$/);
  expect((await fetch(`${stand.nodes[0]?.url}${stopped.url}x`)).status).not.toBe(200);
  // It is kept when the terminal goes, and goes with the project.
  await owner.call('terminal:close', { terminalId });
  expect(await viewer.call('terminal:recording', { terminalId })).toMatchObject({ isOn: false, url: stopped.url });
  await stand.nodes[0]?.feature.removeOfProject(stand.projectId);
  expect(await viewer.call('terminal:recording', { terminalId })).toEqual({ isOn: false });
});
