/** A program prints as much as it can: what it does to the server's memory, other terminals and viewers. */
import { connectAll } from '../load.ts';
import { atLeast, atMost, p50p99, percentile, table } from '../figures.ts';
import { call } from '../../test/support/calls.ts';
import { startAtelier, startContainer, type AtelierServer } from './computers.ts';
import { openEcho, type EchoShell } from './echo.ts';
import { NAMES } from './names.ts';
import { startReading, yesFlood, type Flood } from './reading.ts';
import { socketOf, type Computer } from './shell.ts';

const FLOOD = yesFlood(200);
/** For viewers at different paces; each is met several times. What the kernel keeps for one that reads nothing is a tenth of it. */
const SHORT_FLOOD = yesFlood(40);
const TIMES = 3;
const MOST_ECHO_MS = 20;
/** Of buffers and heap that the server may take for it. */
const MOST_GROWTH_MIB = 64;
/** A reader that keeps this much of its speed is not slowed. */
const UNSLOWED = 0.9;
const MIB = 1_024 ** 2;
const SAMPLE_MS = 50;
/** Typed by turns until the flood is over. */
const TURN = 20;

interface Flooded {
  megabytesPerSecond: number;
  /** In a terminal beside it, and in one of another sandbox. */
  besideMs: number[];
  elsewhereMs: number[];
  beforeMib: number;
  mostMib: number;
}

export async function flood(rounds: number): Promise<string> {
  const found: [string, Flooded][] = [];
  const paces: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    const server = await startAtelier();
    const container = await startContainer();
    const neighbour = await startContainer();
    const projectId = await server.project();
    const own = server.computer(projectId);
    const elsewhere = server.computer(await server.project());
    found.push(
      [NAMES.exec, await flooded(container.computer, neighbour.computer, () => 0)],
      [NAMES.atelier, await flooded(own, elsewhere, () => server.node.residentBytes())],
    );
    await container.stop();
    await neighbour.stop();
    for (let time = 0; time < TIMES; time++) {
      for (const [name, attach] of Object.entries(SLOW)) {
        (paces[name] ??= []).push(await besideSlow(server, own, attach));
      }
    }
    await server.stop();
  }
  return report(found, paces);
}

/** Types into both terminals by turns while the flood comes. */
async function flooded(computer: Computer, elsewhere: Computer, resident: () => number): Promise<Flooded> {
  const [beside, other] = [await openEcho(computer), await openEcho(elsewhere)];
  for (const shell of [beside, other]) await shell.keystrokes(2 * TURN);
  const reading = await startReading(computer, FLOOD);
  const result: Flooded = {
    megabytesPerSecond: 0,
    besideMs: [],
    elsewhereMs: [],
    beforeMib: resident() / MIB,
    mostMib: 0,
  };
  const state = { isOver: false };
  const sampling = setInterval(() => (result.mostMib = Math.max(result.mostMib, resident() / MIB)), SAMPLE_MS);
  const run = reading.run().finally(() => (state.isOver = true));
  const type = async (shell: EchoShell, into: number[]): Promise<void> => {
    into.push(...(await shell.keystrokes(TURN, () => !state.isOver)));
  };
  while (!state.isOver) {
    await type(beside, result.besideMs);
    await type(other, result.elsewhereMs);
  }
  result.megabytesPerSecond = await run;
  clearInterval(sampling);
  await beside.close();
  await other.close();
  return result;
}

/** Attaches a viewer that is slow; gives how to end it. */
type AttachSlow = (
  server: AtelierServer,
  computer: Computer & { kind: 'atelier' },
  terminalId: string,
) => Promise<() => Promise<void>>;

const SLOW: Record<string, AttachSlow> = {
  alone: async () => async () => {},
  'with one that does not read its socket': async (_server, { url, token }, terminalId) => {
    const [client] = await connectAll([{ url, auth: { token }, chatId: '', hasHello: true }]);
    if (!client) throw new Error('There is nobody');
    // After the byte that says that it is ready: an answer with bytes would be one that this client does not parse.
    await client.call('terminal:attach', { terminalId, after: 1 });
    client.stopReading();
    return () => client.close();
  },
  'with one that grants no credit': async (_server, computer, terminalId) => {
    const socket = await socketOf(computer);
    await call(socket, 'terminal:attach', { terminalId, after: 1, credits: 1 });
    return async () => {};
  },
};

/** Megabytes a second of the viewer that reads. */
async function besideSlow(
  server: AtelierServer,
  computer: Computer & { kind: 'atelier' },
  attach: AttachSlow,
  flood: Flood = SHORT_FLOOD,
): Promise<number> {
  const reading = await startReading(computer, flood);
  const end = await attach(server, computer, reading.terminalId ?? '');
  const megabytesPerSecond = await reading.run();
  await end();
  return megabytesPerSecond;
}

function report(found: [string, Flooded][], paces: Record<string, number[]>): string {
  const of = (name: string): Flooded[] => found.filter(([other]) => other === name).map(([, figures]) => figures);
  const all = (name: string, echoes: 'besideMs' | 'elsewhereMs'): number[] => of(name).flatMap((one) => one[echoes]);
  const most = (name: string, figure: 'mostMib' | 'beforeMib' | 'megabytesPerSecond'): number =>
    percentile(
      of(name).map((one) => one[figure]),
      0.5,
    );
  const speed = (pace: string): number => percentile(paces[pace] ?? [], 0.5);
  const [alone = '', ...slow] = Object.keys(SLOW);
  return [
    '### `yes | head -c 200M` in a terminal',
    table(
      ['terminal', 'MB/s', 'echo in one beside it, p50 / p99 ms', 'in another sandbox', 'server MiB before / at most'],
      [NAMES.exec, NAMES.atelier].map((name) => [
        name,
        most(name, 'megabytesPerSecond').toFixed(1),
        p50p99(all(name, 'besideMs')),
        p50p99(all(name, 'elsewhereMs')),
        name === NAMES.atelier ? `${most(name, 'beforeMib').toFixed(0)} / ${most(name, 'mostMib').toFixed(0)}` : '',
      ]),
    ),
    table(
      ['viewer that reads', 'MB/s'],
      Object.keys(SLOW).map((pace) => [pace, speed(pace).toFixed(1)]),
    ),
    [
      atMost('echo in a terminal beside it, p99', percentile(all(NAMES.atelier, 'besideMs'), 0.99), MOST_ECHO_MS, 'ms'),
      atMost('echo in another sandbox, p99', percentile(all(NAMES.atelier, 'elsewhereMs'), 0.99), MOST_ECHO_MS, 'ms'),
      atMost(
        'memory that the server takes for it',
        most(NAMES.atelier, 'mostMib') - most(NAMES.atelier, 'beforeMib'),
        MOST_GROWTH_MIB,
        'MiB',
      ),
      ...slow.map((pace) => atLeast(`a viewer that reads, ${pace}`, speed(pace) / speed(alone), UNSLOWED)),
    ].join('\n'),
  ].join('\n\n');
}
