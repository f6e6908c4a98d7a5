/**
 * Every variable of the environment, declared once: what it takes, what it means, what it is without being set.
 * The check at the start, the messages about mistakes and `.env.example` all come from here.
 */
import { resolve } from 'node:path';
import { z } from 'zod';

export interface Variable<S extends z.ZodType = z.ZodType> {
  group: Group;
  /** From the variable's text, or from undefined where it is not set. */
  schema: S;
  /** For `.env.example`: what it does, in whole sentences. */
  doc: string;
  /** What it is without being set, in the form of the file; empty when it then has no value. */
  fallback: string;
}

export type Group =
  | 'Server'
  | 'Storage'
  | 'Accounts'
  | 'Assistant'
  | 'Phone codes'
  | 'Push'
  | 'Sandboxes'
  | 'Limits'
  | 'Logs and metrics';

const variable = <S extends z.ZodType>(group: Group, schema: S, fallback: string, doc: string): Variable<S> => ({
  group,
  schema,
  doc,
  fallback,
});

const integer = (min: number, max: number, fallback: number): z.ZodType<number, string | undefined> =>
  z
    .string()
    .regex(/^\d{1,15}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)
    .prefault(String(fallback));

const decimal = (min: number, max: number, fallback: number): z.ZodType<number, string | undefined> =>
  z
    .string()
    .regex(/^\d{1,9}(\.\d{1,9})?$/, `must be a number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a number from ${min} to ${max}`)
    .prefault(String(fallback));

const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

const path = z.string().transform((value) => resolve(value));

/** A URL of one of the schemes, without its closing slashes. */
const url = (schemes: readonly string[]) =>
  z
    .string()
    .refine((value) => isUrl(value, schemes), `must be a URL that starts with ${schemes.map(withSlashes).join(' or ')}`)
    .transform((value) => value.replace(/\/+$/, ''));

const redisUrl = z
  .string()
  .transform((value) => value.replace(/\/+$/, ''))
  .refine(
    isRedisUrl,
    'must be redis://host:port or rediss://host:port, or redis+cluster:// or rediss+cluster:// with hosts separated by commas',
  );

function isRedisUrl(value: string): boolean {
  const [, cluster, hosts = ''] = /^rediss?(\+cluster)?:\/\/(?:[^@\s/]*@)?([^@\s/]+)(?:\/\d+)?$/.exec(value) ?? [];
  const list = hosts.split(',');
  if (cluster === undefined && list.length > 1) return false;
  return list.every((host) => host !== '' && URL.canParse(`redis://${host}`));
}

const withSlashes = (scheme: string): string => `${scheme}://`;

function isUrl(value: string, schemes: readonly string[]): boolean {
  // Several hosts, as MongoDB's URIs have, are not a URL to the parser.
  const [scheme, rest] = value.split('://', 2);
  if (scheme === undefined || !schemes.includes(scheme) || !rest) return false;
  return !scheme.startsWith('http') || URL.canParse(value);
}

const list = z.string().transform((value) =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

const origins = list
  .refine(
    (values) => values.every((value) => isUrl(value, ['http', 'https']) && /^\/?$/.test(new URL(value).pathname)),
    'must be origins separated by commas, as https://app.example.com',
  )
  .transform((values) => values.map((value) => new URL(value).origin));

const countries = list
  .transform((values) => values.map((value) => value.toUpperCase()))
  .refine(
    (values) => values.every((value) => /^[A-Z]{2}$/.test(value)),
    'must be two-letter country codes separated by commas, as DE,US',
  );

const prices = list
  .refine(
    (values) => values.every((value) => /^[^=\s]{1,100}=\d{1,6}(\.\d{1,6})?(\/\d{1,6}(\.\d{1,6})?){1,3}$/.test(value)),
    'must be models and their prices separated by commas, as claude-x=3/15/0.3/3.75',
  )
  .transform(
    (values) =>
      new Map(
        values.map((value) => {
          const [model = '', rates = ''] = value.split('=');
          const [input = 0, output = 0, cacheRead = input, cacheWrite = input] = rates.split('/').map(Number);
          return [model, { input, output, cacheRead, cacheWrite }] as const;
        }),
      ),
  );

const bucket = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{1,253}[A-Za-z0-9]$/, 'must be the name of a bucket: letters, digits, points and hyphens');

/** A path within the bucket, whose keys have 1,024 bytes at most. */
const keyPrefix = z
  .string()
  .transform((value) => value.replace(/^\/+|\/+$/g, ''))
  .refine(
    (value) => value.length <= 200 && value.split('/').every((part) => /^(?!\.\.?$)[\w.-]+$/.test(part)),
    'must be names of letters, digits, points, hyphens and underscores, separated by slashes',
  );

