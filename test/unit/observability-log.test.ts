import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { createLog, truncateIp, type LogOptions } from '../../src/observability/index.ts';
import { ipv6Groups } from '../../src/observability/truncate-ip.ts';
import { Fault } from '../../src/protocol/index.ts';

function open(options: Partial<LogOptions> = {}) {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  const log = createLog({ level: 'debug', pretty: false, ...options, stream });
  return {
    log,
    text: async (): Promise<string> => {
      await log.close();
      return text;
    },
    lines: async (): Promise<Record<string, unknown>[]> => {
      await log.close();
      return text.split('\n').flatMap((line) => (line ? [JSON.parse(line) as Record<string, unknown>] : []));
    },
  };
}

describe('the log', () => {
  test('[OB-1] writes one JSON object for each line', async () => {
    const { log, lines } = open();
    log.info('ready', { port: 3000, url: 'http://localhost:3000' });
    log.warn('two\nlines');
    const [first, second] = await lines();
    expect(first).toMatchObject({ level: 'info', message: 'ready', port: 3000, url: 'http://localhost:3000' });
    expect(Date.parse(String(first?.['time']))).not.toBeNaN();
    expect(second).toMatchObject({ level: 'warn', message: 'two\nlines' });
  });

  test('[OB-2] leaves out what is less important than its level', async () => {
    const { log, lines } = open({ level: 'warn' });
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    expect((await lines()).map(({ message }) => message)).toEqual(['c', 'd']);
  });

  test('[OB-3] redacts every field that is not on its list, and objects wherever they stand', async () => {
    const { log, text } = open();
    const secret = 'hunter2-secret';
    log.info('line', {
      password: secret,
      accessToken: secret,
      otp: secret,
      content: secret,
      body: { userId: secret },
      userId: { token: secret },
      rooms: [[secret], { token: secret }, 'chat'],
      count: 3,
    });
    log.child({ token: secret }).info('child');
    const all = await text();
    expect(all).not.toContain(secret);
    expect(JSON.parse(all.split('\n')[0] ?? '')).toMatchObject({
      password: '[redacted]',
      userId: '[redacted]',
      rooms: ['[redacted]', '[redacted]', 'chat'],
      count: 3,
    });
  });

  test('[OB-4] hashes session ids and truncates addresses', async () => {
    const { log, lines } = open();
    log.info('line', { sessionId: '0123456789abcdef01234567', ip: '203.0.113.77' });
    const [line] = await lines();
    expect(line).not.toHaveProperty('sessionId');
    expect(line?.['sessionHash']).toMatch(/^[0-9a-f]{16}$/);
    expect(line?.['ip']).toBe('203.0.113.0/24');
  });

  test('[OB-5] tells an error with its code, stack and causes, and nothing that hangs on it', async () => {
    const { log, text, lines } = open();
    const cause = Object.assign(new TypeError('the reason'), { code: 'E_REASON', request: { body: 'a-private-body' } });
    log.error('broke', { error: new Fault('upstream', 'the outcome', { cause, detail: 'a-private-detail' }) });
    log.error('loop', { error: Object.assign(new Error('self'), { cause: null }) });
    log.error('odd', { error: { password: 'a-private-password' } });
    const [line] = await lines();
    expect(line?.['error']).toMatchObject({
      name: 'Fault',
      message: 'the outcome',
      code: 'upstream',
      stack: expect.stringContaining('observability-log.test.ts') as string,
      cause: { name: 'TypeError', message: 'the reason', code: 'E_REASON' },
    });
    expect(await text()).not.toContain('a-private');
  });

  test('[OB-6] survives causes that form a circle', async () => {
    const { log, lines } = open();
    const error = new Error('round');
    error.cause = error;
    log.error('circle', { error });
    expect(await lines()).toHaveLength(1);
  });

  test('[OB-7] scrubs what looks like a secret from texts', async () => {
    const { log, text } = open();
    const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl';
    log.error('connect mongodb://app:s3cret-pass@db:27017/x failed', {
      error: new Error(`Authorization: Bearer abc.def-secret ${jwt} sk-ant-0123456789`),
    });
    const all = await text();
    for (const secret of ['s3cret-pass', 'abc.def-secret', jwt, 'sk-ant-0123456789']) expect(all).not.toContain(secret);
    expect(all).toContain('db:27017/x');
  });

  test('[OB-8] hands the fields of a child to each of its lines, and they cannot replace the level or time', async () => {
    const { log, lines } = open();
    log.child({ requestId: 'r1' }).child({ userId: 'u1' }).info('line', { level: 'error', time: 'never' });
    expect((await lines())[0]).toMatchObject({ requestId: 'r1', userId: 'u1', level: 'info', message: 'line' });
  });

  test('[OB-9] does not let a text steer the terminal', async () => {
    const { log, text } = open({ pretty: true });
    log.warn('first\u001b[2Jsecond\nthird', { name: 'a\rb', error: new Error('c\u0007d') });
    const all = await text();
    expect(all).toContain('first\\u001b[2Jsecond\\nthird');
    expect(all).toContain('name=a\\rb');
    expect(all).toContain('c\\u0007d');
  });

  test('[OB-10] writes JSON lines to files as well', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
    const { log } = open({ pretty: true, dir });
    for (let count = 0; count < 200; count++) log.info('line', { count });
    await log.close();
    expect(await readdir(dir)).toEqual(['atelier.log']);
    const lines = (await readFile(join(dir, 'atelier.log'), 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { count: number }).count)).toEqual(
      Array.from({ length: 200 }, (_, index) => index),
    );
    await rm(dir, { recursive: true });
  });
});

describe('a truncated address', () => {
  test.each([
    ['203.0.113.77', '203.0.113.0/24'],
    ['::ffff:203.0.113.77', '203.0.113.0/24'],
    ['2001:db8:85a3:8d3:1319:8a2e:370:7348', '2001:db8:85a3::/48'],
    ['2001:db8::1', '2001:db8::/48'],
    ['::1', '::/48'],
    ['fe80::1%eth0', 'fe80::/48'],
    ['2001:db8:0:1::203.0.113.77', '2001:db8::/48'],
    ['nonsense', 'unknown'],
    ['', 'unknown'],
  ])('[OB-11] %s is %s', (ip, expected) => {
    expect(truncateIp(ip)).toBe(expected);
  });

  test('[OB-12] has all groups of an IPv6 address', () => {
    expect(ipv6Groups('1:2::7:8')).toEqual([1, 2, 0, 0, 0, 0, 7, 8]);
    expect(ipv6Groups('1:2:3:4:5:6:7:8')).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(ipv6Groups('::')).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(ipv6Groups('1.2.3.4')).toBeUndefined();
  });
});
