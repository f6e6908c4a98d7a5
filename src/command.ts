/** What every command of the server begins with: the environment, the log, and the exit codes of a start that fails. */
import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { ConfigError, loadConfig, type Config } from './config/index.ts';
import { createLog, type OpenLog } from './observability/index.ts';
import { AddressUnusable, SchemaTooOld } from './server.ts';
import { DataDirLocked } from './storage/data-dir-lock.ts';
import { ArchiveUnusable, TargetUnusable } from './storage/backup/index.ts';
import { RestoreUnfinished, SchemaTooNew } from './storage/migrations.ts';

/** sysexits' EX_CONFIG: the configuration, the data directory, the address or the database's version cannot be used. */
const EX_CONFIG = 78;

/** The command will not do what it was asked for; its message says why. Nothing was changed. */
export class CommandRefused extends Error {
  override readonly name = 'CommandRefused';
}

const UNUSABLE = [ConfigError, DataDirLocked, SchemaTooNew, SchemaTooOld, RestoreUnfinished, AddressUnusable];
const REFUSED = [CommandRefused, ArchiveUnusable, TargetUnusable];

/** Runs a command with the checked environment (and `.env`, where there is one). Ends the process if it rejects. */
export async function startCommand(run: (config: Config, log: OpenLog) => Promise<void>): Promise<void> {
  try {
    if (existsSync('.env')) loadEnvFile('.env');
    const config = loadConfig(process.env);
    const log = createLog({ level: config.logLevel, pretty: process.stdout.isTTY, dir: config.logDir });
    await run(config, log);
  } catch (error) {
    const isOneOf = (kinds: readonly (new (...args: never[]) => Error)[]): boolean =>
      kinds.some((kind) => error instanceof kind);
    const unusable = isOneOf(UNUSABLE);
    // Anything else is a bug or an outage, and its stack is of use.
    console.error(unusable || isOneOf(REFUSED) ? (error as Error).message : error);
    process.exit(unusable ? EX_CONFIG : 1);
  }
}
