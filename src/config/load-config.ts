/** The checked environment. All mistakes are reported at once, by the names of their variables and without their values. */
import { join } from 'node:path';
import type { z } from 'zod';
import { previewUrlProblem } from './preview-url.ts';
import { arePair } from './vapid-keys.ts';
import { VARIABLES, type VariableName } from './variables.ts';

export interface Problem {
  variable: string;
  message: string;
}

/** The environment cannot be used; the process should end with code 78. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(
      [
        'The configuration cannot be used:',
        ...problems.map((problem) => `  ${problem.variable} ${problem.message}`),
      ].join('\n'),
    );
    this.problems = problems;
  }
}

type Camel<S extends string> = S extends `${infer Head}_${infer Rest}`
  ? `${Lowercase<Head>}${Capitalize<Camel<Rest>>}`
  : Lowercase<S>;

type Checked = { -readonly [K in VariableName as Camel<K>]: z.output<(typeof VARIABLES)[K]['schema']> };

/** Each variable by its name in camel case, and what follows from them. */
export interface Config extends Omit<Checked, 'publicUrl' | 'allowedOrigins' | 'otpProvider' | 'sandboxDir'> {
  production: boolean;
  /** Without a closing slash. Where it is not set and PORT is 0, its port is only known once the server listens. */
  publicUrl: string;
  allowedOrigins: readonly string[];
  /** Pages of any port of localhost may use the server as well. */
  allowLocalhostOrigins: boolean;
  /** `off`: phone codes are unavailable. */
  otpProvider: 'console' | 'twilio-messages' | 'off';
  /** Absolute. */
  sandboxDir: string;
  /** Whether programs may run on this machine itself: off production, for who can reach a loopback address only. */
  allowLocalSandboxes: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws `ConfigError` with every problem. An empty variable counts as one that is not set. */
export function loadConfig(env: Environment): Config {
  const problems: Problem[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, { schema }] of Object.entries(VARIABLES)) {
    const text = env[name]?.trim();
    const result = schema.safeParse(text === '' ? undefined : text);
    if (result.success) values[camelCase(name)] = result.data;
    else problems.push({ variable: name, message: result.error.issues[0]?.message ?? 'is not valid' });
  }
  const faulty = new Set(problems.map(({ variable }) => variable));
  const checked = values as unknown as Checked;
  problems.push(...crossCheck(checked).filter(({ variable }) => !faulty.has(variable)));
  if (problems.length > 0) throw new ConfigError(problems);
  return derive(checked);
}

const camelCase = (name: string): string =>
  name.toLowerCase().replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** What is wrong between variables. Values of faulty ones are missing here. */
