/**
 * What sandboxes are for, as people meet it: a project from a template, `npm install` and `npm run dev` typed into a
 * terminal of a container without a network, and its page in the browsers of the project's members.
 */
import { once } from 'node:events';
import { request as send, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Browser, BrowserContext, Frame, Page } from 'playwright-core';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { hasChromium, startBrowser } from '../browser/browser.ts';
import { call, heard } from '../support/calls.ts';
import { Ends } from '../support/ends.ts';
import { hasNpmRegistry } from '../support/parts.ts';
import { hasRedis } from '../support/redis.ts';
import type { World } from '../support/server.ts';
import { listen, startRegistry } from '../tunnels/registry-server.ts';
import { startDockerCluster, startDockerServer } from './deployments.ts';
import { openShell } from './shell.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

/** How long a package registry, or a development server that starts, may take on a busy machine. */
const PATIENCE_MS = 150_000;

const ends = new Ends();
afterAll(() => ends[Symbol.asyncDispose]());

/** A member where the project's sandbox runs, the same one at another server if there is one, and a stranger. */
interface People {
  world: World;
  near: Socket;
  far: Socket;
  eve: Socket;
}

async function peopleOf(near: World, far: World): Promise<People> {
  const ada = await near.person('Ada');
  return {
    world: near,
    near: await near.socket(ada),
    far: await far.socket(ada),
    eve: await far.socket(await far.person('Eve')),
  };
}

type Open = (env?: Record<string, string>) => Promise<People>;

const onOneServer: Open = async (env) => {
  const server = ends.use(await startDockerServer({ SANDBOX_VOLUME_MIB: '1024', ...env }));
  return peopleOf(server, server);
};

const onTwoServers: Open = async (env) => {
  const { cluster } = ends.use(await startDockerCluster({ nodes: 2, env: { SANDBOX_VOLUME_MIB: '1024', ...env } }));
  return peopleOf(cluster.world(0), cluster.world(1));
};

const PLACES: [place: string, open: Open][] = [
  ['its own server', onOneServer],
  ...(hasRedis() ? [['a server that does not have its sandbox', onTwoServers] as [string, Open]] : []),
];

/** What a preview says to somebody who is no browser: names below localhost are not looked up here. */
async function ask(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const { host, port, pathname, search } = new URL(url);
  const asked = send({ host: '127.0.0.1', port, path: pathname + search, headers: { host, ...headers } });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return answer;
}

const statusOf = async (url: string, headers?: Record<string, string>): Promise<number | undefined> =>
  (await ask(url, headers)).resume().statusCode;

async function fileAt(socket: Socket, projectId: string, path: string): Promise<string> {
  const { files } = await call(socket, 'file:tree', { projectId });
  return files.find((file) => file.path === path)?.id ?? '';
}

