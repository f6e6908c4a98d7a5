/** Running code through a whole server, in sandboxes that are processes of this machine. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { call, codeOf, heard } from '../support/calls.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';

let server: TestServer;
let ada: Person;
let ben: Person;
let a: Socket;
let b: Socket;

beforeAll(async () => {
  server = await startServer({ SANDBOX: 'local', SANDBOX_PER_USER: '10' });
  ada = await server.person('Ada');
  ben = await server.person('Ben');
  [a, b] = [await server.socket(ada), await server.socket(ben)];
});
afterAll(async () => {
  const { errors } = server;
  await server[Symbol.asyncDispose]();
  if (errors.length > 0) throw new AggregateError(errors, `The server had ${errors.length} errors`);
});

test('[RN-1] with wait the answer carries output, exit code and time', async () => {
  const answer = await call(a, 'code:run', {
    language: 'bash',
    code: 'read line; echo "got $line"; echo oops >&2; exit 3',
    stdin: 'this\n',
    wait: true,
  });
  expect(answer).toMatchObject({
    stdout: 'got this\n',
    stderr: 'oops\n',
    exitCode: 3,
    signal: null,
    timedOut: false,
    truncated: false,
  });
  expect(answer.durationMs).toBeGreaterThanOrEqual(0);
});

test.each([
  ['javascript', 'console.log([1, 2].map((n) => n * 2).join())', '2,4\n'],
  ['python', 'print(sum([1, 2]))', '3\n'],
] as const)('[RN-1] %s runs', async (language, code, stdout) => {
  expect(await call(a, 'code:run', { language, code, wait: true })).toMatchObject({ stdout, exitCode: 0 });
});

test('[RN-2] the output is told as it comes, all of it before the end, and to nobody else', async () => {
  const [output, ends] = [heard(a, 'code:output'), heard(a, 'code:exited')];
  const others = [heard(b, 'code:output'), heard(b, 'code:exited')];
  let atEnd = 0;
  a.once('code:exited', () => (atEnd = output.length));
  const { runId } = await call(a, 'code:run', { language: 'bash', code: 'echo one; echo two >&2; printf é' });
  await expect.poll(() => ends).toMatchObject([{ runId, exitCode: 0 }]);
  expect(output).toHaveLength(atEnd);
  const text = (stream: string): string =>
    output
      .filter((piece) => piece.stream === stream)
      .map(({ data }) => data)
      .join('');
  expect([text('stdout'), text('stderr')]).toEqual(['one\né', 'two\n']);
  const { pieces, offset, ended } = await call(a, 'code:attach', { runId, after: 0 });
  expect(pieces.map(({ data }) => data).join('')).toHaveLength(offset);
  expect(ended).toMatchObject({ exitCode: 0 });
  expect((await call(a, 'code:attach', { runId, after: offset - 1 })).pieces).toHaveLength(1);
  expect(await codeOf(call(b, 'code:attach', { runId, after: 0 }))).toBe('not_found');
  expect(others).toEqual([[], []]);
});

test('[RN-6] the same clientId finds the first run', async () => {
  const input = { language: 'bash', code: 'echo $RANDOM$RANDOM$RANDOM', clientId: 'once', wait: true } as const;
  const [first, second] = [await call(a, 'code:run', input), await call(a, 'code:run', input)];
  expect(second).toEqual(first);
});

test('[RN-3] a run that is stopped says so', async () => {
  const ends = heard(a, 'code:exited');
  const { runId } = await call(a, 'code:run', { language: 'bash', code: 'sleep 100' });
  expect(await codeOf(call(b, 'code:stop', { runId }))).toBe('not_found');
  await call(a, 'code:stop', { runId });
  await expect.poll(() => ends).toMatchObject([{ runId, signal: 'SIGKILL', reason: 'stopped' }]);
});

test('[RN-1] what cannot be run is refused: nothing or two things, a path of nothing, a language unknown', async () => {
  const run = (input: object): Promise<string> => codeOf(call(a, 'code:run', input as never));
  expect(await run({ language: 'bash' })).toBe('invalid');
  expect(await run({ language: 'bash', code: 'ls', path: 'a.sh' })).toBe('invalid');
  expect(await run({ language: 'bash', path: 'a.sh' })).toBe('invalid');
  expect(await run({ language: 'cobol', code: 'x' })).toBe('invalid');
  expect(await run({ language: 'bash', code: 'ls', timeoutMs: 500 })).toBe('invalid');
  expect(await run({ language: 'bash', code: 'x'.repeat(51 * 1_024) })).toBe('invalid');
});

test("[SB-5] without isolation only the server's first account runs anything", async () => {
  expect(await codeOf(call(b, 'code:run', { language: 'bash', code: 'id' }))).toBe('unavailable');
});
