import type { Log, LogFields } from '../../../src/observability/log.ts';

export interface TestLog extends Log {
  lines: { level: string; message: string; fields: LogFields | undefined }[];
}

/** A log that keeps its lines. */
export function createTestLog(): TestLog {
  const lines: TestLog['lines'] = [];
  const at = (level: string) => (message: string, fields?: LogFields) => void lines.push({ level, message, fields });
  const log: TestLog = {
    lines,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => log,
  };
  return log;
}
