import { parentPort, workerData } from 'node:worker_threads';
import { startInThread } from './in-thread.ts';
import type { FromWorker, WorkerInput } from './index.ts';

// The thread that `startEmbeddedMongo` starts: serves until it is told to close.
const { path, sync, ttlSeconds, listen } = workerData as WorkerInput;
const port = parentPort;
if (!port) throw new Error('this module is a worker thread of startEmbeddedMongo');
const send = (message: FromWorker) => port.postMessage(message);

const server = await startInThread({
  path,
  sync,
  ttlSeconds,
  listen,
  onError: (error, during) => send({ type: 'error', error, during }),
});
port.once('message', () => {
  void server.close().then(() => port.close());
});
send({ type: 'listening', uri: server.uri });
