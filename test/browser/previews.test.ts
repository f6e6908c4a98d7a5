/** A preview in a frame of another site, as beside an editor: vite's own dev server, its hot reload, and cookies. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Frame, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createServer, type ViteDevServer } from 'vite';
import { Ends } from '../support/ends.ts';
import { freePort } from '../support/free-port.ts';
import { EVE, PROJECT, ADA, startPreviews, type TestPreviews } from '../tunnels/preview-server.ts';
import { listen } from '../tunnels/registry-server.ts';
import { hasChromium, startBrowser } from './browser.ts';

const HTML =
  '<!doctype html><title>app</title><p id="text"></p><p id="visits"></p><script type="module" src="/main.js"></script>';
const MAIN = `
import { text } from './text.js';
const show = (text) => (document.querySelector('#text').textContent = text);
show(text);
globalThis.loadedAt ??= performance.now();
for (let i = 0; i < 2; i++) document.querySelector('#visits').textContent = await (await fetch('/visits')).text();
import.meta.hot.accept('./text.js', (changed) => show(changed.text));
`;
const textModule = (text: string): string => `export const text = ${JSON.stringify(text)};\n`;

describe.runIf(hasChromium())('a preview in a browser', { timeout: 90_000 }, () => {
  const ends = new Ends();
  let browser: Browser;
  let site: TestPreviews;
  let vite: ViteDevServer;
  let vitePort: number;
  let root: string;
  let editorUrl: string;
  let frameUrl = '';

  beforeAll(async () => {
    const previewPort = await freePort();
    const own = await startPreviews({ previewUrl: `http://localhost:${previewPort}` }, previewPort);
    site = ends.use(own);
    root = await mkdtemp(join(tmpdir(), 'atelier-preview-'));
    ends.defer(() => rm(root, { recursive: true, force: true }));
    await writeFile(join(root, 'index.html'), HTML);
    await writeFile(join(root, 'main.js'), MAIN);
    await writeFile(join(root, 'text.js'), textModule('the first text'));
    vite = await createServer({
      root,
      configFile: false,
      logLevel: 'silent',
      cacheDir: join(root, '.vite'),
      server: { port: 0, host: '127.0.0.1' },
      plugins: [
        {
          name: 'visits',
          configureServer({ middlewares }) {
            middlewares.use('/visits', (request, response) => {
              const [, known = '0'] = /(?:^|; )visits=(\d+)/.exec(request.headers.cookie ?? '') ?? [];
              const visits = Number(known) + 1;
              response.setHeader('set-cookie', `visits=${visits}; Path=/; Domain=localhost; SameSite=Lax`);
              response.end(`${visits} (${request.headers.cookie ?? ''})`);
            });
          },
        },
      ],
    });
    await vite.listen();
    vitePort = Number(new URL(vite.resolvedUrls?.local[0] ?? '').port);
    ends.defer(() => vite.close());
    // Another site than localhost.
    const editor = ends.use(
      await listen((_request, response) => {
        response.setHeader('content-type', 'text/html');
        response.end(
          `<!doctype html><title>editor</title><iframe src="${frameUrl}" width="400" height="200"></iframe>`,
        );
      }),
    );
    editorUrl = editor.url;
    browser = await startBrowser();
    ends.defer(() => browser.close());
  });
  afterAll(() => ends[Symbol.asyncDispose]());

  async function openPage(): Promise<{ page: Page; sockets: string[] }> {
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    return { page, sockets };
  }

  async function frameOf(page: Page): Promise<Frame> {
    const handle = await page.waitForSelector('iframe');
    const frame = await handle.contentFrame();
    if (!frame) throw new Error('There is no frame');
    return frame;
  }

  test('[PV-6] opens in a frame of another site, keeps its cookies there, and reloads what changes', async () => {
    const { url } = await site.previews.previewUrl(PROJECT, vitePort, ADA);
    const { origin, host } = new URL(url);
    frameUrl = url;
    const { page, sockets } = await openPage();
    await page.goto(editorUrl);
    const frame = await frameOf(page);
    await expect.poll(() => frame.textContent('#text'), { timeout: 20_000 }).toBe('the first text');
    // The one-time address is gone from what the page can see of itself.
    expect(await frame.evaluate('location.href')).toBe(`${origin}/`);
    expect(await frame.evaluate('document.referrer')).not.toContain('ticket');
    // The program's own cookie comes back to it; the preview's is seen by nobody.
    await expect.poll(() => frame.textContent('#visits')).toBe('2 (visits=1)');
    expect(await frame.evaluate('document.cookie')).toBe('visits=2');
    await expect.poll(() => sockets.filter((socket) => socket.startsWith(`ws://${host}/`)).length).toBe(1);

    const loadedAt = await frame.evaluate('loadedAt');
    await writeFile(join(root, 'text.js'), textModule('the second text'));
    await expect.poll(() => frame.textContent('#text'), { timeout: 20_000 }).toBe('the second text');
    expect(await frame.evaluate('loadedAt')).toBe(loadedAt);
  });

  test('[PV-6] a tab of its own exchanges its own address; nobody else sees anything', async () => {
    const { url } = await site.previews.previewUrl(PROJECT, vitePort, ADA);
    const { origin } = new URL(url);
    const { page } = await openPage();
    await page.goto(url);
    await expect.poll(() => page.textContent('#text'), { timeout: 20_000 }).toMatch(/^the (first|second) text$/);

    const { page: strangers } = await openPage();
    expect((await strangers.goto(url))?.status()).toBe(404);
    expect((await strangers.goto(`${origin}/`))?.status()).toBe(404);
    expect(await strangers.textContent('h1')).toBe('There is no such preview');
    await expect(site.previews.previewUrl(PROJECT, vitePort, EVE)).rejects.toMatchObject({ code: 'not_found' });
  });
});
