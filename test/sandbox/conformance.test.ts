/**
 * Every terminal flooding at once. `AGENT_BYTES=50000000 npx vitest run test/sandbox/conformance.test.ts` asks for the
 * full 50 MB of each.
 */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { createStage, shell, view } from './agent-process.ts';

const CHANNELS = 50;
const BYTES = Number(process.env['AGENT_BYTES'] ?? 500_000);
/** Lines of `seq` from there on all have seven digits. */
const FIRST = 1_000_000;
const LINE_BYTES = 9;
const LINES = Math.ceil(BYTES / LINE_BYTES);
const TIMEOUT_MS = 30_000 + CHANNELS * LINES * LINE_BYTES * 0.002;

test(
  `[AG-19] ${CHANNELS} terminals of ${LINES * LINE_BYTES} bytes at once: every byte comes, in order, and an echo gets through`,
  async () => {
    await using stage = await createStage();
    const link = await stage.link();
    stage.agent();
    await link.open(shell('echo', 'stty -echo; while read line; do echo "got $line"; done'));
    const echo = view(link, 'echo');
    const ids = Array.from({ length: CHANNELS }, (_, i) => `t${i}`);
    await Promise.all(ids.map((id, i) => link.open(shell(id, `read go; seq ${FIRST + i} ${FIRST + i + LINES - 1}`))));

    const endings = ids.map(
      (id) =>
        new Promise<string>((resolve, reject) => {
          const hash = createHash('sha256');
          const attachment = link.attach(
            id,
            { after: 0, creditBytes: 256 * 1024 },
            {
              onOutput: (data) => {
                hash.update(data);
                attachment.grant(data.length);
              },
              onSnapshot: () => reject(new Error(`${id} gave a snapshot to a reader that keeps up`)),
              onExit: () => resolve(hash.digest('hex')),
              onLost: () => reject(new Error(`${id} is lost`)),
            },
          );
        }),
    );
    // One that takes nothing, of one of them.
    const slow = view(link, 't0', { creditBytes: 1, keepsUp: false });
    for (const id of ids) link.input(id, Buffer.from('\n'));
    link.input('echo', Buffer.from('through\n'));
    await echo.sees('got through');
    const isEarly = link.terminals().some(({ exit }) => exit === undefined);
    expect(isEarly).toBe(true);

    const hashes = await Promise.all(endings);
    for (const [i, hash] of hashes.entries()) expect(hash).toBe(hashOf(FIRST + i));
    expect(slow.position()).toBe(1);
  },
  TIMEOUT_MS,
);

/** Of what the terminal says, from its own echo of the go on. */
function hashOf(first: number): string {
  const hash = createHash('sha256').update('\r\n');
  for (let from = first; from < first + LINES; from += 10_000) {
    const count = Math.min(10_000, first + LINES - from);
    hash.update(Array.from({ length: count }, (_, i) => `${from + i}\r\n`).join(''));
  }
  return hash.digest('hex');
}
