/** Runs of code in containers, through a whole server: what goes well, and what does its worst. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { AtelierContract } from '../../src/features/registry.ts';
import { LIMITS, type Input } from '../../src/protocol/index.ts';
import { call } from '../support/calls.ts';
import { startDockerServer, type DockerServer } from './deployments.ts';

vi.setConfig({ testTimeout: 120_000 });

let server: DockerServer;
let a: Socket;

beforeAll(async () => {
  server = await startDockerServer();
  a = await server.socket(await server.person('Ada'));
});
afterAll(() => server?.[Symbol.asyncDispose]());

const run = (input: Omit<Input<AtelierContract['code:run']>, 'wait'>) => call(a, 'code:run', { ...input, wait: true });

test.each([
  ['javascript', 'console.log([1, 2].map((n) => n * 2).join())', '2,4\n'],
  ['typescript', 'const n: number = 3; interface A { b: string }\nconsole.log(n)', '3\n'],
  ['python', 'import sys; print(sum([1, 2])); sys.exit(0)', '3\n'],
  ['bash', 'echo "$((40 + 2))"; id -un; pwd', '42\ndev\n/work\n'],
] as const)('[RN-1] %s runs', async (language, code, stdout) => {
  expect(await run({ language, code })).toMatchObject({ stdout, stderr: '', exitCode: 0, signal: null });
});

test('[RN-3] an endless loop ends with its time', async () => {
  expect(await run({ language: 'javascript', code: 'for (;;);', timeoutMs: 1_000 })).toMatchObject({
    timedOut: true,
    exitCode: null,
    signal: 'SIGKILL',
    reason: 'timeout',
  });
});

test('[RN-3] a fork bomb ends with its time, and the next run is well', async () => {
  const bomb = await run({ language: 'bash', code: ':(){ :|:& };:; wait', timeoutMs: 2_000 });
  expect(bomb.timedOut || bomb.exitCode !== null).toBe(true);
  expect(await run({ language: 'bash', code: 'echo well' })).toMatchObject({ stdout: 'well\n' });
});

test('[RN-3] what takes more memory than there is is ended, and says so', async () => {
  const code = 'parts = []\nwhile True: parts.append(bytearray(8 << 20))';
  expect(await run({ language: 'python', code })).toMatchObject({
    exitCode: null,
    signal: 'SIGKILL',
    reason: 'memory',
  });
});

test('[RN-3] what writes more than is taken is ended', async () => {
  const flood = await run({ language: 'bash', code: 'yes' });
  expect(flood).toMatchObject({ truncated: true, reason: 'output', signal: 'SIGKILL' });
  expect(flood.stdout?.length).toBeLessThan(2 * LIMITS.runOutputChars);
});

test('[RN-4] a run has no network', async () => {
  const code = 'curl -sS -m 3 http://169.254.169.254/ ; ls /sys/class/net';
  expect(await run({ language: 'bash', code })).toMatchObject({ stdout: 'lo\n', exitCode: 0 });
});

test('[RN-5] with a project its files are there, as they are now', async () => {
  const { project } = await call(a, 'project:create', { name: 'A project', template: 'empty' });
  await call(a, 'file:create', {
    projectId: project.id,
    path: 'lib/twice.py',
    content: 'def twice(n): return 2 * n\n',
  });
  const code = 'from lib.twice import twice\nprint(twice(21))';
  expect(await run({ language: 'python', code, projectId: project.id })).toMatchObject({ stdout: '42\n' });
  await call(a, 'file:create', { projectId: project.id, path: 'main.py', content: 'print(input())' });
  const answer = await run({ language: 'python', path: 'main.py', projectId: project.id, stdin: 'from stdin\n' });
  expect(answer).toMatchObject({ stdout: 'from stdin\n' });
});
