import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DataDirLocked, lockDataDir } from '../../src/storage/data-dir-lock.ts';

let dataDir: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
});
afterEach(async () => {
  await Promise.all(children.splice(0).map(kill));
  await rm(dataDir, { recursive: true, force: true });
});

const module = new URL('../../src/storage/data-dir-lock.ts', import.meta.url).href;
const script = `
  import { createInterface } from 'node:readline';
  import { lockDataDir } from ${JSON.stringify(module)};
  console.log('started');
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  await lines.next();
  try {
    await lockDataDir({ dataDir: process.env.LOCK_DIR, shared: process.env.LOCK_SHARED === 'yes' });
    console.log('locked');
  } catch (error) {
    console.log(error.message);
  }
  await lines.next();
  process.exit();`;

interface Starter {
  child: ChildProcess;
  /** Tells it to go on and resolves to what it says. */
  go(): Promise<string>;
}

/** A process that locks the directory when it is told to. */
async function start(directory = dataDir, shared = false): Promise<Starter> {
  const child = spawn(
    process.execPath,
    ['--import', './test/support/typescript.mjs', '--input-type=module', '-e', script],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, LOCK_DIR: directory, LOCK_SHARED: shared ? 'yes' : 'no' },
    },
  );
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('started');
  return {
    child,
    async go() {
      child.stdin.write('go\n');
      return String((await lines.next()).value);
    },
  };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

describe('the lock of the data directory', () => {
  test('[ST-20] refuses a second process and names the first', async () => {
    const first = await start();
    expect(await first.go()).toBe('locked');
    const refusal = await lockDataDir({ dataDir }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(DataDirLocked);
    expect(refusal).toMatchObject({ pid: first.child.pid });
    expect(String(refusal)).toContain(String(first.child.pid));
    expect(await readdir(join(dataDir, 'locks'))).toHaveLength(1);
  });

  test('[ST-21] is free after kill -9', async () => {
    const first = await start();
    expect(await first.go()).toBe('locked');
    await kill(first.child);
    expect(await readdir(join(dataDir, 'locks'))).toHaveLength(1);
    const lock = await lockDataDir({ dataDir });
    expect(await readdir(join(dataDir, 'locks'))).toHaveLength(1);
    await lock.close();
    expect(await readdir(join(dataDir, 'locks'))).toEqual([]);
  });

  test('[ST-22] is not taken from a process that stands still', async () => {
    const first = await start();
    expect(await first.go()).toBe('locked');
    first.child.kill('SIGSTOP');
    await expect(lockDataDir({ dataDir })).rejects.toThrow(DataDirLocked);
  });

  test('[ST-23] lets one in of several that start together', async () => {
    const starters = await Promise.all([start(), start(), start(), start()]);
    const outcomes = await Promise.all(starters.map((starter) => starter.go()));
    expect(outcomes.filter((outcome) => outcome === 'locked')).toHaveLength(1);
    const winner = starters[outcomes.indexOf('locked')];
    const refusals = outcomes.filter((outcome) => outcome.includes('is in use by process'));
    expect(refusals).toHaveLength(3);
    expect(await readdir(join(dataDir, 'locks'))).toEqual([expect.stringMatching(`^${winner?.child.pid}-`)]);
  });

  test('[ST-24] never lets two in within one process either, round after round', async () => {
    for (let round = 0; round < 3; round++) {
      const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => lockDataDir({ dataDir })));
      const locks = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      expect(locks.length).toBeLessThanOrEqual(1);
      await Promise.all(locks.map((lock) => lock.close()));
    }
  });

  test('[ST-25] lets processes share that all say so, and nobody else', async () => {
    const [first, second] = await Promise.all([start(dataDir, true), start(dataDir, true)]);
    expect(await Promise.all([first.go(), second.go()])).toEqual(['locked', 'locked']);
    await expect(lockDataDir({ dataDir })).rejects.toThrow(DataDirLocked);
    await kill(first.child);
    await kill(second.child);
    const lock = await lockDataDir({ dataDir });
    await expect(lockDataDir({ dataDir, shared: true })).rejects.toThrow(DataDirLocked);
    await lock.close();
  });

  test('[ST-26] works in a directory whose path is too long for a socket', async () => {
    const long = join(dataDir, 'x'.repeat(90), 'y'.repeat(90));
    await mkdir(long, { recursive: true });
    const first = await start(long);
    expect(await first.go()).toBe('locked');
    await expect(lockDataDir({ dataDir: long })).rejects.toMatchObject({ pid: first.child.pid });
    await kill(first.child);
    await (await lockDataDir({ dataDir: long })).close();
    expect(await readdir(join(long, 'locks'))).toEqual([]);
  });
});
