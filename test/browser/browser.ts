/** Debian's Chromium, and pages that are served in place of one of a server's own: of the same origin as the server. */
import { build } from 'esbuild';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { spawnSync } from 'node:child_process';
import { hasPart } from '../support/parts.ts';

/** For `describe.runIf`: false where this machine has no Chromium; throws in CI. */
export const hasChromium = (): boolean => hasPart('chromium');

export async function startBrowser(): Promise<Browser> {
  const executablePath = spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim();
  // No sandbox for root, as in CI's container; /dev/shm is small there. Pages that a test gives out itself have no address,
  // so Chromium takes this machine for a local network of somebody else's.
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-features=LocalNetworkAccessChecks'],
  });
}

/** The page's script in one piece, with one copy of yjs. */
export async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'chrome120',
  });
  return outputFiles[0]?.text ?? '';
}

/** A page of its own profile at `<url>/page`, with this script. What goes wrong in it is in `errors`. */
export async function openPage(
  browser: Browser,
  url: string,
  script: string,
): Promise<{ page: Page; context: BrowserContext; errors: string[] }> {
  const context = await browser.newContext({ viewport: { width: 700, height: 260 } });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const html = '<!doctype html><title>page</title><body style="font: 16px monospace"><div id="editor"></div>';
  await page.route(`${url}/page`, (route) => route.fulfill({ contentType: 'text/html', body: html }));
  await page.goto(`${url}/page`);
  await page.addScriptTag({ content: script });
  return { page, context, errors };
}
