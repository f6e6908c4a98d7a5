import { parseArgs } from 'node:util';
import { startInThread } from './in-thread.ts';

// node main.js --path DIR [--port N | --socket FILE] [--no-sync] [--ttl SECONDS]: runs the engine as a process.
const { values } = parseArgs({
  options: {
    path: { type: 'string' },
    port: { type: 'string', default: '0' },
    socket: { type: 'string' },
    ttl: { type: 'string' },
    'no-sync': { type: 'boolean', default: false },
  },
});
if (values.path === undefined) throw new Error('--path DIR is required');
const server = await startInThread({
  path: values.path,
  sync: !values['no-sync'],
  ttlSeconds: values.ttl === undefined ? undefined : Number(values.ttl),
  listen: values.socket === undefined ? { port: Number(values.port) } : { socketPath: values.socket },
  onError: (error, during) => process.stderr.write(`${during}: ${String(error)}\n`),
});
process.stdout.write(`${server.uri}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void server.close());
