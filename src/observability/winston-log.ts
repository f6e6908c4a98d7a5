/**
 * The log: one JSON line for each event, coloured text on a terminal, and rotated files where a directory is given.
 * The only module that knows winston.
 */
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { createLogger, format, transports, type Logger } from 'winston';
import { scrub, serializeFields } from './log-fields.ts';
import type { Log, LogFields } from './log.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogOptions {
  /** The least important level that is written. */
  level: LogLevel;
  /** Text for people instead of JSON. */
  pretty: boolean;
  /** JSON lines go into rotated files here as well. */
  dir?: string | undefined;
  /** Where lines go; standard output by default. It is not ended. */
  stream?: Writable | undefined;
}

export interface OpenLog extends Log {
  /** Resolves when every line is written. */
  close(): Promise<void>;
}

const FILE_BYTES = 10 * 1024 * 1024;
const FILES = 10;
const LONGEST_MESSAGE = 2_000;
const LEVELS: Record<LogLevel, number> = { error: 0, warn: 1, info: 2, debug: 3 };
/** Where winston wants the finished line. */
const LINE = Symbol.for('message');

interface Line {
  level: LogLevel;
  message: string;
  time: string;
  fields: Record<string, unknown>;
}

export function createLog({ level, pretty, dir, stream = process.stdout }: LogOptions): OpenLog {
  const logger = createLogger({
    levels: LEVELS,
    level,
    transports: [
      new transports.Stream({ stream, format: formatOf(pretty ? toText : toJson) }),
      ...(dir === undefined ? [] : [fileIn(dir)]),
    ],
  });
  // A full disk or a closed pipe must not end the process.
  logger.on('error', () => {});
  return { ...logWith(logger, level, {}), close: () => close(logger) };
}

const fileIn = (dir: string) =>
  new transports.File({
    filename: join(dir, 'atelier.log'),
    maxsize: FILE_BYTES,
    maxFiles: FILES,
    tailable: true,
    format: formatOf(toJson),
  });

function logWith(logger: Logger, least: LogLevel, inherited: Record<string, unknown>): Log {
  const write = (level: LogLevel) => {
    if (LEVELS[level] > LEVELS[least]) return () => {};
    return (message: string, fields?: LogFields): void => {
      const line: Line = {
        level,
        message: scrub(message, LONGEST_MESSAGE),
        time: new Date().toISOString(),
        fields: fields ? { ...inherited, ...serializeFields(fields) } : inherited,
      };
      logger.log(line);
    };
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => logWith(logger, least, { ...inherited, ...serializeFields(fields) }),
  };
}

const formatOf = (render: (line: Line) => string) =>
  format((info) => {
    info[LINE] = render(info as unknown as Line);
    return info;
  })();

/** Fields cannot replace what every line has. */
const toJson = ({ time, level, message, fields }: Line): string =>
  JSON.stringify({ ...fields, time, level, message, ...('message' in fields ? { field: fields['message'] } : {}) });

const COLOURS: Record<LogLevel, number> = { error: 31, warn: 33, info: 36, debug: 90 };

function toText({ time, level, message, fields }: Line): string {
  const { error, ...rest } = fields;
  const parts = Object.entries(rest).map(([name, value]) => grey(`${name}=${inline(value)}`));
  const head = `${grey(time.slice(11, 23))} ${colour(COLOURS[level], level.padEnd(5))} ${printable(message)}`;
  return [[head, ...parts].join(' '), ...errorLines(error)].join('\n');
}

function errorLines(error: unknown): string[] {
  if (error === undefined) return [];
  if (typeof error === 'string') return [`  ${printable(error)}`];
  const { name, message, stack, cause } = error as { name: string; message: string; stack?: string; cause?: unknown };
  const frames = (stack ?? '').split('\n').map((frame) => grey(printable(frame)));
  return [`  ${name}: ${printable(message)}`, ...frames, ...errorLines(cause).map((line) => `  ${line}`)];
}

const colour = (code: number, text: string): string => `\u001b[${code}m${text}\u001b[39m`;
const grey = (text: string): string => colour(90, text);
const inline = (value: unknown): string => (typeof value === 'string' ? printable(value) : JSON.stringify(value));

/** A terminal obeys control characters; a text from outside must not steer it. */
const printable = (text: string): string =>
  text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));

async function close(logger: Logger): Promise<void> {
  const finished = logger.transports.map(
    (transport) =>
      new Promise<void>((resolve) => {
        transport.once('finish', resolve);
        transport.once('error', () => resolve());
      }),
  );
  logger.end();
  await Promise.all(finished);
}
