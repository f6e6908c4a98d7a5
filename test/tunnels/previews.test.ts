/** Previews over real connections: who gets in, what programs see, what browsers see, and what ends. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { previewUrlProblem } from '../../src/config/preview-url.ts';
import { Fault, withResolvers } from '../../src/protocol/index.ts';
import { Ends } from '../support/ends.ts';
import { freePort } from '../support/free-port.ts';
import { listen } from './registry-server.ts';
import {
  ADA,
  connectLocally,
  EVE,
  OTHER_PROJECT,
  PROJECT,
  startPreviews,
  type TestPreviews,
} from './preview-server.ts';

let ends: Ends;
let site: TestPreviews;

beforeEach(async () => {
  ends = new Ends();
  site = ends.use(await startPreviews());
});
afterEach(() => ends[Symbol.asyncDispose]());

/** A program that answers with what it was asked, and which headers it got. */
async function startEcho(answer: Record<string, string | string[]> = {}): Promise<number> {
  const { port } = ends.use(
    await listen((request, response) => {
      void text(request).then((body) => {
        response.writeHead(Number(request.headers['x-status'] ?? 200), {
          'content-type': 'application/json',
          ...answer,
        });
        response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
      });
    }),
  );
  return port;
}

interface Echo {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}
const echoOf = (body: string): Echo => JSON.parse(body) as Echo;

