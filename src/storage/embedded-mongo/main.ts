import { parseArgs } from 'node:util';
import { startEmbeddedMongo } from './index.ts';

// node main.js --path DIR [--port N]: runs the engine as a process on a port (by default any) and prints its URI.
const { values } = parseArgs({ options: { path: { type: 'string' }, port: { type: 'string', default: '0' } } });
if (values.path === undefined) throw new Error('--path DIR is required');
const engine = await startEmbeddedMongo({
  path: values.path,
  port: Number(values.port),
  onError: (error, during) => process.stderr.write(`${during}: ${String(error)}\n`),
});
process.stdout.write(`${engine.uri}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void engine.close());
const failure = await engine.exited;
if (failure) throw failure;
