/** The thread in which large texts are compared: up to 60 ms each, which nobody else should wait for. */
import { parentPort } from 'node:worker_threads';
import { diffText } from './text-diff.ts';

export interface DiffJob {
  before: string;
  after: string;
}

parentPort?.on('message', ({ before, after }: DiffJob) => {
  parentPort?.postMessage(diffText(before, after));
});
