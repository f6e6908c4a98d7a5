/** Percentiles, tables, and the disk's own speed. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** How long one small durable write takes on the disk that the server writes to. */
export function diskSyncMs(): { p50: number; p99: number } {
  const path = join(tmpdir(), `atelier-bench-sync-${process.pid}`);
  const fd = openSync(path, 'w');
  const times: number[] = [];
  for (let n = 0; n < 300; n++) {
    const startedAt = performance.now();
    writeSync(fd, Buffer.alloc(4_096), 0, 4_096, n * 4_096);
    fdatasyncSync(fd);
    times.push(performance.now() - startedAt);
  }
  closeSync(fd);
  rmSync(path);
  times.sort((a, b) => a - b);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}
