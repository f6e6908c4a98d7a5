/** Gets a program going in a sandbox: its files there, itself started, and whether it ran out of memory. */
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { Fault, LIMITS } from '../../protocol/index.ts';
import type { SandboxProcess } from '../../sandbox/agent-streams.ts';
import type { Sandbox } from '../../sandbox/driver.ts';

/** A file of a project, as the run's copy gets it. */
export interface RunFile {
  path: string;
  sizeBytes: number;
  /** Undefined if it is gone meanwhile. */
  open: () => Promise<AsyncIterable<Uint8Array> | undefined>;
}

/** An agent that was left by its last server comes to the next one within a second. */
const CONNECTED_MS = 5_000;

/** Starts a program as the sandbox's user, in its working directory. */
export async function startIn(sandbox: Sandbox, argv: readonly string[]): Promise<SandboxProcess> {
  const { link, env, workDir } = sandbox;
  await link.connected(AbortSignal.timeout(CONNECTED_MS)).catch((cause: unknown) => {
    throw new Fault('unavailable', 'The sandbox cannot be reached', { cause, retryAfterMs: 1_000 });
  });
  return link.streams.spawn({ argv: sandbox.asUser(argv), env: { ...env }, cwd: workDir });
}

/** Puts files into the working directory. Rejects with `too_large` when they are more than a run may have. */
export async function putFiles(sandbox: Sandbox, files: AsyncIterable<RunFile>): Promise<void> {
  const process = await startIn(sandbox, ['tar', '-x', '-f', '-']);
  process.stdout.resume();
  process.stderr.resume();
  const archive = pack();
  const sending = pipeline(archive, process.stdin);
  // Whatever ends the archive is told below.
  sending.catch(() => {});
  try {
    let sizeBytes = 0;
    for await (const file of files) {
      sizeBytes += file.sizeBytes;
      if (sizeBytes > LIMITS.runFilesBytes) throw new Fault('too_large', 'The project is too large for a run');
      const body = await file.open();
      if (!body) continue;
      // As it is now, which need not be as long as it was listed.
      const content = await buffer(body);
      await new Promise<void>((resolve, reject) => {
        archive.entry({ name: file.path, size: content.length }, content, (error) =>
          error ? reject(error) : resolve(),
        );
      });
    }
    archive.finalize();
    await sending;
  } catch (error) {
    archive.destroy();
    process.kill('SIGKILL');
    if (error instanceof Fault) throw error;
    throw new Fault('unavailable', 'The files could not be brought into the sandbox', { cause: error });
  }
  const { code } = await process.exited;
  if (code !== 0) throw new Fault('unavailable', 'The files could not be brought into the sandbox');
}

/** How many of the sandbox's programs were ended for memory so far; 0 where nothing counts them. */
export async function memoryKills(sandbox: Sandbox): Promise<number> {
  // Without a user of its own it has no memory of its own either.
  if (!sandbox.owner) return 0;
  const files = '/sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control';
  try {
    const process = await startIn(sandbox, ['sh', '-c', `cat ${files} 2>/dev/null`]);
    process.stdin.end();
    process.stderr.resume();
    let text = '';
    process.stdout.setEncoding('utf8').on('data', (chunk: string) => (text = `${text}${chunk}`.slice(0, 4_096)));
    await once(process.stdout, 'close');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  } catch {
    // It is going, or has no process left for the question.
    return 0;
  }
}
