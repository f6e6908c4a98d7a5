/** The agent and its server's link, with real shells. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { Fault } from '../../src/protocol/index.ts';
import { createStage, shell, view } from './agent-process.ts';

// Built for require; what loads modules for tests finds no class in it.
const { Terminal } = createRequire(import.meta.url)('@xterm/headless') as typeof import('@xterm/headless');

/** Gone, or a zombie that only has to be waited for. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/\) [ZX] /.test(stat);
  } catch {
    return false;
  }
}

const numberIn = (text: string, name: string): number => Number(new RegExp(`${name}=(\\d+)`).exec(text)?.[1]);

test('[AG-7] a terminal opens, is read and typed into, and ends with all that it said', async () => {
  await using stage = await createStage();
  const exited: unknown[] = [];
  const link = await stage.link({ events: { onExited: (id, exit) => exited.push([id, exit]) } });
  stage.agent();
  await link.open(shell('t', 'read line; echo "got $line"; exit 3'));
  // Asking again finds it.
  await link.open(shell('t', 'echo another'));
  const viewer = view(link, 't');
  link.input('t', Buffer.from('hello\n'));
  await viewer.ends();
  expect(viewer.text()).toBe('hello\r\ngot hello\r\n');
  expect(viewer.exit()).toEqual({ code: 3, signal: 0 });
  expect(exited).toEqual([['t', { code: 3, signal: 0 }]]);
  expect(link.terminals()).toEqual([{ id: 't', columns: 80, rows: 24, exit: { code: 3, signal: 0 } }]);
});

test('[AG-7] a process that cannot be started fails its terminal and harms no other', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent(['prlimit', '--nofile=40']);
  const outcomes: string[] = [];
  for (let i = 0; i < 40 && !outcomes.includes('unavailable'); i++) {
    await link.open(shell(`t${i}`, 'read line; echo "got $line"')).then(
      () => outcomes.push('open'),
      (error: { code: string }) => outcomes.push(error.code),
    );
  }
  expect(outcomes.length).toBeGreaterThan(1);
  expect(outcomes.at(-1)).toBe('unavailable');
  expect(link.terminals().length).toBe(outcomes.length - 1);
  const viewer = view(link, 't0');
  link.input('t0', Buffer.from('still\n'));
  await viewer.sees('got still');
  // Room again.
  await viewer.ends();
  link.close('t0');
  await link.open(shell('again', 'echo back'));
  await view(link, 'again').sees('back');
});

test('[AG-8] each reader gets exactly the output from its position on', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(shell('t', 'seq 1 5000'));
  const whole = view(link, 't');
  await whole.ends();
  const expected = Array.from({ length: 5_000 }, (_, i) => `${i + 1}\r\n`).join('');
  expect(whole.text()).toBe(expected);
  for (const after of [0, 1, 777, expected.length - 1, expected.length]) {
    const viewer = view(link, 't', { after, creditBytes: 1_000 });
    await viewer.ends();
    expect(viewer.text()).toBe(expected.slice(after));
    expect(viewer.position()).toBe(expected.length);
  }
});

test('[AG-9] a position that is no longer kept gives the screen, and the output goes on after it', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  const colour = "printf '\\033[31m'";
  await link.open(shell('t', `read line; ${colour}; seq 1 100000; read line; seq 1 10; read line`));
  const watcher = view(link, 't');
  // With a reader there it goes at that one's pace.
  link.input('t', Buffer.from('\n'));
  await watcher.sees('\r\n100000\r\n');
  const viewer = view(link, 't', { after: 10 });
  await viewer.sees('100000');
  link.input('t', Buffer.from('\n'));
  await viewer.sees('\r\n10\r\n');

  expect(viewer.snapshots.length).toBe(1);
  const [snapshot] = viewer.snapshots;
  expect(snapshot?.seq).toBe(watcher.text().indexOf('\r\n100000\r\n') + '\r\n100000\r\n'.length);
  expect(viewer.position()).toBe(watcher.position());
  // Both ways to the present show the same.
  expect(await screenOf(viewer.bytes())).toEqual(await screenOf(watcher.bytes()));
  // A position that has not been yet is none either.
  const ahead = view(link, 't', { after: 10 ** 9 });
  await ahead.sees('100000');
  expect(ahead.position()).toBe(watcher.position());
});

async function screenOf(output: Uint8Array): Promise<{ lines: string[]; isRed: boolean }> {
  const terminal = new Terminal({ cols: 80, rows: 24, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(output, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from(
    { length: 24 },
    (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
  );
  const isRed = active.getLine(active.baseY)?.getCell(0)?.getFgColor() === 1;
  terminal.dispose();
  return { lines, isRed };
}

test('[AG-10] a reader that takes nothing stalls nobody, and gets the screen when it takes again', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(shell('flood', 'read line; seq 1 200000; echo the end; read line'));
  await link.open(shell('other', 'read line; echo "got $line"'));
  const slow = view(link, 'flood', { creditBytes: 1_000, keepsUp: false });
  const fast = view(link, 'flood');
  const other = view(link, 'other');
  link.input('flood', Buffer.from('\n'));
  link.input('other', Buffer.from('hello\n'));
  await other.sees('got hello');
  await fast.sees('the end');
  expect(fast.snapshots).toEqual([]);
  expect(slow.position()).toBe(1_000);
  slow.grant(1);
  await slow.sees('the end');
  expect(slow.snapshots.length).toBe(1);
  // Owes for the screen now.
  link.input('flood', Buffer.from('x\n'));
  await fast.ends();
  expect(slow.exit()).toBeUndefined();
  slow.grant(256 * 1024);
  await slow.ends();
});

test('[AG-11] a terminal waits for its only reader, and runs freely without one', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(shell('t', 'read line; seq 1 100000; read line; echo over'));
  const viewer = view(link, 't', { creditBytes: 10, keepsUp: false });
  link.input('t', Buffer.from('a\n'));
  await expect.poll(() => viewer.position()).toBe(10);
  const total = Array.from({ length: 100_000 }, (_, i) => `${i + 1}`.length + 2).reduce((sum, size) => sum + size, 0);
  // Read in small steps, everything comes: it waited.
  const pace = setInterval(() => viewer.grant(20_000), 2);
  await expect.poll(() => viewer.position(), { timeout: 20_000 }).toBeGreaterThan(total);
  clearInterval(pace);
  expect(viewer.snapshots).toEqual([]);
  viewer.detach();

  await link.open(shell('free', 'seq 1 100000; echo over'));
  await expect.poll(() => link.terminals().find(({ id }) => id === 'free')?.exit).toEqual({ code: 0, signal: 0 });
});

test('[AG-12] what was said before the end comes before the end, also when nobody took it for long', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  // More than the lag that pauses the terminal, and less than what the kernel keeps besides.
  const lines = 14_000;
  await link.open(shell('t', `read line; seq 1 ${lines}; echo pid=$$`));
  const viewer = view(link, 't', { creditBytes: 1, keepsUp: false });
  link.input('t', Buffer.from('\n'));
  await expect.poll(() => viewer.position()).toBe(1);
  await link.open(shell('later', 'sleep 1; echo waited'));
  await view(link, 'later').sees('waited');
  expect(link.terminals()[0]?.exit).toBeUndefined();
  viewer.grant(1024 * 1024);
  await viewer.ends();
  expect(viewer.snapshots).toEqual([]);
  expect(viewer.text().replace(/pid=\d+\r\n$/, '')).toBe(
    `\r\n${Array.from({ length: lines }, (_, i) => `${i + 1}\r\n`).join('')}`,
  );
});

test('[AG-12] a process that a shell leaves behind does not keep its terminal from ending', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(shell('quiet', "trap '' HUP; sleep 1000 & echo pid=$!"));
  await link.open(shell('loud', "trap '' HUP; read line; yes & echo pid=$!"));
  const [quiet, loud] = [view(link, 'quiet'), view(link, 'loud')];
  link.input('loud', Buffer.from('\n'));
  await quiet.ends();
  await loud.ends();
  await link.killAll();
  await expect.poll(() => isAlive(numberIn(quiet.text(), 'pid'))).toBe(false);
  await expect.poll(() => isAlive(numberIn(loud.text(), 'pid'))).toBe(false);
});

test('[AG-13] a large paste arrives whole; more than its programs read is refused until they do', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(
    shell('t', 'stty raw -echo; echo ready; read -r line < /dev/null; sleep 0.3; head -c 300000 | sha256sum'),
  );
  const viewer = view(link, 't');
  await viewer.sees('ready');
  const paste = Buffer.from(Array.from({ length: 300_000 }, (_, i) => 97 + (i % 23)));
  let refused = 0;
  for (let sent = 0; sent < paste.length;) {
    const part = paste.subarray(sent, sent + 30_000);
    try {
      link.input('t', part);
      sent += part.length;
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'rate_limited') throw error;
      refused++;
      await new Promise(setImmediate);
    }
  }
  await viewer.sees(createHash('sha256').update(paste).digest('hex'));
  expect(refused).toBeGreaterThan(0);
});

test('[AG-14] a new size and signals reach what runs in the foreground', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  const line = "trap 'stty size' WINCH; trap 'echo interrupted' INT; echo ready; while :; do sleep 0.1; done";
  await link.open(shell('t', line));
  const viewer = view(link, 't');
  await viewer.sees('ready');
  expect(() => link.resize('t', { columns: 501, rows: 50 })).toThrow('no whole number from 1 to 500');
  link.resize('t', { columns: 132, rows: 50 });
  await viewer.sees('50 132');
  link.signal('t', 'SIGINT');
  await viewer.sees('interrupted');
  link.signal('t', 'SIGKILL');
  await viewer.ends();
  expect(viewer.exit()?.signal).toBe(9);
});

test('[AG-15] the agent alone answers programs that ask the terminal, once, whoever watches', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  const ask =
    "stty raw -echo; printf 'abc\\033[6n'; head -c 6 | od -An -c; printf '\\033[c'; head -c 7 | od -An -c; stty sane";
  // What is answered twice is what is typed next.
  await link.open(shell('t', '', { argv: ['/bin/bash', '-c', `${ask}; read -t 0.5 more; echo "more=$more."`] }));
  const viewers = [view(link, 't'), view(link, 't'), view(link, 't')];
  for (const viewer of viewers) {
    await viewer.ends();
    expect(viewer.text()).toMatch(/033 +\[ +1 +; +4 +R/);
    expect(viewer.text()).toMatch(/033 +\[ +\? +1 +; +2 +c/);
    expect(viewer.text()).toContain('more=.');
  }
});

test('[AG-16] closing hangs up, kills what does not listen, and tells readers', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(shell('t', "trap '' HUP TERM; sleep 1000 & echo child=$! pid=$$.; while :; do sleep 1; done"));
  const viewer = view(link, 't');
  await viewer.sees('.');
  const pids = [numberIn(viewer.text(), 'child'), numberIn(viewer.text(), 'pid')];
  expect(pids.map(isAlive)).toEqual([true, true]);
  link.close('t');
  expect(link.terminals()).toEqual([]);
  await expect.poll(() => viewer.isLost()).toBe(true);
  await expect.poll(() => pids.map(isAlive), { timeout: 5_000 }).toEqual([false, false]);
  expect(() => link.input('t', Buffer.from('x'))).toThrow('There is no such terminal');
});

test('[AG-16] kill-all ends what terminals run, forking or not, and terminals tell of it', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  // Twenty that fork without end.
  const bomb = 'echo go; n=0; while [ $n -lt 20 ]; do (while :; do (sleep 0.01); done) & n=$((n+1)); done; wait';
  await link.open(shell('bomb', bomb));
  await link.open(shell('calm', 'echo go; sleep 1000'));
  const viewers = [view(link, 'bomb'), view(link, 'calm')];
  for (const viewer of viewers) await viewer.sees('go');
  expect(await link.killAll()).toBeGreaterThan(2);
  for (const viewer of viewers) {
    await viewer.ends();
    expect(viewer.exit()?.signal).toBe(9);
  }
  expect(await link.killAll()).toBe(0);
  await link.open(shell('after', 'echo alive'));
  await view(link, 'after').sees('alive');
});

test('[AG-27] output counts whether anybody reads it or not', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  expect(await link.written()).toBe(0);
  await link.open(shell('a', 'printf 12345; sleep 1000'));
  await link.open(shell('b', 'printf 678; sleep 1000'));
  await expect.poll(() => link.written()).toBe(8);
  await view(link, 'a').sees('12345');
  expect(await link.written()).toBe(8);
});

test.skipIf(process.getuid?.() !== 0)(
  "[AG-16] kill-all reaches what has left its session, by the user that the sandbox's shells run as",
  async () => {
    await using stage = await createStage();
    const link = await stage.link();
    stage.agent();
    const owner = { uid: 54_321, gid: 54_321 };
    const as = ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups', '--bounding-set=-all', '--no-new-privs'];
    const line = 'setsid sleep 1000 & echo pid=$! uid=$(id -u).; stat -c %u $(tty); read line';
    await link.open(shell('t', '', { argv: [...as, 'sh', '-c', line], owner }));
    const viewer = view(link, 't');
    await viewer.sees('\r\n54321');
    expect(viewer.text()).toContain('uid=54321.');
    expect(isAlive(numberIn(viewer.text(), 'pid'))).toBe(true);
    await link.killAll();
    await expect.poll(() => isAlive(numberIn(viewer.text(), 'pid'))).toBe(false);
  },
);
