/** `npm run backup -- --to FILE`: writes database and blobs into one archive. Servers on MONGODB_URI may run meanwhile. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BACKUP_PLAN } from './backup-plan.ts';
import { CommandRefused, startCommand } from './command.ts';
import { openStorage, pepperSumOf } from './storage-parts.ts';
import { dump } from './storage/backup/index.ts';
import { assertSchema } from './storage/migrations.ts';
import { migrations } from './storage/migrations/index.ts';

await startCommand(async (config, log) => {
  const { values } = parseArgs({ options: { to: { type: 'string' } } });
  if (values.to === undefined) throw new CommandRefused('Say where to: npm run backup -- --to atelier.tar.gz');
  const file = resolve(values.to);
  await using storage = await openStorage(config, log, { shared: true });
  const { blobs, database } = storage;
  const { connection } = database;
  const { version } = await assertSchema({ connection, migrations });
  if (version === 0) throw new CommandRefused('There is nothing to back up: no server has used this database yet.');
  const { collections, blobs: kept } = await dump({
    connection,
    blobs,
    plan: BACKUP_PLAN,
    schemaVersion: version,
    pepperSum: await pepperSumOf(config),
    file,
  });
  const documents = collections.reduce((sum, collection) => sum + collection.documents, 0);
  process.stdout.write(
    `${file}: ${documents} documents of ${collections.length} collections, ${kept.count} blobs.\n` +
      'Passwords in it go with the AUTH_PEPPER of this installation, which is not in it: keep that too.\n',
  );
  await log.close();
});
