/**
 * What a log line may carry. A field is written only if its name is listed here, so that a token, a code, a password or
 * a message's text cannot get into the log by a careless call: its place says `[redacted]`.
 */
import { createHash } from 'node:crypto';
import type { LogFields } from './log.ts';
import { truncateIp } from './truncate-ip.ts';

/** Names of fields that are written as they are: numbers, booleans, short texts, and lists of them. */
const ALLOWED: ReadonlySet<string> = new Set(
  [
    // who and where
    'requestId userId connectionId nodeId serverId pid host port url origin',
    // what it is about
    'chatId messageId projectId streamId documentId terminalId runId jobId lease topic event room name part provider model',
    // what happened
    'action operation method route status outcome code reason signal attempt retryable version from to migration',
    // how much
    'durationMs delayMs timeoutMs retryAfterMs ageMs count lost total seq rev bytes chars sockets rooms queue waiting limit',
    // where it is kept
    'file path dataDir',
  ].flatMap((names) => names.split(' ')),
);

const LONGEST_TEXT = 500;
const LONGEST_LIST = 20;
const LONGEST_STACK = 4_000;
const DEEPEST_CAUSE = 5;

export const REDACTED = '[redacted]';

/** The fields of a line, made safe. */
export function serializeFields(fields: LogFields): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (name === 'error') result['error'] = serializeError(value);
    else if (name === 'sessionId') result['sessionHash'] = typeof value === 'string' ? hash(value) : REDACTED;
    else if (name === 'ip') result['ip'] = typeof value === 'string' ? truncateIp(value) : REDACTED;
    else result[name] = ALLOWED.has(name) ? serializeValue(value) : REDACTED;
  }
  return result;
}

/** Enough to find the lines of one session, useless for anything else. */
const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

function serializeValue(value: unknown): unknown {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'string') return scrub(value, LONGEST_TEXT);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (!Array.isArray(value)) return REDACTED;
  return value.slice(0, LONGEST_LIST).map((item) => (Array.isArray(item) ? REDACTED : serializeValue(item)));
}

interface SerializedError {
  name: string;
  message: string;
  code?: unknown;
  stack?: string;
  cause?: unknown;
}

/** Name, message, code, stack and causes of an error; no other property, since libraries hang requests on theirs. */
function serializeError(error: unknown, depth = 0): SerializedError | string {
  if (!(error instanceof Error)) return typeof error === 'string' ? scrub(error, LONGEST_TEXT) : REDACTED;
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? error.code : undefined;
  return {
    name,
    message: scrub(message, LONGEST_TEXT),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof stack === 'string' ? { stack: scrub(frames(stack), LONGEST_STACK) } : {}),
    ...(cause !== undefined && depth < DEEPEST_CAUSE ? { cause: serializeError(cause, depth + 1) } : {}),
  };
}

/** The stack without the message that it begins with, which may be long. */
const frames = (stack: string): string => {
  const lines = stack.split('\n');
  return lines.slice(lines.findIndex((line) => /^\s+at /.test(line))).join('\n');
};

/** Secrets by their looks: credentials in a URL, bearer tokens, JWTs, API keys. */
const SECRETS = /(?<=:\/\/)[^\s/@]+(?=@)|(?<=\bBearer\s+)\S+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|\bsk-[\w-]{8,}/gi;

/** A text without what looks like a secret, cut to a length. */
export function scrub(text: string, longest: number): string {
  const clean = text.slice(0, longest * 2).replace(SECRETS, REDACTED);
  return clean.length > longest ? `${clean.slice(0, longest)}…` : clean;
}
