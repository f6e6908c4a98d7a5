import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  checkShape,
  createCall,
  Fault,
  givenName,
  KeyedQueue,
  LIMITS,
  operation,
  utf8Length,
  withResolvers,
  type Caller,
  type CallRecord,
  type Handlers,
} from '../../src/protocol/index.ts';

const caller: Caller = {
  session: { userId: 'u1', sessionId: 's1', expiresAtMs: Infinity },
  origin: { ip: '127.0.0.1', userAgent: '' },
  requestId: 'r1',
};

const anyInput = { input: z.strictObject({}), auth: 'user' as const, rate: 'reads' as const, doc: '' };

const contract = {
  'echo:say': operation({
    ...anyInput,
    input: z.strictObject({ text: z.string().max(10), nested: z.json().optional() }),
    output: z.object({ text: z.string() }),
    auth: 'public',
  }),
  'echo:private': operation({ ...anyInput, output: z.object({}) }),
  'echo:bug': operation({ ...anyInput, output: z.object({}) }),
  'echo:fault': operation({ ...anyInput, output: z.object({}) }),
  'echo:leak': operation({ ...anyInput, output: z.object({ shown: z.string() }) }),
  'echo:slow': operation({ ...anyInput, output: z.object({}), timeoutMs: 20 }),
  'echo:ordered': operation({
    ...anyInput,
    input: z.strictObject({ key: z.string(), n: z.number(), early: z.boolean().optional() }),
    output: z.object({}),
    orderKey: ({ key }) => key,
  }),
};

function setUp(overrides: Partial<Handlers<typeof contract>> = {}) {
  const records: CallRecord[] = [];
  const bugs: unknown[] = [];
  const handlers: Handlers<typeof contract> = {
    'echo:say': async ({ text }) => ({ text }),
    'echo:private': async () => ({}),
    'echo:bug': async () => {
      throw new Error('the connection string is secret');
    },
    'echo:fault': async () => {
      throw new Fault('conflict', 'Taken', { detail: { by: 'x' }, retryAfterMs: 5 });
    },
    'echo:leak': async () => ({ shown: 'yes', hidden: 'no' }),
    'echo:slow': (_input, { signal }) => delay(60_000, {}, { signal }),
    'echo:ordered': async () => ({}),
    ...overrides,
  };
  const call = createCall(contract, handlers, {
    limit: () => {},
    observe: (record) => records.push(record),
    onBug: (error) => bugs.push(error),
  });
  return { call, records, bugs };
}

