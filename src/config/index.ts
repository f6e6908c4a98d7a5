/** The environment, checked once at the start. Only `main` and `server` import this; everything else is given values. */
export { envExample } from './env-example.ts';
export { loadHostId } from './host-id.ts';
export { ConfigError, loadConfig, type Config, type Problem } from './load-config.ts';
export { loadSecrets, loadVapidKeys, type Secrets, type SecretsOptions, type VapidOptions } from './secrets.ts';
export type { VapidKeys } from './vapid-keys.ts';
