/** Keystrokes, and how long until their echo is back: at rest, by turns, so that all have the same machine. */
import { setTimeout as wait } from 'node:timers/promises';
import { withResolvers } from '../../src/protocol/index.ts';
import { p50p99, percentile, table } from '../figures.ts';
import { startAtelier, startContainer } from './computers.ts';
import { besideExec, NAMES } from './names.ts';
import { openShell, type Computer, type Shell } from './shell.ts';

const TURNS = 15;
const KEYSTROKES = 40;
/** Between one's echo and the next: nobody types faster for long. */
const PAUSE_MS = { from: 10, to: 30 };

/** A terminal whose program gives back each byte that it reads. */
export interface EchoShell {
  /** Types so many; gives what each took, in milliseconds. */
  keystrokes(count: number, whilst?: () => boolean): Promise<number[]>;
  close(): Promise<void>;
}

export async function openEcho(computer: Computer): Promise<EchoShell> {
  let heard = withResolvers();
  const ready = withResolvers();
  let text = '';
  const shell: Shell = await openShell(computer, 'stty raw -echo; printf R; exec cat', (bytes) => {
    text += Buffer.from(bytes).toString('latin1');
    if (text.startsWith('R')) ready.resolve();
    heard.resolve();
  });
  await ready.promise;
  return {
    async keystrokes(count, whilst = () => true) {
      const tookMs: number[] = [];
      for (let n = 0; n < count && whilst(); n++) {
        heard = withResolvers();
        const startedAt = performance.now();
        shell.type('k');
        await heard.promise;
        tookMs.push(performance.now() - startedAt);
        await wait(PAUSE_MS.from + Math.random() * (PAUSE_MS.to - PAUSE_MS.from));
      }
      return tookMs;
    },
    close: () => shell.close(),
  };
}

export async function echo(rounds: number): Promise<string> {
  const took: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    const server = await startAtelier();
    const container = await startContainer();
    const computers: [string, Computer][] = [
      [NAMES.host, { kind: 'host' }],
      [NAMES.exec, container.computer],
      [NAMES.atelier, server.computer(await server.project())],
    ];
    const shells: [string, EchoShell][] = [];
    for (const [name, computer] of computers) shells.push([name, await openEcho(computer)]);
    // Compilers and caches are warm when it counts.
    for (const [, shell] of shells) await shell.keystrokes(4 * KEYSTROKES);
    for (let turn = 0; turn < TURNS; turn++) {
      for (const [name, shell] of shells) (took[name] ??= []).push(...(await shell.keystrokes(KEYSTROKES)));
    }
    for (const [, shell] of shells) await shell.close();
    await container.stop();
    await server.stop();
  }
  const rows = Object.entries(took).map(([name, tookMs]) => [name, p50p99(tookMs)]);
  const of = (name: string, share: number): number => percentile(took[name] ?? [], share);
  return [
    `### Echo of a keystroke (${TURNS * KEYSTROKES * rounds} of each)`,
    table(['terminal', 'p50 / p99 ms'], rows),
    [
      besideExec('p50 of the echo, ms', of(NAMES.atelier, 0.5), of(NAMES.exec, 0.5), 'less'),
      besideExec('p99 of the echo, ms', of(NAMES.atelier, 0.99), of(NAMES.exec, 0.99), 'less'),
    ].join('\n'),
  ].join('\n\n');
}
