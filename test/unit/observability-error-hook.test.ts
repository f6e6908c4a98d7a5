import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createErrorHook, type Log } from '../../src/observability/index.ts';

interface Report {
  headers: IncomingMessage['headers'];
  body: Record<string, unknown>;
}

describe('the error hook', () => {
  const server = createServer((request, response) => void answer(request, response));
  let reports: Report[];
  let warnings: unknown[];
  let hold: Promise<void> | undefined;
  let status: number;
  let dsn: string;
  const log: Log = {
    debug: () => {},
    info: () => {},
    warn: (message, fields) => warnings.push({ message, ...fields }),
    error: () => {},
    child: () => log,
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    reports.push({ headers: request.headers, body: JSON.parse(text) as Record<string, unknown> });
    await hold;
    response.writeHead(status).end();
  }

  beforeEach(async () => {
    reports = [];
    warnings = [];
    hold = undefined;
    status = 200;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    dsn = `http://127.0.0.1:${(server.address() as AddressInfo).port}/errors`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  test('[OB-40] sends a bug as JSON, redacted like a log line', async () => {
    const hook = createErrorHook({ dsn, log });
    hook.report(new TypeError('it broke'), { operation: 'chat:create', password: 'a-private-password' });
    await hook.close();
    expect(reports[0]?.body).toMatchObject({
      operation: 'chat:create',
      password: '[redacted]',
      error: { name: 'TypeError', message: 'it broke' },
    });
    expect(warnings).toEqual([]);
  });

  test('[OB-41] takes credentials from the address', async () => {
    const hook = createErrorHook({ dsn: dsn.replace('http://', 'http://key:p%40ss@'), log });
    hook.report(new Error('it broke'));
    await hook.close();
    expect(reports[0]?.headers.authorization).toBe(`Basic ${Buffer.from('key:p@ss').toString('base64')}`);
  });

  test('[OB-42] does not turn a flood of bugs into a flood of requests', async () => {
    let go = (): void => {};
    hold = new Promise((resolve) => {
      go = resolve;
    });
    const hook = createErrorHook({ dsn, log });
    for (let count = 0; count < 100; count++) hook.report(new Error('again'));
    await expect.poll(() => reports.length).toBe(5);
    go();
    await hook.close();
    expect(reports).toHaveLength(5);
  });

  test('[OB-43] fails nothing when reports are refused or cannot be sent, and does not show the address', async () => {
    status = 500;
    const refused = createErrorHook({ dsn, log });
    refused.report(new Error('it broke'));
    await refused.close();
    const unreachable = createErrorHook({ dsn: 'http://key@127.0.0.1:1/a-private-path', log });
    unreachable.report(new Error('it broke'));
    await unreachable.close();
    expect(warnings).toEqual([
      { message: 'An error report was refused', status: 500 },
      { message: 'An error report could not be sent' },
    ]);
  });

  test('[OB-44] does nothing without an address', async () => {
    const hook = createErrorHook({ log });
    hook.report(new Error('it broke'));
    await hook.close();
    expect(reports).toEqual([]);
  });
});
