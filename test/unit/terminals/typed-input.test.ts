/** What is typed, and what terminals answer by themselves. */
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { withoutAnswers } from '../../../src/features/terminals/typed-input.ts';

// Built for require; what loads modules for tests finds no class in it.
const { Terminal } = createRequire(import.meta.url)('@xterm/headless') as typeof import('@xterm/headless');

const ESC = '\u001b';
const typed = (data: string | Uint8Array): string => Buffer.from(withoutAnswers(data)).toString();

test('[TM-14] answers are removed, whatever ends them', () => {
  const answers = [
    '[?1;2c',
    '[?64;1;9;22c',
    '[>0;276;0c',
    '[=1c',
    'P!|00000000\u001b\\',
    '[0n',
    '[3n',
    '[?13n',
    '[?997;1n',
    '[24;80R',
    '[1;17R',
    '[2;2R',
    '[?24;80R',
    '[?24;80;1R',
    '[?2026;2$y',
    '[4;2$y',
    '[?0u',
    '[>4;2m',
    '[1t',
    '[4;600;800t',
    '[8;24;80t',
    ']lname\u001b\\',
    ']Lname\u0007',
    'P1$r0m\u001b\\',
    'P0$r\u001b\\',
    'P1+r544e=78\u001b\\',
    'P>|xterm.js(5.5.0)\u001b\\',
    ']4;1;rgb:cdcd/0000/0000\u001b\\',
    ']10;rgb:ffff/ffff/ffff\u0007',
    ']11;rgba:0000/0000/0000/ffff\u001b\\',
    ']52;c;aGVsbG8=\u0007',
  ];
  for (const answer of answers) {
    expect([answer, typed(`${ESC}${answer}`)]).toEqual([answer, '']);
    expect([answer, typed(`a${ESC}${answer}b`)]).toEqual([answer, 'ab']);
    expect(typed(Buffer.from(`ü${ESC}${answer}${ESC}${answer}\u001b[A`))).toBe('ü\u001b[A');
  }
});

test('[TM-14] keys are kept, also those that look alike', () => {
  const keys = [
    'plain text',
    'grün, 東京, 🙂',
    '\u0003\u001a\r\t\u007f',
    // Arrows and the like, in all modes and with all modifiers.
    ...['A', 'B', 'C', 'D', 'F', 'H'].flatMap((key) => [`${ESC}[${key}`, `${ESC}O${key}`, `${ESC}[1;5${key}`]),
    ...['P', 'Q', 'R', 'S'].flatMap((key) => [`${ESC}O${key}`, `${ESC}[${key}`]),
    ...Array.from({ length: 15 }, (_, n) => `${ESC}[1;${n + 2}R`),
    ...[2, 3, 5, 6, 11, 13, 15, 24].flatMap((key) => [`${ESC}[${key}~`, `${ESC}[${key};2~`]),
    // Alt with a letter.
    ...['c', 'n', 'P', ']', '[', 'R'].map((key) => `${ESC}${key}`),
    ESC,
    `${ESC}${ESC}[A`,
    // Kitty's and xterm's ways to tell keys.
    `${ESC}[97;5u`,
    `${ESC}[27;5;13~`,
    // Focus, mouse in three ways, size reports that programs have switched on.
    `${ESC}[I${ESC}[O`,
    `${ESC}[M !!`,
    `${ESC}[<0;10;20M${ESC}[<0;10;20m`,
    `${ESC}[32;10;20M`,
    `${ESC}[48;24;80;600;800t`,
    // A paste is nobody's answer, whatever is in it.
    `${ESC}[200~${ESC}[0n${ESC}[24;80R${ESC}[201~`,
    `${ESC}[200~begins ${ESC}[0n`,
    // Cut off.
    `${ESC}[?1;2`,
    `${ESC}P1$r0m`,
    `${ESC}]11;rgb:00`,
  ];
  for (const key of keys) {
    expect(typed(key)).toBe(key);
    expect(typed(`${ESC}[0n${key}`)).toBe(key);
  }
  const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
  expect(withoutAnswers(bytes)).toEqual(Buffer.from(bytes));
});

test("[TM-14] whatever a viewer's terminal answers to what programs ask is removed", async () => {
  const terminal = new Terminal({ cols: 80, rows: 24, allowProposedApi: true });
  const answers: string[] = [];
  terminal.onData((data) => answers.push(data));
  terminal.onBinary((data) => answers.push(data));
  const attributes = ['[c', '[>c', '[=c', '[5n', '[6n', '[?6n', '[?15n', '[?25n', '[?26n', '[?53n', '[>q', '[?u'];
  const modes = ['[?2026$p', '[4$p', '[14t', '[18t', 'P$qm\u001b\\', 'P$qr\u001b\\', 'P$q q\u001b\\'];
  const colours = [']10;?\u0007', ']11;?\u001b\\', ']4;1;?\u0007'];
  const asked = [...attributes, ...modes, ...colours];
  // In the middle of the screen: in its first line an answer may look like a key.
  await new Promise<void>((resolve) => terminal.write(`${ESC}[5;20H`, resolve));
  for (const question of asked) await new Promise<void>((resolve) => terminal.write(`${ESC}${question}`, resolve));
  terminal.dispose();
  expect(answers.length).toBeGreaterThan(5);
  expect(answers.filter((answer) => typed(answer) !== '')).toEqual([]);
});
