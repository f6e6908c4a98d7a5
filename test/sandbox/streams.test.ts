/** Processes without a terminal, and connections from and to a sandbox's ports. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { AgentLink } from '../../src/sandbox/agent-link.ts';
import { randomOf } from '../support/random.ts';
import { createStage, line, pipedAgent, shell, view, type Stage } from './agent-process.ts';

/** For a machine that is busy with other tests. */
const WAITS = { timeout: 10_000 };

/** A link whose bulk connection is there. */
async function bulkLink(stage: Stage, env: Record<string, string> = {}): Promise<AgentLink> {
  const link = await stage.link();
  stage.agent([], undefined, env);
  await expect.poll(() => link.streams.isConnected, { timeout: 10_000 }).toBe(true);
  return link;
}

const isAlive = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

const digest = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

/** Everything up to the end of its half, which leaves the other half open. */
async function all(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

/** The first line of what a process says. */
async function firstLine(stream: Readable): Promise<string> {
  let seen = '';
  while (!seen.includes('\n')) seen += String((await once(stream, 'data'))[0]);
  return seen.slice(0, seen.indexOf('\n'));
}

async function listening(onConnection: (socket: Socket) => void, host = '127.0.0.1'): Promise<[Server, number]> {
  const server = createServer({ allowHalfOpen: true }, onConnection);
  server.listen(0, host);
  await once(server, 'listening');
  return [server, (server.address() as AddressInfo).port];
}

async function freePort(): Promise<number> {
  const [server, port] = await listening(() => {});
  server.close();
  await once(server, 'close');
  return port;
}

test('[AG-20] a process gets its argv, env, cwd and input, and gives its outputs and how it ended', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const script = 'echo "$0 $1 $A $(pwd)"; cat; echo err >&2; exit 3';
  const child = await streams.spawn({
    argv: ['/bin/sh', '-c', script, 'zero', 'o ne'],
    env: { A: 'ä', PATH: process.env['PATH'] ?? '' },
    cwd: '/tmp',
  });
  child.stdin.end('input');
  expect(await Promise.all([text(child.stdout), text(child.stderr)])).toEqual(['zero o ne ä /tmp\ninput', 'err\n']);
  expect(await child.exited).toEqual({ code: 3, signal: 0 });

  // Nothing of the agent's own is in its environment, and it leads a session.
  const bare = await streams.spawn({ argv: ['/usr/bin/env'], env: { A: '1' }, cwd: '/' });
  expect(await text(bare.stdout)).toBe('A=1\n');
  const leader = await streams.spawn(line('echo $$ $(cut -d" " -f6 /proc/$$/stat)'));
  const [pid, session] = (await text(leader.stdout)).trim().split(' ');
  expect(session).toBe(pid);
});

test('[AG-20] what cannot be started says so, and harms nothing else', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const env = {};
  const unavailable = { code: 'unavailable', message: 'No process could be started' };
  await expect(streams.spawn({ argv: ['/no/such'], env, cwd: '/' })).rejects.toMatchObject(unavailable);
  await expect(streams.spawn({ argv: ['/bin/true'], env, cwd: '/no/such' })).rejects.toMatchObject(unavailable);
  await expect(streams.spawn({ argv: ['/etc/passwd'], env, cwd: '/' })).rejects.toMatchObject(unavailable);
  await expect(streams.spawn({ argv: [''], env, cwd: '/' })).rejects.toMatchObject({ code: 'invalid' });
  await expect(
    streams.spawn({ argv: ['/bin/echo', 'x'.repeat(40_000), 'x'.repeat(40_000)], env, cwd: '/' }),
  ).rejects.toMatchObject({ code: 'too_large' });
  expect(await text((await streams.spawn(line('echo fine'))).stdout)).toBe('fine\n');
});

test('[AG-20] output is whole after the process has ended, and its leftovers do not hold it up', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const child = await streams.spawn(line('head -c 200000 /dev/zero; sleep 1000 & echo $! >&2'));
  const output = buffer(child.stdout);
  const pid = Number(await firstLine(child.stderr));
  expect((await output).length).toBe(200_000);
  expect(isAlive(pid)).toBe(true);
  child.stderr.resume();
  expect(await child.exited).toEqual({ code: 0, signal: 0 });
  process.kill(pid, 'SIGKILL');
});

