/** The starter files, installed, built and served as their owners do it, from the npm registry. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { templateFiles } from '../../src/features/templates/index.ts';
import { freePort } from '../support/free-port.ts';
import { hasNpmRegistry, npmEnvironment } from '../support/parts.ts';

/** Installing takes as long as the registry and the disk do. */
const TIMEOUT = 600_000;
/** No name of this machine: that of a preview. */
const HOST = 'p-1234.preview.example.com';

describe.runIf(hasNpmRegistry())('a project from a template', { timeout: TIMEOUT }, () => {
  const directories: string[] = [];
  let server: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    const child = server;
    server = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    // npm, its shell and what they have started are one group.
    process.kill(-child.pid, 'SIGKILL');
    await once(child, 'exit');
  };
  const stopAtExit = (): void => {
    if (server?.pid !== undefined) process.kill(-server.pid, 'SIGKILL');
  };
  process.once('exit', stopAtExit);
  afterEach(stop);
  afterAll(async () => {
    process.off('exit', stopAtExit);
    await Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true })));
  });

  async function install(template: string): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), `atelier-starter-${template}-`));
    directories.push(directory);
    for (const { path, content } of await templateFiles(template)) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), content);
    }
    await npm(directory, 'install', '--no-audit', '--no-fund');
    return directory;
  }

  async function npm(directory: string, ...args: string[]): Promise<void> {
    const child = spawn('npm', args, { cwd: directory, env: npmEnvironment, stdio: ['ignore', 'pipe', 'pipe'] });
    const [[code], out, errors] = await Promise.all([
      once(child, 'exit') as Promise<[number | null]>,
      text(child.stdout),
      text(child.stderr),
    ]);
    if (code !== 0) throw new Error(`npm ${args.join(' ')} ended with ${code}:\n${out}${errors}`);
  }

  /** Runs a script that serves, until it answers; gives the page, got as by a browser elsewhere. */
  async function serve(directory: string, script: string): Promise<{ page: string; port: number }> {
    const port = await freePort();
    const child = spawn('npm', ['run', script], {
      cwd: directory,
      env: { ...npmEnvironment, PORT: String(port) },
      stdio: 'ignore',
      detached: true,
    });
    server = child;
    await expect
      .poll(() => (child.exitCode === null ? statusOf(port) : `ended with ${child.exitCode}`), { timeout: 120_000 })
      .toBe(200);
    return { page: await text(await get(port, '/')), port };
  }

  const get = (port: number, path: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = { host: HOST, origin: `http://${HOST}`, accept: 'text/html,*/*' };
      request({ host: '127.0.0.1', port, path, headers }, resolve).once('error', reject).end();
    });
  const statusOf = (port: number): Promise<number | undefined> =>
    get(port, '/').then(
      (answer) => {
        answer.resume();
        return answer.statusCode;
      },
      () => undefined,
    );

  /** Both servers give the page to another host, and the script that it loads, if it has one. */
  async function isServed(directory: string, title: string, { hasScript = true } = {}): Promise<void> {
    for (const script of ['dev', 'start']) {
      const { page, port } = await serve(directory, script);
      expect(page).toContain(`<title>${title}</title>`);
      const source = /<script[^>]* src="([^"]+)"/.exec(page)?.[1];
      expect(source !== undefined).toBe(hasScript);
      expect((await get(port, source ?? '/')).resume().statusCode).toBe(200);
      await stop();
    }
  }

  test.each([
    ['react', 'React app'],
    ['vue', 'Vue app'],
    ['html', 'HTML page'],
  ])('%s is built into a page with its script, and served', async (template, title) => {
    const directory = await install(template);
    await npm(directory, 'run', 'build');
    const page = await readFile(join(directory, 'dist/index.html'), 'utf8');
    expect(page).toContain(`<title>${title}</title>`);
    const assets = [...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, path = '']) => path);
    expect(assets.map((path) => path.split('.').at(-1)).toSorted((a = '', b = '') => a.localeCompare(b))).toEqual([
      'css',
      'js',
    ]);
    for (const path of assets) expect((await stat(join(directory, 'dist', path))).size).toBeGreaterThan(0);
    await isServed(directory, title);
  });

  test('nextjs is built into a page with its script, and served', async () => {
    const directory = await install('nextjs');
    await npm(directory, 'run', 'build');
    expect((await stat(join(directory, '.next/BUILD_ID'))).size).toBeGreaterThan(0);
    await isServed(directory, 'Next.js app');
  });

  test('node is checked and served', async () => {
    const directory = await install('node');
    await npm(directory, 'run', 'build');
    expect(await readdir(directory)).toContain('package.json');
    await isServed(directory, 'Node app', { hasScript: false });
  });
});
