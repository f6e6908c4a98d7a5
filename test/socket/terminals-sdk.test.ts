/** A terminal on the SDK: its bytes once and in order, whatever the connection does. */
import { expect, test } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { attachTerminal, type TerminalClient } from '../../src/client/terminals.ts';
import { createStand, eventually } from './terminals-setup.ts';

const counted = (last: number): string => Array.from({ length: last }, (_, n) => `${n + 1}\r\n`).join('');

test('[TM-2] the SDK goes on after reconnects where it was, and types only once', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const { terminalId } = await owner.open({
    command: 'for n in $(seq 1 2000); do echo $n; sleep 0.001; done; read line; stty size; read line',
  });
  const client = connect({ url: stand.nodes[0]?.url ?? '', token: owner.userId, autoResume: false });
  const chunks: Uint8Array[] = [];
  let snapshots = 0;
  let end: unknown;
  const text = (): string => Buffer.concat(chunks).toString();
  const terminal = await attachTerminal(
    client as unknown as TerminalClient,
    terminalId,
    {
      onOutput: (data) => chunks.push(data),
      onSnapshot: () => snapshots++,
      onExited: (told) => {
        end = told;
      },
    },
    { size: { cols: 70, rows: 20 } },
  );
  for (let cut = 0; cut < 3; cut++) {
    const reached = terminal.position;
    await eventually(() => terminal.position).toBeGreaterThan(reached + 500);
    stand.cut(0);
  }
  const all = counted(2_000);
  await eventually(() => text().length).toBe(all.length);
  await terminal.input('\n');
  await eventually(text).toContain('20 70');
  await terminal.resize({ cols: 60, rows: 20 });
  await terminal.input('\n');
  await eventually(() => end).toMatchObject({ code: 0 });
  expect(text()).toBe(`${all}\r\n20 70\r\n\r\n`);
  expect(snapshots).toBe(0);
  expect(terminal.position).toBe(text().length);
  terminal.detach();
  client.close();
});

test('[TM-9] the SDK tells when a terminal may not be watched any more, and when it was never there', async () => {
  await using stand = await createStand();
  const owner = await stand.join('owner');
  const viewer = await stand.join('viewer');
  const { terminalId } = await owner.open({ command: 'cat' });
  const client = connect({ url: stand.nodes[0]?.url ?? '', token: viewer.userId, autoResume: false });
  const failures: string[] = [];
  const listeners = { onOutput() {}, onSnapshot() {}, onFailed: ({ code }: { code: string }) => failures.push(code) };
  await attachTerminal(client as unknown as TerminalClient, terminalId, listeners);
  stand.allow(viewer.userId, undefined);
  await eventually(() => failures).toEqual(['not_found']);
  await expect(attachTerminal(client as unknown as TerminalClient, terminalId, listeners)).rejects.toMatchObject({
    code: 'not_found',
  });
  client.close();
});