test('[AG-20] signals reach the group, SIGKILL the session, and an aborted one is killed', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const asked = await streams.spawn(line('trap "echo bye; exit 7" TERM; echo go; while :; do sleep 0.05; done'));
  expect(await firstLine(asked.stdout)).toBe('go');
  asked.kill('SIGTERM');
  expect(await text(asked.stdout)).toBe('bye\n');
  asked.stderr.resume();
  expect(await asked.exited).toEqual({ code: 7, signal: 0 });
  // Nothing is left that could hear it.
  asked.kill('SIGKILL');

  // Another group of the same session.
  const deaf = await streams.spawn({
    ...line('set -m; trap "" TERM; sleep 1000 & echo $!; wait'),
    argv: ['/bin/bash', '-c', 'set -m; trap "" TERM; sleep 1000 & echo $!; wait'],
  });
  const pid = Number(await firstLine(deaf.stdout));
  deaf.kill('SIGKILL');
  for (const stream of [deaf.stdout, deaf.stderr]) stream.resume();
  expect(await deaf.exited).toEqual({ code: 0, signal: 9 });
  await expect.poll(() => isAlive(pid), WAITS).toBe(false);

  const [server, port] = await listening((socket) => socket.on('data', (data) => socket.end(data)));
  const aborting = new AbortController();
  const marker = `sleep 1000; echo ${port}`;
  const spawning = streams.spawn(line(marker), aborting.signal);
  aborting.abort(new Error('No more'));
  await expect(spawning).rejects.toThrow('No more');
  await expect.poll(async () => text((await streams.spawn(line('ps -eo args'))).stdout), WAITS).not.toContain(marker);
  server.close();
});

test('[AG-21] a connection reaches 127.0.0.1 or ::1, each half ends by itself, and nobody there is told', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  for (const host of ['127.0.0.1', '::1']) {
    // Answers when it has read everything.
    const [server, port] = await listening(
      (socket) => void all(socket).then((bytes) => socket.end(digest(bytes))),
      host,
    );
    const stream = await streams.connect(port);
    const sent = Buffer.alloc(500_000, host);
    stream.end(sent);
    expect(await text(stream)).toBe(digest(sent));
    server.close();
  }
  const upstream = { code: 'upstream' };
  await expect(streams.connect(await freePort())).rejects.toMatchObject(upstream);
  await expect(streams.connect(0)).rejects.toMatchObject({ code: 'invalid' });
});

test('[AG-21] what breaks on one side breaks on the other', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const sockets: Socket[] = [];
  const [server, port] = await listening((socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  const ours = await streams.connect(port);
  await expect.poll(() => sockets.length, WAITS).toBe(1);
  ours.destroy();
  await expect.poll(() => sockets[0]?.destroyed, WAITS).toBe(true);

  const theirs = await streams.connect(port);
  await expect.poll(() => sockets.length, WAITS).toBe(2);
  const failed = once(theirs, 'error');
  sockets[1]?.resetAndDestroy();
  expect(String((await failed)[0])).toContain('reset');
  server.close();
});

test('[AG-22] listeners hand over what connects to them, and refuse where nobody takes it', async () => {
  await using stage = await createStage();
  const [npm, pip] = [await freePort(), await freePort()];
  const { streams } = await bulkLink(stage, { ATELIER_LISTEN: `npm:${npm},pip:${pip}` });
  const stop = streams.accept('npm', (stream) => {
    void all(stream).then((bytes) => stream.end(`npm got ${bytes.toString()}`));
  });
  const ask = async (port: number): Promise<string> => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end('a package');
    try {
      return await text(socket);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? '';
    }
  };
  expect(await ask(npm)).toBe('npm got a package');
  expect(await ask(pip)).toBe('ECONNRESET');
  expect(() => streams.accept('npm', () => {})).toThrow('There is a taker');
  stop();
  expect(await ask(npm)).toBe('ECONNRESET');
});

test('[AG-22] without a server its listeners refuse, and a port that is taken ends the agent at its start', async () => {
  await using stage = await createStage();
  const port = await freePort();
  const link = await bulkLink(stage, { ATELIER_LISTEN: `npm:${port}` });
  const second = stage.agent([], undefined, { ATELIER_LISTEN: `pip:${await freePort()},npm:${port}` });
  await expect.poll(() => second.hasEnded(), { timeout: 10_000 }).toBe(true);
  expect(second.output()).toContain('EADDRINUSE');
  link.streams.accept('npm', (stream) => stream.end('here'));
  await link.stop();
  const socket = connect(port, '127.0.0.1');
  await expect(once(socket, 'close').then(() => socket.errored ?? 'closed')).rejects.toMatchObject({
    code: 'ECONNRESET',
  });
});

test('[AG-23] who does not read holds up its own stream only, and gets everything later', async () => {
  await using stage = await createStage();
  const link = await bulkLink(stage);
  const { streams } = link;
  const big = 3_000_000;
  const stuck = await streams.spawn(line(`head -c ${big} /dev/zero; echo done >&2`));
  // Its program cannot go on, while others do.
  for (let i = 0; i < 5; i++) {
    const other = await streams.spawn(line(`head -c ${big} /dev/zero`));
    expect((await buffer(other.stdout)).length).toBe(big);
  }
  expect(stuck.stdout.readableLength).toBeLessThan(200_000);
  let isDone = false;
  stuck.stderr.on('data', () => (isDone = true));
  await link.open(shell('echo', 'echo hello'));
  await view(link, 'echo').sees('hello');
  expect(isDone).toBe(false);
  expect((await buffer(stuck.stdout)).length).toBe(big);
  expect(await stuck.exited).toEqual({ code: 0, signal: 0 });
  expect(isDone).toBe(true);
});

