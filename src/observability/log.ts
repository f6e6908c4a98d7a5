/** The one way to the log. Fields are allow-listed by their names in the writer: no token, code, password or message body. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every line carries these fields. */
  child(fields: LogFields): Log;
}

export type LogFields = Record<string, unknown> & { error?: unknown };
