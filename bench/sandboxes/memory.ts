/** What sandboxes and terminals that nobody uses keep: of their containers, and of whoever leads to them. */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { settled } from '../load.ts';
import { median, table } from '../figures.ts';
import { memoryOf, startAtelier, startContainer } from './computers.ts';
import { NAMES } from './names.ts';
import { openPrompt, type Computer, type Shell } from './shell.ts';

const SANDBOXES = 4;
/** As many as a user may have in a project. */
const EACH = 8;
const PEOPLE = 7;
const MIB = 1_024 ** 2;
const KIB = 1_024;

export async function memory(): Promise<string> {
  const server = await startAtelier({ people: PEOPLE });
  const container = await startContainer();
  const bare = await memoryOf(container.containerId);
  const sandboxes = await idleSandboxes(server);

  const projectId = await server.project();
  const before = new Set(await server.containers());
  const shells = await openAll(Array.from({ length: EACH }, () => server.computer(projectId)));
  const [ownId = ''] = (await server.containers()).filter((id) => !before.has(id));
  const few = await figures(server, ownId);
  shells.push(
    ...(await openAll(
      Array.from({ length: EACH * (PEOPLE - 1) }, (_, n) => server.computer(projectId, 1 + Math.floor(n / EACH))),
    )),
  );
  const many = await figures(server, ownId);
  const more = EACH * (PEOPLE - 1);
  for (const shell of shells) await shell.close();

  const execs = await openAll(Array.from({ length: EACH }, () => container.computer));
  await wait(1_000);
  const withExecs = await memoryOf(container.containerId);
  const ledMib = execs.reduce((sum, { pid = 0 }) => sum + proportionalMib(pid), 0);
  for (const shell of execs) await shell.close();
  await container.stop();
  await server.stop();

  return [
    '### Memory of a sandbox and of a terminal that are idle',
    table(
      ['sandbox', 'its own MiB', 'with its files in the cache, MiB'],
      [
        ['container that waits for `docker exec`', bare.ownMib.toFixed(1), bare.withFilesMib.toFixed(1)],
        [
          `Atelier's, with its agent and helpers, the files shared by ${SANDBOXES} (median)`,
          median(sandboxes.map(({ ownMib }) => ownMib)).toFixed(1),
          median(sandboxes.map(({ withFilesMib }) => withFilesMib)).toFixed(1),
        ],
      ],
    ),
    table(
      ['terminal', 'its own MiB in the container', 'of whoever leads to it'],
      [
        [
          NAMES.exec,
          ((withExecs.ownMib - bare.ownMib) / EACH).toFixed(2),
          `${(ledMib / EACH).toFixed(2)} MiB (a process of \`docker\`)`,
        ],
        [
          NAMES.atelier,
          ((many.ownMib - few.ownMib) / more).toFixed(2),
          `${((many.heapBytes - few.heapBytes) / more / KIB).toFixed(1)} KiB of the server's heap and buffers, ${((many.residentBytes - few.residentBytes) / more / KIB).toFixed(1)} KiB resident`,
        ],
      ],
    ),
  ].join('\n\n');
}

/** Sandboxes with a terminal that was closed. */
async function idleSandboxes(server: Awaited<ReturnType<typeof startAtelier>>): ReturnType<typeof figuresOfEach> {
  for (let n = 0; n < SANDBOXES; n++) {
    const { shell } = await openPrompt(server.computer(await server.project()));
    await shell.close();
  }
  await wait(5_000);
  return figuresOfEach(await server.containers());
}

const figuresOfEach = (ids: readonly string[]): Promise<Awaited<ReturnType<typeof memoryOf>>[]> =>
  Promise.all(ids.map((id) => memoryOf(id)));

async function openAll(computers: readonly Computer[]): Promise<Shell[]> {
  const shells: Shell[] = [];
  for (const computer of computers) shells.push((await openPrompt(computer)).shell);
  return shells;
}

async function figures(
  { node }: Awaited<ReturnType<typeof startAtelier>>,
  containerId: string,
): Promise<{ heapBytes: number; residentBytes: number; ownMib: number }> {
  await wait(5_000);
  await settled(node);
  const { heapUsed, external, rss } = await node.memory();
  return { heapBytes: heapUsed + external, residentBytes: rss, ownMib: (await memoryOf(containerId)).ownMib };
}

/** Of what several processes share, a part of it. */
function proportionalMib(pid: number): number {
  const [, kib] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
  return (Number(kib) * KIB) / MIB;
}
