import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, envExample, loadConfig, type Problem } from '../../src/config/index.ts';
import { VARIABLES } from '../../src/config/variables.ts';

const SECRET = 'q3Zr8vLx0pTn5WbYc7MdKf2HgJ9sAu4E';
const PEPPER = 'B1nVx6QmZr4TwYp8LdKs0HgFj3UaCe7i';
const production = { NODE_ENV: 'production', JWT_SECRET: SECRET, AUTH_PEPPER: PEPPER };

function problemsOf(env: Record<string, string>): readonly Problem[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
const faulty = (env: Record<string, string>): string[] => problemsOf(env).map(({ variable }) => variable);

describe('the configuration', () => {
  test('[CF-1] needs nothing off production', () => {
    expect(loadConfig({})).toMatchObject({
      nodeEnv: 'development',
      production: false,
      port: 3000,
      host: '127.0.0.1',
      dataDir: resolve('data'),
      publicUrl: 'http://localhost:3000',
      allowedOrigins: ['http://localhost:3000'],
      allowLocalhostOrigins: true,
      mongodbUri: undefined,
      accessTokenSeconds: 900,
      refreshTokenDays: 30,
      trustProxyHops: 0,
      rateLimitScale: 1,
      aiProvider: 'auto',
      otpProvider: 'console',
      otpCountries: undefined,
      logLevel: 'info',
    });
  });

  test('[CF-2] reports every mistake at once, by name', () => {
    const env = { PORT: 'http', LOG_LEVEL: 'loud', MONGODB_URI: 'localhost', ALLOWED_ORIGINS: '*', METRICS_TOKEN: 'x' };
    expect(faulty({ ...env, AI_PROVIDER: 'anthropic' }).toSorted()).toEqual([
      'ALLOWED_ORIGINS',
      'ANTHROPIC_API_KEY',
      'LOG_LEVEL',
      'METRICS_TOKEN',
      'MONGODB_URI',
      'PORT',
    ]);
    expect(() => loadConfig(env)).toThrow(/PORT must be a whole number[^]*LOG_LEVEL must be one of debug/);
  });

  test('[CF-3] never repeats a value', () => {
    const secret = 'hunter2';
    for (const name of Object.keys(VARIABLES)) {
      const problems = problemsOf({ ...production, [name]: secret });
      expect(JSON.stringify(problems)).not.toContain(secret);
    }
  });

  test('[CF-4] takes an empty variable for one that is not set', () => {
    const empty = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, ' ']));
    expect(loadConfig(empty)).toEqual(loadConfig({}));
  });

  test('[CF-5] demands two strong secrets in production', () => {
    expect(faulty({ NODE_ENV: 'production' })).toEqual(['JWT_SECRET', 'AUTH_PEPPER']);
    expect(faulty({ ...production, JWT_SECRET: 'short' })).toEqual(['JWT_SECRET']);
    expect(faulty({ ...production, JWT_SECRET: 'a'.repeat(64) })).toEqual(['JWT_SECRET']);
    expect(faulty({ ...production, JWT_SECRET: 'please-change-me-before-you-go-live-0' })).toEqual(['JWT_SECRET']);
    expect(faulty({ ...production, AUTH_PEPPER: SECRET })).toEqual(['AUTH_PEPPER']);
    expect(faulty(production)).toEqual([]);
    const other = SECRET.split('').reverse().join('');
    expect(faulty({ ...production, JWT_SECRET: `${SECRET}, ${other}` })).toEqual([]);
    expect(faulty({ ...production, JWT_SECRET: `${SECRET},short,shorter` })).toEqual(['JWT_SECRET']);
    expect(loadConfig({ JWT_SECRET: 'short' }).jwtSecret).toBe('short');
  });

  test('[CF-6] refuses to run production without limits, and no other scale', () => {
    expect(faulty({ ...production, RATE_LIMIT_SCALE: '0' })).toEqual(['RATE_LIMIT_SCALE']);
    expect(faulty({ ...production, RATE_LIMIT_SCALE: '-1' })).toEqual(['RATE_LIMIT_SCALE']);
    expect(loadConfig({ RATE_LIMIT_SCALE: '0' }).rateLimitScale).toBe(0);
    expect(loadConfig({ ...production, RATE_LIMIT_SCALE: '2.5' }).rateLimitScale).toBe(2.5);
  });

  test('[CF-7] lets in the origin of PUBLIC_URL, and localhost only off production', () => {
    expect(loadConfig({ PUBLIC_URL: 'https://a.example/app/' })).toMatchObject({
      publicUrl: 'https://a.example/app',
      allowedOrigins: ['https://a.example'],
      allowLocalhostOrigins: true,
    });
    expect(loadConfig({ ...production, PUBLIC_URL: 'https://a.example' }).allowLocalhostOrigins).toBe(false);
    expect(loadConfig({ ALLOWED_ORIGINS: 'https://a.example, http://b.example:81/' })).toMatchObject({
      allowedOrigins: ['https://a.example', 'http://b.example:81'],
      allowLocalhostOrigins: false,
    });
    expect(faulty({ ALLOWED_ORIGINS: 'https://a.example/path' })).toEqual(['ALLOWED_ORIGINS']);
  });

  test('[CF-8] finds the way for phone codes from what is set', () => {
    const twilio = { TWILIO_ACCOUNT_SID: 'AC0123', TWILIO_AUTH_TOKEN: 'token', TWILIO_FROM: '+14155550100' };
    expect(loadConfig(twilio).otpProvider).toBe('twilio-messages');
    expect(loadConfig({ ...twilio, OTP_PROVIDER: 'console' }).otpProvider).toBe('console');
    expect(loadConfig(production).otpProvider).toBe('off');
    expect(faulty({ OTP_PROVIDER: 'twilio-messages' })).toEqual([
      'TWILIO_ACCOUNT_SID',
      'TWILIO_AUTH_TOKEN',
      'TWILIO_FROM',
    ]);
    expect(loadConfig({ ...twilio, TWILIO_WHATSAPP_FROM: 'whatsapp:+14155550100' }).twilioWhatsappFrom).toBe(
      '+14155550100',
    );
    expect(loadConfig({ OTP_COUNTRIES: 'de, us' }).otpCountries).toEqual(['DE', 'US']);
  });

  test('[CF-9] takes the URIs that MongoDB has', () => {
    for (const uri of [
      'mongodb://a:1,b:2/x?replicaSet=r',
      'mongodb+srv://user:p%40ss@cluster.example',
      'mongodb://%2Ftmp%2Fdb.sock',
    ]) {
      expect(loadConfig({ MONGODB_URI: uri }).mongodbUri).toBe(uri);
    }
  });

  test('[CF-11] takes the address of a Redis or of a Redis Cluster', () => {
    const good = [
      'redis://localhost',
      'redis://:p%40ss@10.0.0.1:6380/2',
      'rediss://user:secret@[::1]:6379',
      'redis+cluster://a:7000,b:7001,[::1]:7002',
      'rediss+cluster://user:secret@a,b',
    ];
    for (const REDIS_URL of good) expect(loadConfig({ REDIS_URL: `${REDIS_URL}/` }).redisUrl).toBe(REDIS_URL);
    for (const REDIS_URL of [
      'localhost:6379',
      'http://localhost',
      'redis://',
      'redis://a,b',
      'redis://a:port',
      'redis+cluster://a:1,,b:2',
      'redis+cluster://a:99999',
    ]) {
      expect(faulty({ REDIS_URL })).toEqual(['REDIS_URL']);
    }
  });

  test('[CF-12] takes a bucket with its place and its key, or none of it', () => {
    const s3 = { S3_BUCKET: 'my.uploads-1', AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' };
    expect(loadConfig({ ...s3, S3_ENDPOINT: 'http://127.0.0.1:3900/', S3_PREFIX: '/atelier/one/' })).toMatchObject({
      s3Bucket: 'my.uploads-1',
      s3Endpoint: 'http://127.0.0.1:3900',
      s3Prefix: 'atelier/one',
      awsRegion: 'us-east-1',
    });
    expect(loadConfig({}).s3Bucket).toBeUndefined();
    // They may be there for another program.
    expect(faulty({ AWS_ACCESS_KEY_ID: 'id', AWS_REGION: 'eu-central-1' })).toEqual([]);
    expect(faulty({ S3_ENDPOINT: 'http://127.0.0.1:3900' })).toEqual(['S3_BUCKET']);
    expect(faulty({ S3_BUCKET: 'uploads', AWS_ACCESS_KEY_ID: 'id' })).toEqual(['AWS_SECRET_ACCESS_KEY']);
    expect(faulty({ S3_BUCKET: 'uploads', AWS_SECRET_ACCESS_KEY: 'secret' })).toEqual(['AWS_ACCESS_KEY_ID']);
    for (const S3_BUCKET of ['a', 'a/b', 'my bucket', '.hidden']) expect(faulty({ S3_BUCKET })).toEqual(['S3_BUCKET']);
    for (const S3_PREFIX of ['../up', 'a//b', 'a b', '.']) expect(faulty({ ...s3, S3_PREFIX })).toEqual(['S3_PREFIX']);
  });

  test('[CF-10] has an example file that is current', async () => {
    expect(await readFile(new URL('../../.env.example', import.meta.url), 'utf8')).toBe(envExample());
  });

  test('[CF-11] states every default in the example file as it is', () => {
    const stated = Object.fromEntries(Object.entries(VARIABLES).map(([name, { fallback }]) => [name, fallback]));
    expect(loadConfig(stated)).toEqual(loadConfig({}));
  });
});
