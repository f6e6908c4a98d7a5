import { expect, test } from 'vitest';
import { Sequencer } from '../../src/cluster/sequencer.ts';
import { withResolvers } from '../../src/protocol/index.ts';
import { silentLog } from '../support/log.ts';

test('catching up waits for what stands in the log, also when a read that is under way has missed it', async () => {
  const log = ['one'];
  const delivered: string[] = [];
  const reading = withResolvers();
  const answer = withResolvers();
  let reads = 0;
  const sequencer = new Sequencer<string>({
    head: async () => log.length,
    async after(_logId, rev) {
      const found = log.slice(rev).map((entry, n) => ({ rev: rev + n + 1, entry }));
      // The first read has been made, but its answer is on its way.
      if (reads++ === 0) {
        reading.resolve();
        await answer.promise;
      }
      return found;
    },
    deliver: (_logId, _rev, entry) => delivered.push(entry),
    isWanted: () => true,
    listening: async () => {},
    log: silentLog,
  });
  sequencer.openAt('log', 0);
  await reading.promise;
  log.push('two');
  const caughtUp = sequencer.catchUp('log');
  // It knows of the second one, and finds the read under way.
  await new Promise(setImmediate);
  answer.resolve();
  await caughtUp;
  expect(delivered).toEqual(['one', 'two']);
  sequencer.close();
});
