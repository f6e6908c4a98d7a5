/** `npm run db:migrate` and `npm run db:indexes`: brings the database to this version, builds missing indexes, and ends. */
import { startCommand } from './command.ts';
import { createServer } from './server.ts';

await startCommand(async (config, log) => {
  const server = await createServer(config, { log, migrate: true });
  await server.close();
  log.info('the database is ready for this version');
  await log.close();
});
