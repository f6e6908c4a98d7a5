import { expect, test } from 'vitest';
import { withResolvers } from '../../src/protocol/index.ts';
import { BatchLoader } from '../../src/storage/batch-loader.ts';

/** A loader whose queries are answered by hand. */
function scripted(): {
  loader: BatchLoader<string>;
  queries: { keys: string[]; answer: () => void; fail: () => void }[];
} {
  const queries: { keys: string[]; answer: () => void; fail: () => void }[] = [];
  const loader = new BatchLoader<string>((keys) => {
    const { promise, resolve, reject } = withResolvers<Map<string, string>>();
    queries.push({
      keys,
      answer: () => resolve(new Map(keys.filter((key) => key !== 'none').map((key) => [key, key.toUpperCase()]))),
      fail: () => reject(new Error('no database')),
    });
    return promise;
  });
  return { loader, queries };
}

test('what is asked for in one turn is read by one query, each key once', async () => {
  const { loader, queries } = scripted();
  const found = Promise.all([loader.get('a'), loader.get('b'), loader.get('a'), loader.get('none')]);
  await expect.poll(() => queries).toHaveLength(1);
  expect(queries[0]?.keys).toEqual(['a', 'b', 'none']);
  queries[0]?.answer();
  expect(await found).toEqual(['A', 'B', 'A', undefined]);
});

test('who asks during a query is answered by the next one, also for a key that is under way', async () => {
  const { loader, queries } = scripted();
  const first = loader.get('a');
  await expect.poll(() => queries).toHaveLength(1);
  const later = Promise.all([loader.get('a'), loader.get('b')]);
  queries[0]?.answer();
  expect(await first).toBe('A');
  await expect.poll(() => queries).toHaveLength(2);
  expect(queries[1]?.keys).toEqual(['a', 'b']);
  queries[1]?.answer();
  expect(await later).toEqual(['A', 'B']);
});

test('a query that fails fails for those that it was for, and the next one runs', async () => {
  const { loader, queries } = scripted();
  const lost = loader.get('a');
  await expect.poll(() => queries).toHaveLength(1);
  const later = loader.get('a');
  queries[0]?.fail();
  await expect(lost).rejects.toThrow('no database');
  await expect.poll(() => queries).toHaveLength(2);
  queries[1]?.answer();
  expect(await later).toBe('A');
});

test('a query has at most 200 keys', async () => {
  const { loader, queries } = scripted();
  const all = Promise.all(Array.from({ length: 450 }, (_, n) => loader.get(`k${n}`)));
  for (const [n, size] of [200, 200, 50].entries()) {
    await expect.poll(() => queries).toHaveLength(n + 1);
    expect(queries[n]?.keys).toHaveLength(size);
    queries[n]?.answer();
  }
  expect(await all).toHaveLength(450);
});
