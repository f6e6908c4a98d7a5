/** What a start tells a person: where the server is, what is embedded, what is off, and how to change it. */
import type { Config } from './config/index.ts';

interface Part {
  part: string;
  state: string;
  hint: string;
}

/** What sandboxes run in, or why there are none. */
export type SandboxState = { kind: 'docker' | 'docker-exec' | 'local' } | { off: string };

/** The parts that a deployment chooses. `/health` shows the same states. */
export function describeParts(config: Config, sandboxes: SandboxState): Part[] {
  const assistant =
    config.aiProvider === 'anthropic' || (config.aiProvider === 'auto' && config.anthropicApiKey !== undefined);
  const push = !config.production || config.vapidPublicKey !== undefined;
  const otp = {
    console: 'codes are printed here and kept at /dev/outbox',
    'twilio-messages': 'Twilio Messages',
    off: 'off',
  } as const;
  return [
    {
      part: 'storage',
      state: config.mongodbUri === undefined ? 'embedded' : 'MongoDB',
      hint: config.mongodbUri === undefined ? 'set MONGODB_URI for a MongoDB' : '',
    },
    {
      part: 'uploads',
      state: config.s3Bucket === undefined ? 'on disk' : 'S3',
      hint: config.s3Bucket === undefined ? 'set S3_BUCKET for an S3 store' : '',
    },
    {
      part: 'assistant',
      state: assistant ? 'Anthropic' : 'demo, offline',
      hint: assistant ? '' : 'set ANTHROPIC_API_KEY for Claude',
    },
    {
      part: 'phone codes',
      state: otp[config.otpProvider],
      hint:
        config.otpProvider === 'twilio-messages'
          ? ''
          : 'set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM for SMS',
    },
    sandboxPart(sandboxes),
    {
      part: 'push',
      state: push ? 'on' : 'off',
      hint: push ? '' : 'set VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY',
    },
    {
      part: 'nodes',
      state: config.redisUrl === undefined ? 'this one only' : 'several, by Redis',
      hint: config.redisUrl === undefined ? 'set REDIS_URL for several' : '',
    },
  ];
}

const SANDBOX_STATES = {
  docker: { state: 'in Docker containers', hint: '' },
  'docker-exec': { state: 'in Docker containers', hint: 'which end with this server: SANDBOX=docker keeps them' },
  local: {
    state: 'on this machine',
    hint: 'without any isolation, for the first account only: start a Docker engine for real sandboxes',
  },
} as const;

function sandboxPart(sandboxes: SandboxState): Part {
  const part = 'terminals';
  return 'off' in sandboxes ? { part, state: 'off', hint: sandboxes.off } : { part, ...SANDBOX_STATES[sandboxes.kind] };
}

export function banner(config: Config, sandboxes: SandboxState, url: string): string {
  const parts = describeParts(config, sandboxes);
  const wide = Math.max(...parts.map(({ state }) => state.length));
  return [
    '',
    `  Atelier is ready on ${url}`,
    '',
    ...parts.map(({ part, state, hint }) => `  ${part.padEnd(12)} ${state.padEnd(wide)}  ${hint}`.trimEnd()),
    '',
    `  The data is in ${config.dataDir}.`,
    `  ${url}/docs describes every operation; ${url}/health says how it goes. Ctrl+C stops.`,
    '',
    '',
  ].join('\n');
}
