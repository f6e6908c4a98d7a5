/** A server as a process that prints what it is given of a terminal (`printed-output.ts`), until it is killed. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import { spawnChild } from '../support/child.ts';

/** Reads from a position on until so much was given in all, and the process is killed, or to the terminal's end. */
export async function readUntilKilled(
  program: string,
  args: readonly string[],
  { after, killAt }: { after: number; killAt: number },
): Promise<Buffer> {
  const child = spawnChild(process.execPath, ['--import', './test/support/typescript.mjs', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const chunks: Buffer[] = [];
  let position = after;
  if (!child.stdout) throw new Error('No output');
  for await (const line of createInterface({ input: child.stdout })) {
    const [seq = '', data] = line.split(' ');
    if (data === undefined) {
      if (line !== 'exit') throw new Error(`The terminal gave: ${line}`);
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
