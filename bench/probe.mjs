// Loaded into a server under test (with --expose-gc): answers every message of its parent with what its memory holds.
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  process.on('message', () => {
    // Twice: what the first run finalizes, the second one frees.
    globalThis.gc();
    globalThis.gc();
    process.send(process.memoryUsage());
  });
  process.channel.unref();
}
