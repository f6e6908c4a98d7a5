/** What every command of the server begins with: the environment, the log, and the exit codes of a start that fails. */
import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { ConfigError, loadConfig, type Config } from './config/index.ts';
import { createLog, type OpenLog } from './observability/index.ts';
import { AddressUnusable, SchemaTooOld } from './server.ts';
import { DataDirLocked } from './storage/data-dir-lock.ts';
import { SchemaTooNew } from './storage/migrations.ts';

/** sysexits' EX_CONFIG: the configuration, the data directory, the address or the database's version cannot be used. */
const EX_CONFIG = 78;

/** Runs a command with the checked environment (and `.env`, where there is one). Ends the process if it rejects. */
export async function startCommand(run: (config: Config, log: OpenLog) => Promise<void>): Promise<void> {
  try {
    if (existsSync('.env')) loadEnvFile('.env');
    const config = loadConfig(process.env);
    const log = createLog({ level: config.logLevel, pretty: process.stdout.isTTY, dir: config.logDir });
    await run(config, log);
  } catch (error) {
    const unusable = [ConfigError, DataDirLocked, SchemaTooNew, SchemaTooOld, AddressUnusable].some(
      (kind) => error instanceof kind,
    );
    console.error(unusable ? (error as Error).message : error);
    process.exit(unusable ? EX_CONFIG : 1);
  }
}
