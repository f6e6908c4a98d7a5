/** The environment, checked once at the start. Only `main` and `server` import this; everything else is given values. */
export { envExample } from './env-example.ts';
export { ConfigError, loadConfig, type Config, type Problem } from './load-config.ts';
export { loadSecrets, type Secrets, type SecretsOptions } from './secrets.ts';
