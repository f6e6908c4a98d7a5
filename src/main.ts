/**
 * Environment → start → signals → ordered stop. Exit codes: 0 stopped in order, 78 the configuration cannot be
 * used (sysexits' EX_CONFIG), 1 anything else.
 */
import { banner } from './banner.ts';
import { startCommand } from './command.ts';
import { LIMITS } from './protocol/index.ts';
import { createServer } from './server.ts';

await startCommand(async (config, log) => {
  const server = await createServer(config, { log });

  let stopping = false;
  const stop = async (exitCode: number): Promise<void> => {
    if (stopping) return;
    stopping = true;
    log.info('stopping');
    setTimeout(() => {
      log.error('the stop took too long');
      process.exit(1);
    }, LIMITS.shutdownMs).unref();
    await server.close();
    await log.close();
    process.exit(exitCode);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(0));
  process.on('uncaughtException', (error) => {
    log.error('an error reached nobody', { error });
    void stop(1);
  });
  void server.failed.then((error) => {
    log.error('the embedded database ended by itself', { error });
    void stop(1);
  });

  await server.listen();
  if (config.production) log.info('ready', { url: server.url });
  else process.stdout.write(banner(config, server.sandboxes, server.url));
});