describe('call', () => {
  test('[PR-1] answers with data, validated and stripped of what the contract does not name', async () => {
    const { call, records } = setUp();
    expect(await call('echo:say', { text: 'hi' }, caller)).toEqual({ ok: true, data: { text: 'hi' } });
    expect(await call('echo:leak', {}, caller)).toEqual({ ok: true, data: { shown: 'yes' } });
    expect(records.map(({ operation: name, outcome }) => [name, outcome])).toEqual([
      ['echo:say', 'ok'],
      ['echo:leak', 'ok'],
    ]);
  });

  test('[PR-2] an unknown operation is not_found, names of Object.prototype too', async () => {
    const { call } = setUp();
    for (const name of ['nope', 'constructor', 'toString', '__proto__', 'hasOwnProperty', '']) {
      expect(await call(name, {}, caller)).toMatchObject({ ok: false, error: { code: 'not_found' } });
    }
  });

  test.each([
    null,
    1,
    'x',
    [],
    [1],
    { text: 1 },
    { text: 'x', more: 1 },
    { text: 'longer than ten' },
    new Uint8Array(3),
  ])('[PR-3] input %j is invalid, with paths', async (input) => {
    const { call } = setUp();
    const answer = await call('echo:say', input, caller);
    expect(answer).toMatchObject({ ok: false, error: { code: 'invalid', detail: expect.any(Array) } });
  });

  test('[PR-3] a __proto__ key is refused and pollutes nothing', async () => {
    const { call } = setUp();
    const input: unknown = JSON.parse('{"text":"x","__proto__":{"polluted":true}}');
    expect(await call('echo:say', input, caller)).toMatchObject({ ok: false, error: { code: 'invalid' } });
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  test('[PR-4] 5,000-deep input is invalid, an oversize one too_large', async () => {
    const { call } = setUp();
    const deep: unknown = JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`);
    expect(await call('echo:say', { text: 'x', nested: deep }, caller)).toMatchObject({ error: { code: 'invalid' } });
    const large = { text: 'x'.repeat(LIMITS.operationBytes + 1) };
    expect(await call('echo:say', large, caller)).toMatchObject({ error: { code: 'too_large' } });
  });

  test('[PR-5] a bug is answered as internal, without its words, and reported once with its cause', async () => {
    const { call, bugs } = setUp();
    const answer = await call('echo:bug', {}, caller);
    expect(answer).toMatchObject({ ok: false, error: { code: 'internal' } });
    expect(JSON.stringify(answer)).not.toContain('secret');
    expect(bugs).toEqual([expect.objectContaining({ message: 'the connection string is secret' })]);
  });

  test('[PR-5] a Fault is answered as it is', async () => {
    const { call, bugs } = setUp();
    expect(await call('echo:fault', {}, caller)).toEqual({
      ok: false,
      error: { code: 'conflict', message: 'Taken', detail: { by: 'x' }, retryAfterMs: 5 },
    });
    expect(bugs).toEqual([]);
  });

  test('[PR-6] without a session a user operation is unauthenticated', async () => {
    const { call } = setUp();
    const anonymous = { ...caller, session: undefined };
    expect(await call('echo:private', {}, anonymous)).toMatchObject({ error: { code: 'unauthenticated' } });
    expect(await call('echo:say', { text: 'x' }, anonymous)).toMatchObject({ ok: true });
  });

  test('[PR-7] past its deadline an operation is answered with timeout and aborted', async () => {
    const aborted = withResolvers<unknown>();
    const { call } = setUp({
      'echo:slow': (_input, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.resolve(signal.reason);
            reject(signal.reason as Error);
          });
        }),
    });
    expect(await call('echo:slow', {}, caller)).toMatchObject({ ok: false, error: { code: 'timeout' } });
    expect(await aborted.promise).toBeInstanceOf(Fault);
  });

  test('[PR-7] the handler is aborted when its caller goes', async () => {
    const { call } = setUp();
    let goneListener = (): void => {};
    const answer = call(
      'echo:slow',
      {},
      {
        ...caller,
        onGone: (listener) => {
          goneListener = listener;
          return () => {};
        },
      },
    );
    goneListener();
    expect(await answer).toMatchObject({ ok: false });
  });

  test('[PR-8] operations of one key run in the order they were sent; others do not wait', async () => {
    const begun: number[] = [];
    const gates = new Map([1, 2, 3].map((n) => [n, withResolvers()]));
    const { call } = setUp({
      'echo:ordered': async ({ n, early }, { release }) => {
        begun.push(n);
        if (early) release();
        await gates.get(n)?.promise;
        return {};
      },
    });
    const queued = { ...caller, queue: new KeyedQueue() };
    const first = call('echo:ordered', { key: 'a', n: 1 }, queued);
    const second = call('echo:ordered', { key: 'a', n: 2, early: true }, queued);
    const other = call('echo:ordered', { key: 'b', n: 3 }, queued);
    await expect.poll(() => begun).toEqual([1, 3]);
    gates.get(1)?.resolve();
    await first;
    await expect.poll(() => begun).toEqual([1, 3, 2]);
    // The second has released its key before its end.
    const third = call('echo:ordered', { key: 'a', n: 4 }, queued);
    await third;
    expect(begun).toEqual([1, 3, 2, 4]);
    gates.get(2)?.resolve();
    gates.get(3)?.resolve();
    await Promise.all([second, other]);
    expect(queued.queue.size).toBe(0);
  });
});

describe('[PR-33] names that people give', () => {
  const name = givenName(1, 10);
  test.each([
    '',
    ' ',
    '\ufeff',
    '\u200b\u200b',
    '\u2800',
    'a\u0000b',
    'a\nb',
    'a\u202eb',
    '\u2066a',
    'a\ud800',
    'x'.repeat(11),
  ])('%j is refused', (text) => {
    expect(name.safeParse(text).success).toBe(false);
  });

  test.each(['a', ' Ada ', 'שלום\u200f!', '👩‍👩‍👧', 'a  b'])('%j is good', (text) => {
    expect(name.parse(text)).toBe(text.trim());
  });
});

describe('checkShape', () => {
  test('[PR-4] counts UTF-8 bytes, binary and keys', () => {
    expect(() => checkShape({ a: 'é'.repeat(10) }, 3, 25)).not.toThrow();
    expect(() => checkShape({ a: 'é'.repeat(11) }, 3, 25)).toThrow(Fault);
    expect(() => checkShape({ a: new Uint8Array(100) }, 3, 100)).toThrow(Fault);
    expect(() => checkShape([[[1]]], 3, 100)).not.toThrow();
    expect(() => checkShape([[[[1]]]], 3, 100)).toThrow(Fault);
  });

  test('utf8Length agrees with the encoder', () => {
    for (const text of ['', 'abc', 'é', '漢字', '😀', 'a😀b\ud800', '\udc00x']) {
      expect(utf8Length(text)).toBe(Buffer.byteLength(text));
    }
  });
});