const phone = z.string().regex(/^\+[1-9]\d{5,14}$/, 'must be a phone number in E.164 form, as +14155550100');
const sender = z
  .string()
  .regex(
    /^(\+[1-9]\d{5,14}|MG[0-9a-fA-F]{32}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11})$/,
    'must be a phone number in E.164 form, a messaging service (MG…) or a name of at most 11 letters and digits',
  );

export const VARIABLES = {
  NODE_ENV: variable(
    'Server',
    choice(['development', 'test', 'production']).default('development'),
    'development',
    'development, test or production. Production demands JWT_SECRET and AUTH_PEPPER, hides error details and switches the development outbox off.',
  ),
  PORT: variable('Server', integer(0, 65_535, 3000), '3000', 'Port to listen on; 0 takes a free one.'),
  HOST: variable(
    'Server',
    z.string().default('127.0.0.1'),
    '127.0.0.1',
    'Address to listen on. 127.0.0.1 is reached from this machine only; 0.0.0.0 from everywhere.',
  ),
  PUBLIC_URL: variable(
    'Server',
    url(['http', 'https']).optional(),
    '',
    'The address that browsers use, as https://atelier.example.com. Without it http://localhost:<PORT>.',
  ),
  ALLOWED_ORIGINS: variable(
    'Server',
    origins.optional(),
    '',
    'Origins whose pages may use this server, separated by commas. Without it the origin of PUBLIC_URL and, off production, every localhost origin.',
  ),
  TRUST_PROXY_HOPS: variable(
    'Server',
    integer(0, 10, 0),
    '0',
    'Number of proxies in front that set X-Forwarded-For. With 0 the header is not believed.',
  ),
  DATA_DIR: variable(
    'Storage',
    path.prefault('./data'),
    './data',
    'Directory of the embedded database and, off production, of the generated secrets. Several processes of one machine may share it if they share REDIS_URL.',
  ),
  MONGODB_URI: variable(
    'Storage',
    url(['mongodb', 'mongodb+srv']).optional(),
    '',
    'A MongoDB (5.0 or newer), as mongodb://127.0.0.1:27017/atelier. Without it the embedded database in DATA_DIR.',
  ),
  REDIS_URL: variable(
    'Storage',
    redisUrl.optional(),
    '',
    'A Redis (6.2 or newer) for several nodes, as redis://127.0.0.1:6379; rediss:// for TLS; redis+cluster://host:port,host:port for a Redis Cluster (7.0 or newer). All nodes of a deployment have the same database and the same REDIS_URL. Without it this node is the only one.',
  ),
  S3_BUCKET: variable(
    'Storage',
    bucket.optional(),
    '',
    'A bucket of an S3 store, where uploads are kept. It must be there. Without it they are files in DATA_DIR.',
  ),
  S3_PREFIX: variable(
    'Storage',
    keyPrefix.optional(),
    '',
    'The folder of the bucket that is ours, as atelier/production. Without it the whole bucket.',
  ),
  S3_ENDPOINT: variable(
    'Storage',
    url(['http', 'https']).optional(),
    '',
    "A store other than AWS, as http://127.0.0.1:3900. It is asked with the bucket in the path. Without it AWS's own.",
  ),
  AWS_REGION: variable(
    'Storage',
    z
      .string()
      .regex(/^[\w-]{1,64}$/, 'must be the name of a region, as eu-central-1')
      .default('us-east-1'),
    'us-east-1',
    'The region of the bucket; of a store other than AWS what it calls its own.',
  ),
  AWS_ACCESS_KEY_ID: variable(
    'Storage',
    z.string().optional(),
    '',
    'The key for the bucket, with AWS_SECRET_ACCESS_KEY. Without them the role of the machine, or what else the AWS SDK finds.',
  ),
  AWS_SECRET_ACCESS_KEY: variable('Storage', z.string().optional(), '', 'Its secret half.'),
  JWT_SECRET: variable(
    'Accounts',
    z.string().optional(),
    '',
    'Signs access tokens: at least 32 random characters (openssl rand -base64 48). Two, separated by a comma, while one is replaced: the first signs, both verify. Required in production; else generated once into DATA_DIR.',
  ),
  AUTH_PEPPER: variable(
    'Accounts',
    z.string().optional(),
    '',
    'Goes into every password hash and phone code: at least 32 random characters. Required in production; else generated once into DATA_DIR. Changing it makes all passwords invalid.',
  ),
  ADMIN_EMAIL: variable(
    'Accounts',
    z
      .string()
      .toLowerCase()
      .pipe(z.email({ error: 'must be an e-mail address' }))
      .optional(),
    '',
    'The account with this e-mail address administers the server. In production: register it first, then set this and start again; while it is set nobody can register the address. Off production registering it is enough.',
  ),
  ACCESS_TOKEN_SECONDS: variable(
    'Accounts',
    integer(30, 86_400, 900),
    '900',
    'Life of an access token in seconds. A revoked session ends at once in any case.',
  ),
  REFRESH_TOKEN_DAYS: variable(
    'Accounts',
    integer(1, 365, 30),
    '30',
    'A session ends after so many days, whatever happens in it, and after 7 days without use.',
  ),
  AI_PROVIDER: variable(
    'Assistant',
    choice(['auto', 'anthropic', 'demo']).default('auto'),
    'auto',
    'Who answers as the assistant: anthropic, demo (no account needed) or auto (anthropic when there is a key, else demo).',
  ),
  ANTHROPIC_API_KEY: variable('Assistant', z.string().optional(), '', 'The key of the Anthropic API.'),
  ANTHROPIC_BASE_URL: variable(
    'Assistant',
    url(['http', 'https']).optional(),
    '',
    "Another address of the Anthropic API, as a gateway's. Without it Anthropic's own.",
  ),
  AI_MODEL: variable(
    'Assistant',
    z.string().max(200).optional(),
    '',
    "The model's name. Without it the provider's usual one.",
  ),
  AI_PRICES: variable(
    'Assistant',
    prices.prefault(''),
    '',
    "For administrators' figures: US dollars per million tokens of each model, as claude-x=3/15/0.3/3.75 (input, output, and where they differ from input cache reads and writes), separated by commas. Without it no costs are shown.",
  ),
  OTP_PROVIDER: variable(
    'Phone codes',
    choice(['console', 'twilio-messages']).optional(),
    '',
    'How phone codes are sent: twilio-messages, or console (printed, for development). Without it twilio-messages when its variables are set, else console off production, else not at all.',
  ),
  OTP_COUNTRIES: variable(
    'Phone codes',
    countries.optional(),
    '',
    'Countries whose numbers are served, as DE,AT,CH. Without it all.',
  ),
  OTP_HOURLY_CAP: variable(
    'Phone codes',
    integer(1, 1_000_000, 1000),
    '1000',
    'At most so many codes are sent per hour altogether, whoever asks: the bound on what abuse can cost.',
  ),
  TWILIO_ACCOUNT_SID: variable(
    'Phone codes',
    z
      .string()
      .regex(/^AC[0-9A-Za-z]+$/, 'must be an account SID, which starts with AC')
      .optional(),
    '',
    "Twilio's account SID (AC…).",
  ),
  TWILIO_AUTH_TOKEN: variable('Phone codes', z.string().optional(), '', "Twilio's auth token."),
  TWILIO_FROM: variable(
    'Phone codes',
    sender.optional(),
    '',
    'Sender of SMS: a number in E.164 form, a messaging service (MG…) or an alphanumeric sender.',
  ),
  TWILIO_WHATSAPP_FROM: variable(
    'Phone codes',
    z
      .string()
      .transform((value) => value.replace(/^whatsapp:/, ''))
      .pipe(phone)
      .optional(),
    '',
    'Sender of WhatsApp messages: a number in E.164 form.',
  ),
  TWILIO_BASE_URL: variable(
    'Phone codes',
    url(['http', 'https']).optional(),
    '',
    "Another address of Twilio's API, for tests. Without it Twilio's own.",
  ),
  VAPID_PUBLIC_KEY: variable(
    'Push',
    z
      .string()
      .regex(/^B[A-Za-z0-9_-]{86}$/, 'must be a public key in base64url, of 87 characters')
      .optional(),
    '',
    'What push services know this server by; with VAPID_PRIVATE_KEY (npx web-push generate-vapid-keys makes a pair). Without them a pair is generated once into DATA_DIR; in production push is off. Changing them ends all subscriptions.',
  ),
  VAPID_PRIVATE_KEY: variable(
    'Push',
    z
      .string()
      .regex(/^[A-Za-z0-9_-]{43}$/, 'must be a private key in base64url, of 43 characters')
      .optional(),
    '',
    'Its secret half.',
  ),
  SANDBOX: variable(
    'Sandboxes',
    choice(['auto', 'docker', 'docker-exec', 'local', 'off']).default('auto'),
    'auto',
    'What terminals and code run in. docker: containers that outlive this server. docker-exec: containers of an engine on another machine, which end with this server. local: this machine itself, without any isolation, for its first account, where HOST is a loopback address and never in production. auto: docker where an engine answers, else local where that is allowed, else off.',
  ),
  DOCKER_HOST: variable(
    'Sandboxes',
    z
      .string()
      .regex(/^(unix:\/\/\/.+|(tcp|https?):\/\/[^\s/]+)$/, 'must be unix:///path or tcp://host:port')
      .optional(),
    '',
    'The Docker engine (20.10 or newer). Without it unix:///var/run/docker.sock.',
  ),
  SANDBOX_IMAGE: variable(
    'Sandboxes',
    z
      .string()
      .regex(/^[\w][\w./:@-]{0,250}$/, 'must be the name of an image')
      .optional(),
    '',
    'The image of the sandboxes. Without it the one that npm run sandbox:image builds from sandbox/, which also happens at first use.',
  ),
  SANDBOX_DIR: variable(
    'Sandboxes',
    path.optional(),
    '',
    "Where the sandboxes' sockets and volumes are: the same path for this server and on the engine's machine. At most 80 bytes. Without it DATA_DIR/sandboxes.",
  ),
  SANDBOX_WARM: variable(
    'Sandboxes',
    integer(0, 16, 1),
    '1',
    'Sandboxes of each kind (for projects, for single runs) that are kept ready, so that a first terminal opens at once.',
  ),
  SANDBOX_IDLE_MINUTES: variable(
    'Sandboxes',
    decimal(0.01, 100_000, 15),
    '15',
    'A sandbox that nobody has used for so long is paused, and after twice that stopped. Its files stay.',
  ),
  SANDBOX_MEMORY_MIB: variable('Sandboxes', integer(128, 1_048_576, 1_024), '1024', "A project's sandbox: its memory."),
  SANDBOX_CPUS: variable('Sandboxes', decimal(0.1, 256, 1), '1', "A project's sandbox: its processors."),
  SANDBOX_VOLUME_MIB: variable(
    'Sandboxes',
    integer(64, 1_048_576, 2_048),
    '2048',
    "A project's sandbox: its volume, which is allocated as a whole.",
  ),
  SANDBOX_VOLUME_DAYS: variable(
    'Sandboxes',
    decimal(0.00001, 36_500, 30),
    '30',
    'A volume that nobody has used for so long is archived and removed; with the next start all is back. Where the disk is short this happens earlier, to those used longest ago.',
  ),
  SANDBOX_PER_USER: variable(
    'Sandboxes',
    integer(1, 10_000, 3),
    '3',
    'Sandboxes that may run at once for the projects of one user, and runs of one user.',
  ),
  SANDBOX_PER_HOST: variable('Sandboxes', integer(1, 10_000, 32), '32', 'Sandboxes of all kinds on one machine.'),
  SANDBOX_REGISTRY: variable(
    'Sandboxes',
    list
      .refine(
        (values) => values.every((value) => isUrl(value, ['http', 'https'])),
        'must be addresses separated by commas, as https://registry.npmjs.org/',
      )
      .optional(),
    '',
    "Package registries that sandboxes may fetch from, by way of this server, separated by commas. Without it those that this machine's own npm and pip use.",
  ),
  PREVIEW_PORT: variable(
    'Sandboxes',
    integer(0, 65_535, 3_001),
    '3001',
    "Port at which programs in sandboxes are seen in a browser: another origin than this server's own. 0 takes a free one.",
  ),
  PREVIEW_URL: variable(
    'Sandboxes',
    url(['http', 'https']).optional(),
    '',
    'The address of that port, of which each program gets a name below: every *.host has to lead there. In production it is on another registrable domain than PUBLIC_URL, and without it there are no previews; else http://localhost:<PREVIEW_PORT>.',
  ),
  RATE_LIMIT_SCALE: variable(
    'Limits',
    decimal(0, 1_000_000, 1),
    '1',
    'Multiplies every rate limit and the connection caps. 0 switches them off, which production refuses.',
  ),
  LOG_LEVEL: variable(
    'Logs and metrics',
    choice(['debug', 'info', 'warn', 'error']).default('info'),
    'info',
    'The least important lines that are written: debug, info, warn or error.',
  ),
  LOG_DIR: variable(
    'Logs and metrics',
    path.optional(),
    '',
    'Directory for log files too, rotated at 10 MiB, ten of them kept. Without it only standard output.',
  ),
  ERROR_DSN: variable(
    'Logs and metrics',
    url(['http', 'https']).optional(),
    '',
    'Address that gets every unexpected error as one POST of JSON, redacted like the log. Without it they are only logged.',
  ),
  METRICS_TOKEN: variable(
    'Logs and metrics',
    z.string().min(16, 'must have at least 16 characters').optional(),
    '',
    'Bearer token that /metrics asks for. Without it only this machine may read them.',
  ),
} as const satisfies Record<string, Variable>;

export type VariableName = keyof typeof VARIABLES;