describe.each(PLACES)('previews at %s', (_place, open) => {
  test('[PV-7] show what listens on a port, whichever loopback it is, as it comes, goes and comes again', async () => {
    const index = ends.use(await startRegistry());
    await index.publishWheel('trunk', '1.2.0', 'print("a trunk of 1.2.0")\n');
    const { near, far } = await open({ SANDBOX_REGISTRY: index.pipUrl });
    const { project } = await call(near, 'project:create', { name: 'A project', template: 'empty' });
    const projectId = project.id;
    await call(near, 'file:create', { projectId, path: 'page.html', content: '<h1>From Python</h1>' });
    const changes: string[] = [];
    far.on('sandbox:port-opened', ({ port }) => changes.push(`${port} opened`));
    far.on('sandbox:port-closed', ({ port }) => changes.push(`${port} closed`));
    const sees = (...expected: string[]): Promise<void> =>
      expect.poll(() => changes.splice(0), { timeout: 20_000 }).toEqual(expected);
    /** Origin and cookie of a preview. */
    const enter = async (port: number): Promise<{ origin: string; cookie: string }> => {
      const { url } = await call(far, 'sandbox:preview-url', { projectId, port });
      const [cookie = ''] = (await ask(url)).resume().headers['set-cookie'] ?? [];
      return { origin: new URL(url).origin, cookie: cookie.split(';')[0] ?? '' };
    };

    const shell = await openShell(near, projectId);
    await shell.type('pip install trunk; python3 -c "import trunk"; echo installed-$?\n');
    await shell.sees(/a trunk of 1\.2\.0\s+installed-0/, PATIENCE_MS);

    const { origin, cookie } = await enter(8000);
    const early = await ask(origin, { cookie, accept: 'text/html' });
    expect(early.statusCode).toBe(502);
    expect(early.headers.refresh).toBe('2');
    expect(await text(early)).toContain('Nothing listens on port 8000 yet');
    for (const _round of [1, 2]) {
      await shell.type('python3 -m http.server\n');
      await sees('8000 opened');
      expect(await text(await ask(origin, { cookie }))).toContain('page.html');
      expect(await text(await ask(`${origin}/page.html`, { cookie }))).toBe('<h1>From Python</h1>');
      expect(await statusOf(`${origin}/page.html`)).toBe(404);
      await shell.type('\x03');
      await sees('8000 closed');
      expect(await statusOf(origin, { cookie })).toBe(502);
    }

    const listeners = ['127.0.0.1', '::1', 'localhost'].map((host, n) => `listen(${8001 + n}, '${host}')`);
    const answers = "(_request, response) => response.write('begun ') && setTimeout(() => response.end('ended'), 500)";
    await call(near, 'file:create', {
      projectId,
      path: 'listeners.cjs',
      content: `for (const at of [${listeners.map((at) => `(s) => s.${at}`).join()}]) at(require('http').createServer(${answers}));`,
    });
    await shell.type('until [ -f listeners.cjs ]; do sleep 0.1; done; node listeners.cjs\n');
    await expect
      .poll(() => changes.toSorted(), { timeout: 20_000 })
      .toEqual(['8001 opened', '8002 opened', '8003 opened']);
    for (const port of [8001, 8002, 8003]) {
      const own = await enter(port);
      expect(await text(await ask(own.origin, { cookie: own.cookie }))).toBe('begun ended');
      // The cookie of another port's origin is as good: they are one project's.
      expect(await statusOf(own.origin, { cookie })).toBe(200);
    }
  });

  test('[PV-5] what is open ends with the sandbox, and a page says that it does not run until it does', async () => {
    const { near, far } = await open();
    const { project } = await call(near, 'project:create', { name: 'A project', template: 'empty' });
    const projectId = project.id;
    const opened = heard(far, 'sandbox:port-opened');
    const program = "require('http').createServer((_request, response) => response.write('begun')).listen(3000)";
    const run = async (): Promise<void> => {
      opened.length = 0;
      const shell = await openShell(near, projectId);
      await shell.type(`node -e "${program}"\n`);
      await expect.poll(() => opened, { timeout: 20_000 }).toEqual([{ projectId, port: 3000 }]);
    };
    await run();
    const { url } = await call(far, 'sandbox:preview-url', { projectId, port: 3000 });
    const { origin } = new URL(url);
    const cookie = (await ask(url)).resume().headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    const stream = await ask(origin, { cookie });
    const [first] = (await once(stream, 'data')) as [Buffer];
    expect(first.toString()).toBe('begun');
    const broken = new Promise((resolve) => stream.once('close', () => resolve(stream.complete)));
    stream.on('error', () => {});
    await call(near, 'sandbox:stop', { projectId });
    expect(await broken).toBe(false);

    const page = await ask(origin, { cookie, accept: 'text/html' });
    expect(page.statusCode).toBe(503);
    expect(page.headers.refresh).toBe('3');
    expect(await text(page)).toContain('The sandbox is not running');
    await run();
    expect(await statusOf(origin, { cookie })).toBe(200);
  });
});

test.runIf(hasRedis())(
  '[PV-5] while another server takes a sandbox over, nothing wrong is said of its ports',
  async () => {
    const { cluster } = ends.use(await startDockerCluster({ nodes: 2, env: { SANDBOX_VOLUME_MIB: '64' } }));
    const { near, far } = await peopleOf(cluster.world(0), cluster.world(1));
    const { project } = await call(near, 'project:create', { name: 'A project', template: 'empty' });
    const projectId = project.id;
    const shell = await openShell(near, projectId);
    await shell.type("node -e \"require('http').createServer((_, response) => response.end('here')).listen(3000)\"\n");
    const portsOf = async (): Promise<number[]> => (await call(far, 'sandbox:status', { projectId })).sandbox.ports;
    await expect.poll(portsOf, { timeout: 20_000 }).toEqual([3000]);
    const { url } = await call(far, 'sandbox:preview-url', { projectId, port: 3000 });
    const { origin } = new URL(url);
    const cookie = (await ask(url)).resume().headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    expect(await text(await ask(origin, { cookie }))).toBe('here');
    await cluster.nodes[0]?.kill();
    const said = new Set<string>();
    await expect
      .poll(
        async () => {
          const answer = await ask(origin, { cookie });
          const page = await text(answer);
          if (answer.statusCode !== 200) said.add(`${answer.statusCode} ${page.split('.')[0]}`);
          return page;
        },
        { timeout: 60_000 },
      )
      .toBe('here');
    expect([...said]).toContain('503 The sandbox does not answer');
    expect([...said].filter((line) => !line.startsWith('503 The sandbox '))).toEqual([]);
  },
);