describe('who gets in', () => {
  test('[PV-1] an address serves once, within a minute, on its own origin, and becomes a cookie of that origin', async () => {
    const port = await startEcho();
    const { url, expiresInSeconds } = await site.previews.previewUrl(PROJECT, port, ADA);
    expect(expiresInSeconds).toBe(60);
    expect(new URL(url).host).toMatch(new RegExp(`^${port}-[a-z2-7]{16}\\.localhost:3001$`));
    const moved = url.replace(`${port}-`, '8080-');
    expect((await site.ask(moved)).status).toBe(404);

    const first = await site.ask(url);
    expect(first.status).toBe(303);
    expect(first.headers.location).toBe('/');
    expect(first.headers['set-cookie']).toEqual([
      expect.stringMatching(
        /^atelier-preview=[\w.-]+; Path=\/; Max-Age=43200; HttpOnly; SameSite=None; Secure; Partitioned$/,
      ),
    ]);
    expect(first.headers['cache-control']).toBe('no-store');
    expect(first.headers['referrer-policy']).toBe('no-referrer');
    expect((await site.ask(url)).status).toBe(404);
    // Where the cookie is already, the page opens all the same.
    const cookie = first.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    const again = await site.ask(url, { headers: { cookie } });
    expect(again).toMatchObject({ status: 303, headers: { location: '/' } });
    expect(again.headers['set-cookie']).toBeUndefined();

    const late = await site.previews.previewUrl(PROJECT, port, ADA);
    site.now.ms += 60_000;
    expect((await site.ask(late.url)).status).toBe(404);
    expect((await site.ask(`${new URL(url).origin}/`, { headers: { cookie } })).status).toBe(200);
    site.now.ms += 12 * 3_600_000;
    expect((await site.ask(`${new URL(url).origin}/`, { headers: { cookie } })).status).toBe(404);
  });

  test('[PV-1] of many who use one address at the same moment one gets in', async () => {
    const { url } = await site.previews.previewUrl(PROJECT, 5173, ADA);
    const answers = await Promise.all(Array.from({ length: 8 }, () => site.ask(url)));
    expect(answers.filter(({ status }) => status === 303)).toHaveLength(1);
  });

  test('[PV-2] members only: nobody else gets an address, nor in by a cookie of another project', async () => {
    const port = await startEcho();
    await expect(site.previews.previewUrl(PROJECT, port, EVE)).rejects.toMatchObject({ code: 'not_found' });
    const own = await site.enter(port);
    const others = await site.enter(port, EVE, OTHER_PROJECT);
    expect(own.host).not.toBe(others.host);
    for (const cookie of [
      '',
      others.cookie,
      `${own.cookie}x`,
      'atelier-preview=',
      own.cookie.replace(/\.[^.]*$/, '.x'),
    ]) {
      expect((await site.ask(own.origin, { headers: { cookie } })).status).toBe(404);
    }
    // Another origin of the domain may have set a cookie of the same name.
    const both = `${others.cookie}; ${own.cookie}`;
    expect((await site.ask(own.origin, { headers: { cookie: both } })).status).toBe(200);
    for (const host of [
      'localhost:3001',
      `${port}-aaaaaaaaaaaaaaaa.localhost`,
      own.host.replace('localhost', 'example.com'),
      'x',
    ]) {
      expect((await site.ask(own.origin, { headers: { host, cookie: own.cookie } })).status).toBe(404);
    }
  });

  test('[PV-2] access is asked for each request, and its loss ends what is open', async () => {
    const { port } = ends.use(await listen((_request, response) => void response.writeHead(200).write('begun')));
    const { origin, cookie } = await site.enter(port);
    const stream = await site.open(origin, { headers: { cookie } });
    const broken = once(stream.resume(), 'close').catch(() => {});
    stream.on('error', () => {});
    await site.previews.recheck();
    expect(stream.destroyed).toBe(false);
    site.members.get(PROJECT)?.clear();
    expect((await site.ask(origin, { headers: { cookie } })).status).toBe(404);
    await site.previews.recheck(({ projectId }) => projectId === OTHER_PROJECT);
    expect(stream.destroyed).toBe(false);
    await site.previews.recheck(({ projectId }) => projectId === PROJECT);
    await broken;
    site.members.get(PROJECT)?.add(ADA.userId);
    site.liveSessions.delete(ADA.sessionId);
    expect((await site.ask(origin, { headers: { cookie } })).status).toBe(404);
  });

  test("[PV-3] other sites, and other projects' previews, cannot use a visitor's cookie", async () => {
    const port = await startEcho();
    const { origin, host, cookie } = await site.enter(port);
    const other = await site.enter(port, ADA, OTHER_PROJECT);
    const statusFrom = async (headers: Record<string, string>): Promise<number> =>
      (await site.ask(origin, { method: 'POST', headers: { cookie, ...headers } })).status;
    expect(await statusFrom({ origin: other.origin })).toBe(404);
    expect(await statusFrom({ origin: 'https://evil.example' })).toBe(404);
    expect(await statusFrom({ origin: 'null' })).toBe(404);
    expect(await statusFrom({ origin: 'null', 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await statusFrom({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toBe(404);
    expect(await statusFrom({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).toBe(200);
    expect(await statusFrom({ origin })).toBe(200);
    expect(await statusFrom({ origin: `http://${host.replace(`${port}-`, '3000-')}` })).toBe(200);
  });

  test('the name of a project stays, on every server, and goes with it', async () => {
    const [first, second] = await Promise.all([
      site.previews.previewUrl(PROJECT, 1, ADA),
      site.previews.previewUrl(PROJECT, 1, ADA),
    ]);
    expect(new URL(first.url).host).toBe(new URL(second.url).host);
    const { origin, cookie } = await site.enter(5173);
    await site.previews.forgetProject(PROJECT);
    expect((await site.ask(origin, { headers: { cookie } })).status).toBe(404);
    expect((await site.enter(5173)).origin).not.toBe(origin);
  });
});

describe('what programs and browsers see', () => {
  test('[PV-4] a program sees itself on localhost, without the cookie, and who asked for what', async () => {
    const port = await startEcho();
    const { origin, cookie } = await site.enter(port);
    const { status, body } = await site.ask(`${origin}/a%20b?c=d`, {
      method: 'PUT',
      headers: {
        cookie: `one=1; ${cookie}; two=2`,
        origin,
        referer: `${origin}/page?q=1`,
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'https',
        'x-forwarded-for': '1.2.3.4',
        forwarded: 'for=1.2.3.4',
        connection: 'keep-alive, X-Secret',
        'x-secret': 'of this connection',
        te: 'trailers',
      },
      body: 'content',
    });
    expect(status).toBe(200);
    const echo = echoOf(body);
    expect(echo).toMatchObject({ method: 'PUT', url: '/a%20b?c=d', body: 'content' });
    expect(echo.headers).toMatchObject({
      host: `localhost:${port}`,
      origin: `http://localhost:${port}`,
      referer: `http://localhost:${port}/page?q=1`,
      cookie: 'one=1; two=2',
    });
    const unseen = ['x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-for', 'forwarded', 'x-secret', 'te'];
    for (const name of unseen) expect(echo.headers).not.toHaveProperty(name);
  });

  test('[PV-4] addresses and cookies of localhost become those of the preview', async () => {
    const port = await startEcho({
      location: 'http://localhost:3000/next?x=1',
      'access-control-allow-origin': 'http://localhost:5173',
      'set-cookie': ['sid=1; Domain=localhost; Path=/; SameSite=Lax; HttpOnly', 'atelier-preview=forged; Path=/'],
      'cache-control': 'public, max-age=60, s-maxage=600',
      'clear-site-data': '"cookies"',
    });
    const { origin, cookie } = await site.enter(port);
    const { status, headers } = await site.ask(origin, { headers: { cookie, 'x-status': '302' } });
    expect(status).toBe(302);
    expect(headers.location).toBe(`${origin.replace(`${port}-`, '3000-')}/next?x=1`);
    expect(headers['access-control-allow-origin']).toBe(origin.replace(`${port}-`, '5173-'));
    expect(headers['set-cookie']).toEqual(['sid=1; Path=/; HttpOnly; SameSite=None; Secure; Partitioned']);
    expect(headers['cache-control']).toBe('private, max-age=60');
    expect(headers).not.toHaveProperty('clear-site-data');
  });

  test('large bodies pass both ways at the pace of their reader', async () => {
    const size = 20 * 1_048_576;
    const { port } = ends.use(
      await listen((request, response) => {
        response.writeHead(200, { 'content-type': 'application/octet-stream' });
        request.pipe(response);
      }),
    );
    const { origin, cookie } = await site.enter(port);
    const { body } = await site.ask(origin, { method: 'POST', headers: { cookie }, body: 'x'.repeat(size) });
    expect(body.length).toBe(size);

    let written = 0;
    const flood = ends.use(
      await listen((_request, response) => {
        const write = (): void => {
          while (!response.destroyed) {
            written += 65_536;
            if (!response.write(Buffer.alloc(65_536))) break;
          }
        };
        response.on('drain', write);
        write();
      }),
    );
    const other = await site.enter(flood.port);
    const stream = await site.open(other.origin, { headers: { cookie: other.cookie } });
    let last = -1;
    await expect
      .poll(
        () => {
          const isSame = last === written;
          last = written;
          return isSame;
        },
        { interval: 200 },
      )
      .toBe(true);
    // Kernels keep up to 36 MiB for each of the connections between the two.
    expect(written).toBeLessThan(128 * 1_048_576);
    stream.destroy();
  });

  test('WebSockets pass with their messages, and end with the access', async () => {
    const program = createServer().listen(0, '127.0.0.1');
    await once(program, 'listening');
    const seen: IncomingMessage[] = [];
    const sockets = new WebSocketServer({ server: program });
    sockets.on('connection', (socket, request) => {
      seen.push(request);
      socket.send('welcome');
      socket.on('message', (data) => socket.send(data));
    });
    ends.defer(() => {
      for (const client of sockets.clients) client.terminate();
      program.close();
    });
    const { port } = program.address() as AddressInfo;
    const { origin, host, cookie } = await site.enter(port);
    const dial = (headers: Record<string, string>): WebSocket =>
      new WebSocket(`ws://127.0.0.1:${site.port}/hmr?token=x`, 'vite-hmr', { headers: { host, ...headers } });

    const socket = dial({ cookie, origin });
    const messages: string[] = [];
    socket.on('message', (data: Buffer) => messages.push(data.toString()));
    await once(socket, 'open');
    socket.send('hello');
    await expect.poll(() => messages).toEqual(['welcome', 'hello']);
    expect(seen[0]?.url).toBe('/hmr?token=x');
    expect(seen[0]?.headers).toMatchObject({ host: `localhost:${port}`, origin: `http://localhost:${port}` });
    expect(seen[0]?.headers.cookie).toBeUndefined();

    for (const headers of [{ origin }, { cookie, origin: 'https://evil.example' }]) {
      const [refused] = (await once(dial(headers), 'unexpected-response').then(([, answer]) => [answer])) as [
        IncomingMessage,
      ];
      expect(refused.statusCode).toBe(404);
    }

    const ended = once(socket, 'close');
    const endedInside = once(sockets.clients.values().next().value as WebSocket, 'close');
    site.members.get(PROJECT)?.clear();
    await site.previews.recheck();
    await Promise.all([ended, endedInside]);
  });

  test('a program that refuses an upgrade is heard', async () => {
    const port = await startEcho();
    const { host, cookie } = await site.enter(port);
    const socket = new WebSocket(`ws://127.0.0.1:${site.port}/`, { headers: { host, cookie, 'x-status': '426' } });
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(answer.statusCode).toBe(426);
    expect(echoOf(await text(answer)).headers['host']).toBe(`localhost:${port}`);
  });

  test('works over streams that are no sockets', async () => {
    const own = ends.use(
      await startPreviews({
        connect: async (_projectId, port, signal) => {
          const socket = await connectLocally(port, signal);
          return Duplex.from({ readable: socket, writable: socket });
        },
      }),
    );
    const port = await startEcho();
    const { origin, cookie } = await own.enter(port);
    const { status, body } = await own.ask(origin, { method: 'POST', headers: { cookie }, body: 'content' });
    expect(status).toBe(200);
    expect(echoOf(body).body).toBe('content');
  });
});

describe('when there is nothing to see', () => {
  test('[PV-5] a page says that nobody listens, that no sandbox runs, or that the answer is none, and asks again', async () => {
    const port = await freePort();
    const { origin, cookie } = await site.enter(port);
    const page = await site.ask(origin, { headers: { cookie, accept: 'text/html' } });
    expect(page.status).toBe(502);
    expect(page.headers.refresh).toBe('2');
    expect(page.body).toContain(`Nothing listens on port ${port} yet`);
    expect((await site.ask(origin, { headers: { cookie } })).headers['content-type']).toContain('text/plain');

    const noise = createTcpServer((socket) => socket.end('this is not HTTP\n')).listen(0, '127.0.0.1');
    await once(noise, 'listening');
    ends.defer(() => void noise.close());
    const other = await site.enter((noise.address() as AddressInfo).port);
    const broken = await site.ask(other.origin, { headers: { cookie: other.cookie } });
    expect(broken).toMatchObject({ status: 502, body: expect.stringContaining('gave no answer') });

    const off = ends.use(await startPreviews({ connect: async () => undefined }));
    const away = await off.enter(5173);
    expect(await off.ask(away.origin, { headers: { cookie: away.cookie } })).toMatchObject({
      status: 503,
      headers: { 'retry-after': '3' },
      body: expect.stringContaining('The sandbox is not running'),
    });
  });

  test.each([
    ['is out of reach', new Fault('unavailable', 'The other node is not heard of')],
    ['is waited for in vain', new DOMException('The operation timed out', 'TimeoutError')],
  ])('[PV-5] of a sandbox that %s it is not said that nobody listens', async (_how, error) => {
    const own = ends.use(await startPreviews({ connect: () => Promise.reject(error) }));
    const { origin, cookie } = await own.enter(5173);
    expect(await own.ask(origin, { headers: { cookie, accept: 'text/html' } })).toMatchObject({
      status: 503,
      headers: { 'retry-after': '3', refresh: '3' },
      body: expect.stringContaining('The sandbox does not answer'),
    });
  });

  test('nothing is connected for a visitor who has gone meanwhile', async () => {
    let connected = 0;
    const asked = withResolvers();
    const answered = withResolvers();
    let isSlow = false;
    const own = ends.use(
      await startPreviews({
        async requireMember() {
          if (!isSlow) return;
          asked.resolve();
          await answered.promise;
        },
        connect() {
          connected++;
          return Promise.reject(new Fault('upstream', 'Nobody listens there'));
        },
      }),
    );
    const { host, cookie } = await own.enter(5173);
    isSlow = true;
    const socket = connect(own.port, '127.0.0.1');
    socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\n\r\n`);
    await asked.promise;
    socket.destroy();
    await once(socket, 'close');
    // What was sent later is read later: the server has seen the other one go.
    isSlow = false;
    await own.ask(`http://${host}/`, { headers: { cookie } });
    answered.resolve();
    await own.ask(`http://${host}/`, { headers: { cookie } });
    expect(connected).toBe(2);
  });

  test('a project has so many connections at once', async () => {
    const own = ends.use(await startPreviews({ connectionsPerProject: 2 }));
    const { port } = ends.use(await listen((_request, response) => void response.writeHead(200).write('begun')));
    const { origin, cookie } = await own.enter(port);
    const open = await Promise.all([0, 1].map(() => own.open(origin, { headers: { cookie } })));
    expect((await own.ask(origin, { headers: { cookie } })).status).toBe(503);
    for (const stream of open) stream.on('error', () => {}).destroy();
    const third = await own.enter(await startEcho());
    await expect
      .poll(async () => (await own.ask(third.origin, { headers: { cookie: third.cookie } })).status)
      .toBe(200);
  });
});

test('off development previews are https on another registrable domain', () => {
  const wrong = [
    ['https://atelier.example.com', 'http://preview.example.net', 'https'],
    ['https://atelier.example.com', 'https://preview.example.com', 'registrable'],
    ['https://example.com', 'https://preview.example.com', 'registrable'],
    ['https://preview.example.com', 'https://example.com', 'registrable'],
    ['https://a.example.co.uk', 'https://b.example.co.uk', 'registrable'],
    ['https://a.Example.com.', 'https://b.example.COM', 'registrable'],
    ['https://a.example.com', 'https://example.com.', 'registrable'],
    ['https://a.github.io', 'https://b.github.io', 'registrable'],
    ['https://localhost:3000', 'https://localhost:3001', 'point'],
    ['https://atelier.example.com', 'https://203.0.113.7', 'point'],
    ['https://atelier.example.com', 'https://[2001:db8::1]', 'point'],
    ['https://atelier.example.com', 'https://co.uk', 'domain of your own'],
    ['https://atelier.example.com', 'https://preview.example.net/path', 'origin'],
  ] as const;
  for (const [own, preview, reason] of wrong) {
    expect([preview, previewUrlProblem(own, preview)]).toEqual([preview, expect.stringContaining(reason)]);
  }
  const right = [
    ['https://atelier.example.com', 'https://preview.example.net'],
    ['https://atelier.example.com', 'https://example-previews.com:8443'],
    ['https://a.example.co.uk', 'https://a.other.co.uk'],
    ['https://atelier.example.com', 'https://atelier.example.org/'],
  ] as const;
  for (const [own, preview] of right) expect([preview, previewUrlProblem(own, preview)]).toEqual([preview, undefined]);
});
