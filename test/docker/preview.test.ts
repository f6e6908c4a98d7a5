/**
 * What sandboxes are for, as people meet it: a project from a template, `npm install` and `npm run dev` typed into a
 * terminal of a container without a network, and its page in the browsers of the project's members.
 */
import { once } from 'node:events';
import { request as send, type IncomingMessage } from 'node:http';
import type { Browser, BrowserContext, Frame, Page } from 'playwright-core';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { hasChromium, startBrowser } from '../browser/browser.ts';
import { call, heard } from '../support/calls.ts';
import { Ends } from '../support/ends.ts';
import { hasNpmRegistry } from '../support/parts.ts';
import { hasRedis } from '../support/redis.ts';
import type { Person, World } from '../support/server.ts';
import { listen } from '../tunnels/registry-server.ts';
import { startDockerCluster, startDockerServer } from './deployments.ts';
import { openShell } from './shell.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

/** How long a package registry, or a development server that starts, may take on a busy machine. */
const PATIENCE_MS = 150_000;

const ends = new Ends();
afterAll(() => ends[Symbol.asyncDispose]());

/** A member where the project's sandbox runs, the same one where it does not, and a stranger. */
interface People {
  world: World;
  ada: Person;
  near: Socket;
  far: Socket;
  eve: Socket;
}

async function peopleOf(near: World, far: World): Promise<People> {
  const ada = await near.person('Ada');
  return {
    world: near,
    ada,
    near: await near.socket(ada),
    far: await far.socket(ada),
    eve: await far.socket(await far.person('Eve')),
  };
}

const onOneServer = async (): Promise<People> => {
  const server = ends.use(await startDockerServer({ SANDBOX_VOLUME_MIB: '1024' }));
  return peopleOf(server, server);
};

const onTwoServers = async (): Promise<People> => {
  const { cluster } = ends.use(await startDockerCluster({ nodes: 2, env: { SANDBOX_VOLUME_MIB: '1024' } }));
  return peopleOf(cluster.world(0), cluster.world(1));
};

/** What the preview's own server says to somebody who is no browser: names below localhost are not looked up here. */
async function ask(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const { host, port, pathname, search } = new URL(url);
  const asked = send({ host: '127.0.0.1', port, path: pathname + search, headers: { host, ...headers } });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return answer.resume();
}

const statusOf = async (url: string, headers?: Record<string, string>): Promise<number | undefined> =>
  (await ask(url, headers)).statusCode;

async function fileAt(socket: Socket, projectId: string, path: string): Promise<string> {
  const { files } = await call(socket, 'file:tree', { projectId });
  return files.find((file) => file.path === path)?.id ?? '';
}

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

  const places: [string, () => Promise<People>][] = [['its own server', onOneServer]];
  if (hasRedis()) places.push(['a server that does not have its sandbox', onTwoServers]);

  test.each(places)(
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