describe.runIf(hasChromium() && hasNpmRegistry())('the page of a project', () => {
  let browser: Browser;
  let frameUrl = '';
  let editorUrl: string;

  beforeAll(async () => {
    browser = await startBrowser();
    ends.defer(() => browser.close());
    // Another site than localhost, as an editor is.
    const editor = ends.use(
      await listen((_request, response) => {
        response.setHeader('content-type', 'text/html');
        response.end(
          `<!doctype html><title>editor</title><iframe src="${frameUrl}" width="600" height="400"></iframe>`,
        );
      }),
    );
    editorUrl = editor.url;
  });

  async function profile(): Promise<BrowserContext> {
    const context = await browser.newContext();
    onTestFinished(() => context.close());
    return context;
  }

  async function openInFrame(url: string): Promise<{ page: Page; frame: Frame }> {
    frameUrl = url;
    const page = await (await profile()).newPage();
    await page.goto(editorUrl);
    const frame = await (await page.waitForSelector('iframe')).contentFrame();
    if (!frame) throw new Error('There is no frame');
    return { page, frame };
  }

  test.each(PLACES)(
    '[PV-7] installed and run in a terminal it opens at %s, hot reload and all',
    async (_place, open) => {
      const { world, near, far, eve } = await open();
      const { project } = await call(near, 'project:create', { name: 'A site', template: 'react' });
      const projectId = project.id;
      const opened = heard(far, 'sandbox:port-opened');
      const shell = await openShell(near, projectId);
      await shell.type('npm install; echo installed-$?\n');
      await shell.sees('installed-0', PATIENCE_MS);
      await shell.type('npm run dev\n');
      await shell.sees(/Local:\s+http:\/\/localhost:5173/, PATIENCE_MS);
      await expect.poll(() => opened, { timeout: 20_000 }).toEqual([{ projectId, port: 5173 }]);

      const address = async (): Promise<string> =>
        (await call(far, 'sandbox:preview-url', { projectId, port: 5173 })).url;
      const { frame } = await openInFrame(await address());
      const button = frame.locator('button');
      await button.click({ timeout: PATIENCE_MS });
      expect(await button.textContent()).toBe('Clicked 1 times');

      const url = await address();
      const tab = await (await profile()).newPage();
      await tab.goto(url);
      expect(await tab.locator('h1').textContent({ timeout: PATIENCE_MS })).toBe('React app');

      // Changed while it stands there: what has been clicked stays.
      const fileId = await fileAt(near, projectId, 'src/App.jsx');
      await call(far, 'file:edit', { fileId, edits: [{ find: 'React app', replace: 'Seen at once' }] });
      for (const page of [frame, tab]) {
        await expect.poll(() => page.textContent('h1'), { timeout: 30_000 }).toBe('Seen at once');
      }
      expect(await button.textContent()).toBe('Clicked 1 times');

      await expect(call(eve, 'sandbox:preview-url', { projectId, port: 5173 })).rejects.toMatchObject({
        code: 'not_found',
      });
      const origin = new URL(url).origin;
      const strangers = await (await profile()).newPage();
      for (const closed of [url, origin, `${origin}/src/App.jsx`]) {
        expect((await strangers.goto(closed))?.status()).toBe(404);
        expect(await statusOf(closed)).toBe(404);
      }

      const other = await openShell(far, projectId);
      await other.type('curl -sS -m 9 -o /dev/null http://localhost:5173/src/App.jsx; echo own-$?\n');
      await other.sees('own-0');
      const server = new URL(world.url).port;
      const elsewhere = [
        'https://example.com',
        'http://1.1.1.1',
        'http://169.254.169.254',
        `http://127.0.0.1:${server}`,
      ];
      for (const [n, target] of elsewhere.entries()) {
        await other.type(`curl -sS -m 9 ${target}; echo status-${n}-$?\n`);
        await other.sees(new RegExp(`status-${n}-[67]\\r`));
      }
    },
  );
});
