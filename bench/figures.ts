/** Percentiles, tables, and the disk's own speed. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);

export const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
export const count = (value: number): string => Math.round(value).toLocaleString('en-US');
export const p50p99 = (values: readonly number[]): string =>
  `${ms(percentile(values, 0.5))} / ${ms(percentile(values, 0.99))}`;

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** One line for each target: what was asked, what came out. */
export function atLeast(what: string, value: number, target: number): string {
  return `- ${what}: ${value.toFixed(2)}× (target ≥ ${target}×): ${value >= target ? 'met' : '**missed**'}`;
}

export function atMost(what: string, value: number, target: number, unit: string): string {
  return `- ${what}: ${value.toFixed(2)} ${unit} (target ≤ ${target.toFixed(2)} ${unit}): ${value <= target ? 'met' : '**missed**'}`;
}

/** How long small durable writes take on the disk that the server writes to. */
export function diskSyncMs(): number[] {
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
  return times;
}
