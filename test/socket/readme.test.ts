/** The README's own lines, run as they stand there: two registrations by curl, the script for both, and a kill in between. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hasPart } from '../support/parts.ts';
import { startProcess, testEnvironment, type ServerProcess } from '../support/process.ts';

let directory: string;
let env: Record<string, string>;
let server: ServerProcess;
let blocks: { language: string; text: string }[];
const running: ChildProcess[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'atelier-readme-'));
  await symlink(resolve('node_modules'), join(directory, 'node_modules'));
  const readme = await readFile('README.md', 'utf8');
  blocks = [...readme.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? '',
    text: match[2] ?? '',
  }));
  env = testEnvironment(join(directory, 'data'));
  server = await startProcess(env);
});

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const block = (language: string, start: string): string => {
  const found = blocks.find((one) => one.language === language && one.text.startsWith(start));
  if (!found) throw new Error(`The README has no ${language} block that starts with ${start}`);
  return found.text;
};

/** Runs a line of the README in a shell; where it says localhost:3000, the server under test listens. */
function shell(line: string): { child: ChildProcess; lines: string[] } {
  const child = spawn('bash', ['-c', line.replaceAll('localhost:3000', new URL(server.url).host)], {
    cwd: directory,
    env: { ...process.env, ATELIER: server.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  const lines: string[] = [];
  let rest = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts.map((part) => part.trimEnd()));
  });
  return { child, lines };
}

test.skipIf(!hasPart('curl') || !hasPart('bash'))(
  'the quick start gives the output that the README shows, and goes on after kill -9',
  { timeout: 60_000 },
  async () => {
    const register = shell(block('sh', 'for name in Ada Grace'));
    expect((await once(register.child, 'exit'))[0]).toBe(0);
    await writeFile(join(directory, 'talk.mjs'), block('js', "import { readFileSync } from 'node:fs'"));

    const shown = block('', '#1 Ada')
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd());
    const ada = shell(block('sh', 'node talk.mjs Ada'));
    await expect.poll(() => ada.lines, { timeout: 10_000 }).toEqual(shown.slice(0, 1));
    const grace = shell(block('sh', 'node talk.mjs Grace'));
    for (const { lines } of [ada, grace]) {
      await expect.poll(() => lines.length, { timeout: 15_000 }).toBe(shown.length);
      expect(lines.slice(0, 2)).toEqual(shown.slice(0, 2));
      expect(lines[2]?.startsWith(String(shown[2]).replace('…', ''))).toBe(true);
    }

    await server.end('SIGKILL');
    server = await startProcess({ ...env, PORT: new URL(server.url).port });
    // A third terminal, after the restart: all of the history, and all three hear what is new.
    const third = shell('node talk.mjs Ada Grace Still here');
    const expected = [...shown, '#4 Ada: Still here'];
    for (const { lines } of [ada, grace, third]) await expect.poll(() => lines, { timeout: 15_000 }).toEqual(expected);
  },
);
