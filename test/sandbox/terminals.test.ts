/** The agent and its server's link, with real shells. */
import { expect, test } from 'vitest';
import { createStage, shell, view } from './agent-process.ts';

test('[AG-7] a terminal opens, is read and typed into, and ends with all that it said', async () => {
  await using stage = await createStage();
  const link = await stage.link();
  stage.agent();
  await link.open(shell('t', 'read line; echo "got $line"; exit 3'));
  const viewer = view(link, 't');
  link.input('t', Buffer.from('hello\n'));
  await viewer.ends();
  expect(viewer.text()).toBe('hello\r\ngot hello\r\n');
  expect(viewer.exit()).toEqual({ code: 3, signal: 0 });
  expect(link.terminals()).toEqual([{ id: 't', columns: 80, rows: 24, exit: { code: 3, signal: 0 } }]);
});
