/** Questions from node to node, over buses that hear each other. */
import { expect, test } from 'vitest';
import { createNodeCalls, type NodeCalls } from '../../src/cluster/index.ts';
import { Fault } from '../../src/protocol/index.ts';
import { createBusNetwork } from '../support/bus-network.ts';
import { silentLog } from '../support/log.ts';

function twoNodes(): { ann: NodeCalls; bob: NodeCalls; cut: () => () => void } {
  const network = createBusNetwork();
  const calls = (nodeId: string): NodeCalls => createNodeCalls({ bus: network.node(), nodeId, log: silentLog });
  return { ann: calls('ann'), bob: calls('bob'), cut: () => network.cut() };
}

const double = async (request: unknown): Promise<unknown> => 2 * (request as number);

test('the node that is meant answers, another or this one', async () => {
  const { ann, bob } = twoNodes();
  bob.serve('double', double);
  ann.serve('double', async () => 'of ann');
  expect(await ann.call('bob', 'double', 4, 1_000)).toBe(8);
  expect(await bob.call('bob', 'double', 5, 1_000)).toBe(10);
  expect(await bob.call('ann', 'double', 5, 1_000)).toBe('of ann');
});

test('a Fault comes as it is, and of anything else nothing is told', async () => {
  const { ann, bob } = twoNodes();
  bob.serve('refuse', async () => {
    throw new Fault('quota_exceeded', 'Enough', { retryAfterMs: 5 });
  });
  bob.serve('break', async () => {
    throw new Error('a secret');
  });
  await expect(ann.call('bob', 'refuse', {}, 1_000)).rejects.toMatchObject({
    code: 'quota_exceeded',
    message: 'Enough',
    retryAfterMs: 5,
  });
  const broken = await ann.call('bob', 'break', {}, 1_000).catch((error: unknown) => error);
  expect(broken).toMatchObject({ code: 'internal' });
  expect(String(broken)).not.toContain('secret');
});

test('who does not serve it, does so no more, or is out of reach answers nothing: unavailable', async () => {
  const { ann, bob, cut } = twoNodes();
  await expect(ann.call('bob', 'double', 1, 50)).rejects.toMatchObject({ code: 'unavailable' });
  await expect(bob.call('bob', 'double', 1, 50)).rejects.toMatchObject({ code: 'unavailable' });
  const stop = bob.serve('double', double);
  expect(() => bob.serve('double', double)).toThrow('served already');
  stop();
  await expect(ann.call('bob', 'double', 1, 50)).rejects.toMatchObject({ code: 'unavailable' });
  bob.serve('double', double);
  const mend = cut();
  await expect(ann.call('bob', 'double', 1, 50)).rejects.toMatchObject({ code: 'unavailable' });
  mend();
  expect(await ann.call('bob', 'double', 1, 1_000)).toBe(2);
});
