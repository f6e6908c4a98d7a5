/** What prints a lot, and a process of its own that reads it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Task } from './reader.ts';
import type { Computer } from './shell.ts';

const MB = 1e6;

export interface Flood {
  name: string;
  command: string;
  /** That reach the reader: the terminal makes two bytes of each end of a line. */
  bytes: number;
}

/** `yes`, of which so many megabytes are let through. */
export const yesFlood = (megabytes: number): Flood => ({
  name: '`yes`',
  command: `yes | head -c ${megabytes * MB}`,
  bytes: megabytes * MB * 1.5,
});

/** Lines of 79 characters, as a build prints them. */
export const lineFlood = (megabytes: number): Flood => ({
  name: 'lines of 79 characters',
  command: `yes ${'x'.repeat(79)} | head -c ${megabytes * MB}`,
  bytes: (megabytes * MB * 81) / 80,
});

export interface Reading {
  /** Of Atelier's. */
  terminalId: string | undefined;
  /** Begins it; resolves with the megabytes a second when all has come. */
  run(): Promise<number>;
}

/** Resolves when the terminal is open and waits. */
export async function startReading(computer: Computer, { command, bytes }: Flood): Promise<Reading> {
  const child = fork(fileURLToPath(new URL('reader.ts', import.meta.url)), {
    execArgv: ['--import', './test/support/typescript.mjs'],
  });
  const answer = async (): Promise<Answer> => {
    const said = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => undefined)]);
    if (!said) throw new Error('The reader has ended');
    return said[0] as Answer;
  };
  child.send({ computer, command, bytes } satisfies Task);
  const ready = await answer();
  return {
    terminalId: ready.type === 'ready' ? ready.terminalId : undefined,
    async run() {
      child.send('go');
      const said = await answer();
      if (said.type !== 'done') throw new Error('The reader has not read');
      if (child.exitCode === null) await once(child, 'exit');
      return bytes / MB / said.seconds;
    },
  };
}
