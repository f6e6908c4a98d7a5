import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadSecrets, type Secrets } from '../../src/config/index.ts';

const run = promisify(execFile);

let dataDir: string;
beforeEach(async () => {
  dataDir = join(await mkdtemp(join(tmpdir(), 'atelier-test-')), 'data');
});
afterEach(() => rm(join(dataDir, '..'), { recursive: true, force: true }));

describe('the secrets', () => {
  test('[CF-20] are generated once and kept', async () => {
    const first = await loadSecrets({ dataDir });
    expect(first.jwtSecret.length).toBeGreaterThanOrEqual(64);
    expect(first.authPepper).not.toBe(first.jwtSecret);
    expect(await loadSecrets({ dataDir })).toEqual(first);
    expect(await readdir(dataDir)).toEqual(['secrets.json']);
    expect((await stat(join(dataDir, 'secrets.json'))).mode & 0o777).toBe(0o600);
  });

  test('[CF-21] are those of the environment where they are given, and then no file is written', async () => {
    const given = { jwtSecret: 'given secret', authPepper: 'given pepper' };
    expect(await loadSecrets({ dataDir, ...given })).toEqual(given);
    await expect(readdir(dataDir)).rejects.toThrow(/ENOENT/);
    const half = await loadSecrets({ dataDir, jwtSecret: 'given secret' });
    expect(half.jwtSecret).toBe('given secret');
    expect(half.authPepper).toBe((await loadSecrets({ dataDir })).authPepper);
  });

  test('[CF-22] are the same for starters that come together', async () => {
    const together = await Promise.all(Array.from({ length: 20 }, () => loadSecrets({ dataDir })));
    expect(new Set(together.map((secrets) => JSON.stringify(secrets))).size).toBe(1);
    expect(await readdir(dataDir)).toEqual(['secrets.json']);
  });

  test('[CF-23] are the same for processes that start together', async () => {
    const module = new URL('../../src/config/secrets.ts', import.meta.url).href;
    const script = `const { loadSecrets } = await import(${JSON.stringify(module)});
      console.log(JSON.stringify(await loadSecrets({ dataDir: ${JSON.stringify(dataDir)} })));`;
    const outputs = await Promise.all(
      Array.from({ length: 4 }, () =>
        run(process.execPath, ['--import', './test/support/typescript.mjs', '--input-type=module', '-e', script]),
      ),
    );
    const all = outputs.map(({ stdout }) => JSON.parse(stdout) as Secrets);
    expect(new Set(all.map(({ jwtSecret, authPepper }) => jwtSecret + authPepper)).size).toBe(1);
  });

  test('[CF-24] are never replaced when their file is damaged, nor shown', async () => {
    const { jwtSecret } = await loadSecrets({ dataDir });
    await writeFile(join(dataDir, 'secrets.json'), `{"jwtSecret":"${jwtSecret}"`);
    const failure = await loadSecrets({ dataDir }).catch((error: unknown) => error);
    expect(String(failure)).toContain('secrets.json is damaged');
    expect(String(failure)).not.toContain(jwtSecret);
  });
});
