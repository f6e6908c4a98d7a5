/** Terminals of another node's sandbox: what travels, once, and cut anywhere. */
import { expect, test } from 'vitest';
import { createPulledStreams } from '../../../src/cluster/index.ts';
import { packFrame, unpackFrames } from '../../../src/features/terminals/frame-stream.ts';
import type { TerminalFrame, TerminalOwner } from '../../../src/features/terminals/owner.ts';
import { createRemoteOwners, serveOwners } from '../../../src/features/terminals/remote-owner.ts';
import { Fault } from '../../../src/protocol/index.ts';
import { createBusNetwork } from '../../support/bus-network.ts';
import { silentLog } from '../../support/log.ts';
import { randomOf } from '../../support/random.ts';

const FRAMES: TerminalFrame[] = [
  { type: 'output', offset: 0, data: Buffer.from('first') },
  { type: 'snapshot', offset: 2 ** 40 + 1, size: { cols: 500, rows: 200 }, data: Buffer.alloc(70_000, 'x') },
  { type: 'output', offset: 2 ** 40 + 1, data: Buffer.from([0]) },
  { type: 'exited', end: { code: null, signal: 'SIGKILL', reason: 'lost' } },
];

test('[TM-17] frames come as they went, however their bytes are cut', async () => {
  const bytes = Buffer.concat(FRAMES.map(packFrame));
  for (let seed = 0; seed < 20; seed++) {
    const random = randomOf(seed);
    const frames: TerminalFrame[] = [];
    for await (const frame of unpackFrames(pieces(bytes, () => 1 + random(seed < 10 ? 7_000 : 80_000)))) {
      frames.push(frame);
    }
    // Comparing arrays of bytes one by one would take seconds.
    expect(frames.map(comparable)).toEqual(FRAMES.map(comparable));
  }
});

const comparable = (frame: TerminalFrame): unknown =>
  frame.type === 'exited' ? frame : { ...frame, data: Buffer.from(frame.data).toString('latin1') };

async function* pieces(bytes: Buffer, length: () => number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + length());
    yield bytes.subarray(at, end);
    at = end;
  }
}

test('[TM-15] a question that arrives twice is answered once; faults come as they are', async () => {
  const network = createBusNetwork();
  const [here, there] = [network.node(), network.node()];
  const streams = createPulledStreams({ bus: here, nodeId: 'here', log: silentLog });
  const typed: string[] = [];
  const owner = {
    async input({ data }: { data: Uint8Array }) {
      typed.push(Buffer.from(data).toString());
    },
    async get() {
      throw new Fault('not_found', 'There is no such terminal');
    },
  } as unknown as TerminalOwner;
  const stop = serveOwners({ bus: here, streams, nodeId: 'here' }, (projectId) =>
    projectId === 'p' ? owner : undefined,
  );
  const asked: unknown[] = [];
  const bus = {
    ...there,
    request(topic: string, data: unknown, timeoutMs: number) {
      asked.push(data);
      return there.request(topic, data, timeoutMs);
    },
  };
  const ownerOn = createRemoteOwners({ bus, streams });
  const remote = ownerOn('here', 'p');
  await remote.input({ terminalId: 't', data: Buffer.from('once') });
  expect(await there.request('terminals:here', asked[0], 1_000)).toMatchObject({ fault: { code: 'conflict' } });
  await remote.input({ terminalId: 't', data: Buffer.from('again') });
  expect(typed).toEqual(['once', 'again']);
  await expect(remote.get({ terminalId: 't' })).rejects.toMatchObject({ code: 'not_found' });
  await expect(ownerOn('here', 'q').list()).rejects.toMatchObject({ code: 'unavailable' });
  await expect(ownerOn('nowhere', 'p').list()).rejects.toMatchObject({ code: 'unavailable' });
  stop();
  await streams.close();
});