function crossCheck(config: Checked): Problem[] {
  const problems: Problem[] = [];
  const demand = (wrong: boolean, variable: VariableName, message: string): void => {
    if (wrong) problems.push({ variable, message });
  };
  if (config.nodeEnv === 'production') {
    for (const [variable, secret] of [
      // While one secret is replaced there are two.
      ...(config.jwtSecret?.split(',') ?? [undefined]).map((secret) => ['JWT_SECRET', secret?.trim()] as const),
      ['AUTH_PEPPER', config.authPepper],
    ] as const) {
      const weakness = weaknessOf(secret);
      if (weakness && !problems.some((problem) => problem.variable === variable)) {
        problems.push({ variable, message: weakness });
      }
    }
    const same = config.jwtSecret !== undefined && config.jwtSecret === config.authPepper;
    demand(same, 'AUTH_PEPPER', 'must not be the same as JWT_SECRET');
    demand(config.rateLimitScale === 0, 'RATE_LIMIT_SCALE', 'must not be 0 in production');
  }
  const notLocal = config.sandbox === 'local' && !allowsLocalSandboxes(config);
  demand(notLocal, 'SANDBOX', 'must not be local in production, or where HOST is no loopback address');
  const isLong = Buffer.byteLength(config.sandboxDir ?? '') > SANDBOX_DIR_BYTES;
  demand(isLong, 'SANDBOX_DIR', `must have at most ${SANDBOX_DIR_BYTES} bytes`);
  const { previewUrl } = config;
  if (config.nodeEnv === 'production' && previewUrl !== undefined) {
    const problem = previewUrlProblem(config.publicUrl ?? `http://localhost:${config.port}`, previewUrl);
    if (problem !== undefined) demand(true, 'PREVIEW_URL', problem);
  }
  const noKey = config.aiProvider === 'anthropic' && config.anthropicApiKey === undefined;
  demand(noKey, 'ANTHROPIC_API_KEY', 'must be set when AI_PROVIDER is anthropic');
  if (config.otpProvider === 'twilio-messages') {
    const because = 'must be set when OTP_PROVIDER is twilio-messages';
    demand(config.twilioAccountSid === undefined, 'TWILIO_ACCOUNT_SID', because);
    demand(config.twilioAuthToken === undefined, 'TWILIO_AUTH_TOKEN', because);
    demand(!hasSender(config), 'TWILIO_FROM', `(or TWILIO_WHATSAPP_FROM) ${because}`);
  }
  const noBucket = config.s3Bucket === undefined;
  const place = config.s3Endpoint ?? config.s3Prefix;
  demand(noBucket && place !== undefined, 'S3_BUCKET', 'must be set with S3_ENDPOINT or S3_PREFIX');
  // Without a bucket they may be meant for something else.
  const { awsAccessKeyId: keyId, awsSecretAccessKey: key } = config;
  demand(!noBucket && keyId !== undefined && key === undefined, 'AWS_SECRET_ACCESS_KEY', 'must be set with its id');
  demand(!noBucket && keyId === undefined && key !== undefined, 'AWS_ACCESS_KEY_ID', 'must be set with its secret');
  const { vapidPublicKey: publicKey, vapidPrivateKey: privateKey } = config;
  demand(publicKey !== undefined && privateKey === undefined, 'VAPID_PRIVATE_KEY', 'must be set with VAPID_PUBLIC_KEY');
  demand(publicKey === undefined && privateKey !== undefined, 'VAPID_PUBLIC_KEY', 'must be set with VAPID_PRIVATE_KEY');
  const noPair = publicKey !== undefined && privateKey !== undefined && !arePair({ publicKey, privateKey });
  demand(noPair, 'VAPID_PRIVATE_KEY', 'must belong to VAPID_PUBLIC_KEY');
  return problems;
}

const SECRET_LENGTH = 32;
/** Texts that stand in examples. A random secret does not contain them but by a chance of one in billions. */
const PLACEHOLDER =
  /change[-_ ]?(me|this|it)|replace[-_ ]?(me|this)|placeholder|^(your|example|default|todo|insert)[-_ ]/i;
/** 32 random characters, even hexadecimal ones, have more different ones than this. */
const DIFFERENT_CHARACTERS = 8;

function weaknessOf(secret: string | undefined): string | undefined {
  if (secret === undefined) return 'must be set in production';
  if (secret.length < SECRET_LENGTH) return `must have at least ${SECRET_LENGTH} characters in production`;
  if (PLACEHOLDER.test(secret)) return 'is a placeholder; production needs a random secret';
  if (new Set(secret).size < DIFFERENT_CHARACTERS) return 'is too easy to guess; production needs a random secret';
  return undefined;
}

/** Sockets in it are addressed by their paths, of which the kernel takes 107 bytes. */
const SANDBOX_DIR_BYTES = 80;

const sandboxDirOf = ({ sandboxDir, dataDir }: Checked): string => sandboxDir ?? join(dataDir, 'sandboxes');

const allowsLocalSandboxes = ({ nodeEnv, host }: Checked): boolean =>
  nodeEnv !== 'production' && /^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host);

const hasSender = (config: Checked): boolean =>
  config.twilioFrom !== undefined || config.twilioWhatsappFrom !== undefined;

function derive(checked: Checked): Config {
  const production = checked.nodeEnv === 'production';
  const publicUrl = checked.publicUrl ?? `http://localhost:${checked.port}`;
  const twilioIsSet =
    checked.twilioAccountSid !== undefined && checked.twilioAuthToken !== undefined && hasSender(checked);
  return {
    ...checked,
    production,
    publicUrl,
    allowedOrigins: checked.allowedOrigins ?? [new URL(publicUrl).origin],
    allowLocalhostOrigins: !production && checked.allowedOrigins === undefined,
    sandboxDir: sandboxDirOf(checked),
    allowLocalSandboxes: allowsLocalSandboxes(checked),
    otpProvider: checked.otpProvider ?? (twilioIsSet ? 'twilio-messages' : production ? 'off' : 'console'),
  };
}
