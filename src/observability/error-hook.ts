/**
 * The hook at the one error boundary: each bug as one POST of JSON to `ERROR_DSN`, for whatever collects such reports.
 * It never delays or fails what it reports on, and a flood of bugs does not become a flood of requests.
 */
import { serializeFields } from './log-fields.ts';
import type { Log, LogFields } from './log.ts';

export interface ErrorHook {
  /** Sends it in the background; redacted like a log line. */
  report(error: unknown, fields?: LogFields): void;
  /** Resolves when the reports under way have ended, within 5 s each. */
  close(): Promise<void>;
}

export interface ErrorHookOptions {
  /** `http(s)://…`; without one nothing is sent. Credentials in it become basic authentication. */
  dsn?: string | undefined;
  log: Log;
}

const TIMEOUT_MS = 5_000;
/** Reports under way at once; more are left out, since they tell of the same trouble. */
const UNDER_WAY = 5;

export function createErrorHook({ dsn, log }: ErrorHookOptions): ErrorHook {
  if (dsn === undefined) return { report: () => {}, close: async () => {} };
  const { url, headers } = target(dsn);
  const underWay = new Set<Promise<void>>();

  const send = async (body: string): Promise<void> => {
    try {
      const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
      await response.body?.cancel();
      if (!response.ok) log.warn('An error report was refused', { status: response.status });
    } catch {
      // Without the error: its text may hold the address, and with it a key.
      log.warn('An error report could not be sent');
    }
  };

  return {
    report(bug, fields = {}) {
      if (underWay.size >= UNDER_WAY) return;
      const body = JSON.stringify({ time: new Date().toISOString(), ...serializeFields({ ...fields, error: bug }) });
      const sending = send(body).finally(() => underWay.delete(sending));
      underWay.add(sending);
    },
    async close() {
      await Promise.all(underWay);
    },
  };
}

/** `fetch` refuses a URL with credentials. */
function target(dsn: string): { url: string; headers: Record<string, string> } {
  const url = new URL(dsn);
  const credentials = [url.username, url.password].map((part) => decodeURIComponent(part)).join(':');
  url.username = url.password = '';
  return {
    url: url.href,
    headers: {
      'content-type': 'application/json',
      ...(credentials === ':' ? {} : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
    },
  };
}
