/** People in real browsers, with CodeMirror by the SDK's provider and by a stock one, and a program in Node. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import * as Y from 'yjs';
import type { AtelierClient } from '../../src/client/index.ts';
import { SocketIOProvider } from '../../src/client/yjs.ts';
import { makeTextFile } from '../support/projects.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';
import { startTcpCutter, type TcpCutter } from '../support/tcp-cutter.ts';
import { bundle, hasChromium, openPage, startBrowser } from './browser.ts';
import type { EditorOptions, EditorPage } from './editor-page.ts';

declare const editor: EditorPage;

interface BrowserEditor {
  page: Page;
  cable: TcpCutter;
  errors: string[];
  text: () => Promise<string>;
  cursors: () => Promise<string[]>;
  status: () => Promise<string | undefined>;
  unsaved: () => Promise<number>;
}

describe.runIf(hasChromium())('editors in a browser', { timeout: 90_000 }, () => {
  let server: TestServer;
  let browser: Browser;
  let script: string;

  beforeAll(async () => {
    [server, browser, script] = await Promise.all([
      startServer(),
      startBrowser(),
      bundle('test/browser/editor-page.ts'),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
    if (server?.errors.length) throw new AggregateError(server.errors, 'The server had errors');
  });

  /** A page of this person's own, behind a cable of its own. */
  async function openEditor(person: Person, fileId: string, stock: boolean, color: string): Promise<BrowserEditor> {
    const cable = await startTcpCutter({ host: '127.0.0.1', port: Number(new URL(server.url).port) });
    const url = `http://127.0.0.1:${cable.port}`;
    const { page, context, errors } = await openPage(browser, url, script);
    onTestFinished(async () => {
      await context.close();
      await cable[Symbol.asyncDispose]();
    });
    const token = stock ? await ticketFor(person, fileId) : person.accessToken;
    const options: EditorOptions = { url, fileId, token, name: person.name, color, stock };
    await page.evaluate((given) => editor.open(given), options);
    await expect.poll(() => page.evaluate(() => editor.synced()), { timeout: 10_000 }).toBe(true);
    return {
      page,
      cable,
      errors,
      text: () => page.evaluate(() => editor.text()),
      cursors: () => page.evaluate(() => editor.cursors()),
      status: () => page.evaluate(() => editor.statuses.at(-1)),
      unsaved: () => page.evaluate(() => editor.unsavedChanges()),
    };
  }

  async function ticketFor(person: Person, fileId: string): Promise<string> {
    return (await (await server.client(person)).call('doc:ticket', { fileId })).ticket;
  }

  function program(client: AtelierClient, fileId: string, name: string): { text: Y.Text; provider: SocketIOProvider } {
    const doc = new Y.Doc();
    onTestFinished(() => doc.destroy());
    const provider = new SocketIOProvider(client, fileId, doc);
    provider.awareness.setLocalStateField('user', { name, color: '#208020' });
    return { text: doc.getText('content'), provider };
  }

  /** Ada by the SDK's provider, Ben by a stock one, and a program of Ada's. */
  async function three(content: string): Promise<{
    ada: BrowserEditor;
    ben: BrowserEditor;
    robot: { text: Y.Text; provider: SocketIOProvider };
    /** What all have, once they have the same and the file has it. */
    text: () => Promise<string>;
  }> {
    const people = [await server.person('Ada'), await server.person('Ben')] as const;
    const client = await server.client(people[0]);
    const { fileId } = await makeTextFile(client, { content, editors: [people[1]] });
    const ada = await openEditor(people[0], fileId, false, '#d02050');
    const ben = await openEditor(people[1], fileId, true, '#2050d0');
    const robot = program(client, fileId, 'Robot');
    await expect.poll(() => robot.provider.synced).toBe(true);
    const text = async (): Promise<string> => {
      const all = async (): Promise<string[]> => [await ada.text(), await ben.text(), robot.text.toJSON()];
      await expect.poll(async () => new Set(await all()).size, { timeout: 15_000 }).toBe(1);
      await expect.poll(() => ada.unsaved()).toBe(0);
      const read = await client.call('file:read', { fileId });
      expect('content' in read && read.content).toBe(robot.text.toJSON());
      return robot.text.toJSON();
    };
    return { ada, ben, robot, text };
  }

  /** Puts the cursor at the end of a line. */
  async function clickLine(page: Page, line: number): Promise<void> {
    await page.locator('.cm-line').nth(line).click();
    await page.keyboard.press('End');
  }

  test('[SD-41] all three write at once, hold the same text, and see where the others are', async () => {
    const { ada, ben, robot, text } = await three('Ada: \nBen: \nRobot:');
    await clickLine(ada.page, 0);
    await clickLine(ben.page, 1);
    const sentences = ['what Ada types stays together', 'what Ben types does so, too'] as const;
    const words = Array.from({ length: 20 }, (_, i) => ` ${i}`);
    await Promise.all([
      ada.page.keyboard.type(sentences[0], { delay: 15 }),
      ben.page.keyboard.type(sentences[1], { delay: 15 }),
      (async () => {
        for (const word of words) {
          robot.text.insert(robot.text.length, word);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })(),
    ]);
    expect(await text()).toBe(`Ada: ${sentences[0]}\nBen: ${sentences[1]}\nRobot:${words.join('')}`);
    const end = Y.createRelativePositionFromTypeIndex(robot.text, robot.text.length);
    robot.provider.awareness.setLocalStateField('cursor', { anchor: end, head: end });
    await expect.poll(() => ada.cursors()).toEqual(['Ben', 'Robot']);
    await expect.poll(() => ben.cursors()).toEqual(['Ada', 'Robot']);
    const there = (): unknown[] =>
      Array.from(robot.provider.awareness.getStates().values(), ({ user }) => (user as { name: string }).name).sort();
    await expect.poll(there).toEqual(['Ada', 'Ben', 'Robot']);
    // A page that is closed takes its cursor with it.
    await ben.page.close({ runBeforeUnload: true });
    await expect.poll(() => ada.cursors()).toEqual(['Robot']);
    expect([...ada.errors, ...ben.errors]).toEqual([]);
  });

  test('[SD-41] what is typed without a connection is merged when it is back, whichever provider', async () => {
    const { ada, ben, robot, text } = await three('Ada: \nBen: \nRobot:');
    for (const [n, { page, cable, status }] of [ada, ben].entries()) {
      cable.silence();
      cable.cut();
      await expect.poll(status, { timeout: 10_000 }).not.toBe('connected');
      await clickLine(page, n);
      await page.keyboard.type('offline');
    }
    expect(await ada.unsaved()).toBeGreaterThan(0);
    robot.text.insert(robot.text.length, ' meanwhile');
    await expect.poll(() => robot.provider.unsavedChanges).toBe(0);
    for (const { cable } of [ada, ben]) {
      cable.heal();
      cable.cut();
    }
    await expect
      .poll(() => robot.text.toJSON(), { timeout: 20_000 })
      .toBe('Ada: offline\nBen: offline\nRobot: meanwhile');
    await text();
    await expect.poll(() => ada.cursors(), { timeout: 20_000 }).toEqual(['Ben']);
    expect([...ada.errors, ...ben.errors]).toEqual([]);
  });
});