test('[AG-23] a program that does not read its input stops who writes to it, and nobody else', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const child = await streams.spawn(line('read go; cat | sha256sum'));
  const data = Buffer.alloc(2_000_000, 'input');
  child.stdin.write('go\n');
  const deaf = await streams.spawn(line('sleep 1000'));
  deaf.stdin.write(data);
  child.stdin.end(data);
  expect((await text(child.stdout)).slice(0, 64)).toBe(digest(data));
  // What is beyond the kernel's buffer and the window waits here.
  expect(deaf.stdin.writableLength).toBeGreaterThan(0);
  deaf.kill('SIGKILL');
  for (const stream of [deaf.stdout, deaf.stderr]) stream.resume();
  expect((await deaf.exited).signal).toBe(9);
});

test('[AG-23] an output that nobody wants ends its program, input that nobody reads is an error', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const yes = await streams.spawn(line('exec yes'));
  await once(yes.stdout, 'data');
  yes.stdout.destroy();
  yes.stderr.resume();
  // By a signal, or because it cannot write.
  expect(await yes.exited).not.toEqual({ code: 0, signal: 0 });
  const closed = await streams.spawn(line('exec <&-; echo go; sleep 1000'));
  const failed = once(closed.stdin, 'error');
  expect(await firstLine(closed.stdout)).toBe('go');
  const writing = setInterval(() => closed.stdin.write('x'), 10);
  expect(String((await failed)[0])).toContain('reset');
  clearInterval(writing);
  closed.kill('SIGKILL');
});

test('[AG-23] 200 streams at once come whole, both ways, while one floods', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const flood = await streams.spawn(line('exec yes'));
  flood.stdout.resume();
  const [server, port] = await listening((socket) => socket.pipe(socket));
  const random = randomOf(23);
  const echo = async (stream: Duplex): Promise<boolean> => {
    const data = Buffer.from(Uint8Array.from({ length: 50_000 + random(50_000) }, () => random(256)));
    stream.end(data);
    return digest(await buffer(stream)) === digest(data);
  };
  const connections = Array.from({ length: 140 }, async () => echo(await streams.connect(port)));
  const processes = Array.from({ length: 20 }, async (_, i) => {
    const child = await streams.spawn(line('cat'));
    const data = Buffer.alloc(100_000, `${i} `);
    child.stdin.end(data);
    return digest(await buffer(child.stdout)) === digest(data);
  });
  expect((await Promise.all([...connections, ...processes])).every(Boolean)).toBe(true);
  flood.kill('SIGKILL');
  server.close();
});

test('[AG-24] there are so many streams, and those that end make room', async () => {
  await using stage = await createStage();
  const { streams } = await bulkLink(stage);
  const [server, port] = await listening((socket) => socket.on('error', () => {}));
  const open: Duplex[] = [];
  for (let i = 0; i < 512; i++) open.push(await streams.connect(port));
  await expect(streams.connect(port)).rejects.toMatchObject({ code: 'quota_exceeded' });
  for (const stream of open) stream.destroy();
  expect(await text((await streams.spawn(line('echo room'))).stdout)).toBe('room\n');
  server.close();
});

test('[AG-25] all ends with the connection: processes are killed, streams fail, the next connection begins anew', async () => {
  await using stage = await createStage();
  const link = await bulkLink(stage);
  const { streams } = link;
  let connections = 0;
  const stop = streams.onConnected(() => connections++);
  const child = await streams.spawn(line('echo $$; sleep 1000 & wait'));
  const pid = Number(await firstLine(child.stdout));
  const [server, port] = await listening((socket) => socket.on('error', () => {}));
  const stream = await streams.connect(port);
  const failed = once(stream, 'error');
  // The agent turns to it, and back when it is gone.
  const other = await stage.link({ fence: 1 });
  await expect(child.exited).rejects.toMatchObject({ code: 'unavailable' });
  await failed;
  expect([child.stdout.destroyed, stream.destroyed, streams.isConnected]).toEqual([true, true, false]);
  await expect(streams.spawn(line('true'))).rejects.toMatchObject({ code: 'unavailable' });
  await expect.poll(() => isAlive(pid), WAITS).toBe(false);
  await expect.poll(() => other.streams.isConnected, { timeout: 5_000 }).toBe(true);
  expect(await text((await other.streams.spawn(line('echo again'))).stdout)).toBe('again\n');
  stop();
  expect(connections).toBe(0);
  server.close();
});

test('[AG-26] an agent speaks over its stdin and stdout too, for one role, and ends with them', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  const agents = [pipedAgent('terminal'), pipedAgent('bulk')];
  for (const { connection } of agents) link.take(connection);
  await link.open(shell('t', 'echo hello; sleep 1000'));
  await view(link, 't').sees('hello');
  await expect.poll(() => link.streams.isConnected, { timeout: 10_000 }).toBe(true);
  const child = await link.streams.spawn(line('head -c 1000000 /dev/zero; echo $$ >&2; sleep 1000'));
  child.stdout.resume();
  const pid = Number(await firstLine(child.stderr));
  const exits = agents.map(({ child: agent }) => once(agent, 'exit'));
  await link.stop();
  expect((await Promise.all(exits)).map(([code]) => code)).toEqual([0, 0]);
  await expect.poll(() => isAlive(pid), WAITS).toBe(false);
});
