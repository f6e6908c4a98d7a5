/** Megabytes a second that reach the reader of a terminal, which is a process of its own. */
import { median, table } from '../figures.ts';
import { startAtelier, startContainer } from './computers.ts';
import { besideExec, NAMES } from './names.ts';
import { lineFlood, startReading, yesFlood } from './reading.ts';
import type { Computer } from './shell.ts';

const MEGABYTES = 50;
const TIMES = 3;

export async function throughput(rounds: number): Promise<string> {
  const floods = [lineFlood(MEGABYTES), yesFlood(MEGABYTES)];
  const found = new Map<string, number[]>();
  const speedsOf = (name: string, flood: string): number[] => {
    const key = `${name} ${flood}`;
    const speeds = found.get(key) ?? [];
    found.set(key, speeds);
    return speeds;
  };
  for (let round = 0; round < rounds; round++) {
    const server = await startAtelier();
    const container = await startContainer();
    const computers: [string, Computer][] = [
      [NAMES.host, { kind: 'host' }],
      [NAMES.exec, container.computer],
      [NAMES.atelier, server.computer(await server.project())],
    ];
    for (const flood of floods) {
      for (let time = 0; time < TIMES; time++) {
        for (const [name, computer] of computers) {
          const megabytesPerSecond = await (await startReading(computer, flood)).run();
          speedsOf(name, flood.name).push(megabytesPerSecond);
        }
      }
    }
    await container.stop();
    await server.stop();
  }
  const speed = (name: string, flood: string): number => median(speedsOf(name, flood));
  return [
    `### Throughput of a terminal (${MEGABYTES} MB, ${TIMES * rounds} times)`,
    table(
      ['terminal', ...floods.map(({ name }) => `${name}, MB/s`)],
      Object.values(NAMES).map((name) => [name, ...floods.map((flood) => speed(name, flood.name).toFixed(1))]),
    ),
    floods
      .map(({ name }) => besideExec(`${name}, MB/s`, speed(NAMES.atelier, name), speed(NAMES.exec, name), 'more'))
      .join('\n'),
  ].join('\n\n');
}
