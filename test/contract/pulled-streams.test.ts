import { describe, expect, test } from 'vitest';
import { CreditPool } from '../../src/cluster/credit-pool.ts';
import { PulledReader } from '../../src/cluster/pulled-reader.ts';
import type { StreamMessage } from '../../src/cluster/pulled-stream.ts';
import { LIMITS } from '../../src/protocol/index.ts';
import { describePulledStreams } from './pulled-streams.contract.ts';
import { forEachBus } from './streams-world.ts';

forEachBus(describePulledStreams);

describe('the reading end of a pulled stream', () => {
  const open = () => {
    const sent: StreamMessage[] = [];
    const pool = new CreditPool(LIMITS.pulledNodeBytes);
    const send = (_nodeId: string, message: StreamMessage): void => void sent.push(message);
    const reader = new PulledReader({ id: 's', nodeId: 'a', sourceId: 'b', pool, send, onEnd() {} }, 0);
    reader.open('file', {});
    return { reader, sent, pool };
  };
  const data = (offset: number, text: string): StreamMessage => ({
    type: 'data',
    id: 's',
    offset,
    data: Buffer.from(text),
  });
  const lost = { code: 'unavailable', message: 'A part of the stream was lost between the nodes' };

  test('[CL-252] fails rather than show a hole, whichever message was lost', async () => {
    const after: StreamMessage[] = [
      data(8, 'def'),
      { type: 'alive', id: 's', offset: 8 },
      { type: 'end', id: 's', offset: 8 },
    ];
    for (const message of after) {
      const { reader, sent } = open();
      reader.receive(data(0, 'abc'), 0);
      reader.receive(message, 0);
      expect(Buffer.from((await reader.next()) ?? []).toString()).toBe('abc');
      await expect(reader.next()).rejects.toMatchObject(lost);
      expect(sent.at(-1)).toEqual({ type: 'cancel', id: 's' });
    }
  });

  test('[CL-254] takes its turn when too much is under way to its node', () => {
    const pool = new CreditPool(100_000);
    const order: string[] = [];
    expect(pool.take(90_000, () => {})).toBe(90_000);
    const ask = (name: string, bytes: number) => pool.take(bytes, () => order.push(`${name} ${ask(name, bytes)}`));
    expect(ask('first', 50_000)).toBe(0);
    expect(ask('second', 50_000)).toBe(0);
    expect(ask('small', 5_000)).toBe(5_000);
    pool.give(10_000);
    expect(order).toEqual([]);
    pool.give(60_000);
    expect(order).toEqual(['first 50000']);
    pool.give(25_000);
    expect(order).toEqual(['first 50000', 'second 50000']);
  });

  test('[CL-253] gives back what it was granted but never got', () => {
    const { reader, pool } = open();
    const take = () => pool.take(LIMITS.pulledNodeBytes, () => {});
    const rest = LIMITS.pulledNodeBytes - LIMITS.pulledWindowBytes;
    expect(take()).toBe(rest);
    reader.receive(data(0, 'abc'), 0);
    reader.cancel();
    pool.give(rest);
    expect(take()).toBe(LIMITS.pulledNodeBytes);
  });
});
