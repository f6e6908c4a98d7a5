/** The thread that bcrypt keeps busy (a third of a second for each password at cost 12) instead of the main loop. */
import { parentPort } from 'node:worker_threads';
import { compareSync, hashSync } from 'bcryptjs';

export type PasswordJob =
  | { kind: 'hash'; input: string; cost: number }
  | { kind: 'compare'; input: string; hash: string };
export type PasswordResult = { value: string | boolean } | { error: string };

parentPort?.on('message', (job: PasswordJob) => {
  parentPort?.postMessage(run(job));
});

function run(job: PasswordJob): PasswordResult {
  try {
    return {
      value: job.kind === 'hash' ? hashSync(job.input, job.cost) : compareSync(job.input, job.hash),
    };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
