/** How long until a terminal shows the prompt of a login shell, in a sandbox that runs and in one that does not yet. */
import { setTimeout as wait } from 'node:timers/promises';
import { p50p99, percentile, table } from '../figures.ts';
import { startAtelier, startContainer } from './computers.ts';
import { besideExec, NAMES } from './names.ts';
import { openPrompt, type Computer } from './shell.ts';

const TIMES = 30;
/** Before it counts. */
const PRACTICE = 3;
const STARTS = 6;

export async function opening(rounds: number): Promise<string> {
  const took: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    const server = await startAtelier();
    const container = await startContainer();
    const computers: [string, Computer][] = [
      [NAMES.host, { kind: 'host' }],
      [NAMES.exec, container.computer],
      [NAMES.atelier, server.computer(await server.project())],
    ];
    for (let time = 0; time < PRACTICE + TIMES; time++) {
      for (const [name, computer] of computers) {
        const tookMs = await promptMs(computer);
        if (time >= PRACTICE) (took[name] ??= []).push(tookMs);
        await wait(50);
      }
    }
    await container.stop();
    await server.stop();
  }
  const p50 = (name: string): number => percentile(took[name] ?? [], 0.5);
  return [
    `### Opening a terminal, until its shell's prompt (${TIMES * rounds} times)`,
    table(
      ['terminal', 'p50 / p99 ms'],
      Object.entries(took).map(([name, tookMs]) => [name, p50p99(tookMs)]),
    ),
    besideExec('p50, ms', p50(NAMES.atelier), p50(NAMES.exec), 'less'),
  ].join('\n\n');
}

/** First terminals: of a new project, of one that has its volume, and of one for which a sandbox is ready. */
export async function starts(rounds: number): Promise<string> {
  const rows = {
    bare: [] as number[],
    fresh: [] as number[],
    again: [] as number[],
    warm: [] as number[],
  };
  for (let round = 0; round < rounds; round++) {
    const cold = await startAtelier();
    for (let n = 0; n < STARTS; n++) {
      rows.bare.push(await bareStartMs());
      const projectId = await cold.project();
      rows.fresh.push(await promptMs(cold.computer(projectId)));
      await cold.stopSandbox(projectId);
      rows.again.push(await promptMs(cold.computer(projectId)));
      await cold.stopSandbox(projectId);
    }
    await cold.stop();
    const warm = await startAtelier({ warm: 1 });
    for (let n = 0; n < STARTS; n++) {
      // The first start makes the driver ready, which then fills the pool.
      if (n === 0) await startAndStop(warm);
      while ((await warm.containers()).length === 0) await wait(100);
      // Its agent is there, and the pool's other one too.
      await wait(3_000);
      const projectId = await warm.project();
      rows.warm.push(await promptMs(warm.computer(projectId)));
      await warm.stopSandbox(projectId);
    }
    await warm.stop();
  }
  return [
    `### First terminal of a sandbox, until its shell's prompt (${STARTS * rounds} times)`,
    table(
      ['start', 'p50 ms', 'most ms'],
      [
        [`container made and started, then ${NAMES.exec}`, rows.bare],
        ['Atelier, a new project (its volume is made)', rows.fresh],
        ['Atelier, a project that has been used before', rows.again],
        ['Atelier, a new project when a sandbox is ready (SANDBOX_WARM=1)', rows.warm],
      ].map(([name, tookMs]) => [
        name as string,
        percentile(tookMs as number[], 0.5).toFixed(0),
        Math.max(...(tookMs as number[])).toFixed(0),
      ]),
    ),
  ].join('\n\n');
}

async function promptMs(computer: Computer): Promise<number> {
  const { shell, tookMs } = await openPrompt(computer);
  await shell.close();
  return tookMs;
}

async function bareStartMs(): Promise<number> {
  const startedAt = performance.now();
  const container = await startContainer();
  const { shell } = await openPrompt(container.computer);
  const tookMs = performance.now() - startedAt;
  await shell.close();
  await container.stop();
  return tookMs;
}

async function startAndStop(server: Awaited<ReturnType<typeof startAtelier>>): Promise<void> {
  const projectId = await server.project();
  await promptMs(server.computer(projectId));
  await server.stopSandbox(projectId);
}
