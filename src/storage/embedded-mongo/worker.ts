import { parentPort, workerData } from 'node:worker_threads';
import { createEngine } from './engine.ts';
import type { FromWorker, WorkerInput } from './index.ts';
import { listen } from './wire/server.ts';

// The thread that `startEmbeddedMongo` starts: serves until it is told to close.
const port = parentPort;
if (!port) throw new Error('this module is a worker thread of startEmbeddedMongo');
const { options, address } = workerData as WorkerInput;
const send = (message: FromWorker) => port.postMessage(message);
const onError = (error: unknown, during: string) => send({ type: 'error', error, during });

const engine = createEngine({ ...options, onError });
const server = await listen(engine, address, onError);
port.once('message', () => {
  void server
    .close()
    .then(() => engine.close())
    .then(() => port.close());
});
send({ type: 'listening', uri: server.uri });
