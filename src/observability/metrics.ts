/** The server's figures in the form that Prometheus reads, on a registry of their own. The only module that knows prom-client. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

export interface Count<L extends string> {
  /** Adds one, or `by`. */
  add(labels: Record<L, string>, by?: number): void;
}

export interface Metrics {
  /** One finished operation: `outcome` is `ok` or an error code. */
  operation(record: { operation: string; outcome: string; durationMs: number }): void;
  /** One finished HTTP request; `route` is its pattern, never its path. */
  httpRequest(request: { method: string; route: string; status: number; durationMs: number }): void;
  /** A figure that is read when somebody asks (sockets, rooms, queue sizes). Names get the prefix `atelier_`. */
  gauge(name: string, help: string, read: () => number | Promise<number>): void;
  /** A figure that only grows, by label values that come from a small closed set. */
  counter<const L extends string = never>(name: string, help: string, labels?: readonly L[]): Count<L>;
  /** What `/metrics` answers. */
  text(): Promise<{ contentType: string; body: string }>;
  close(): void;
}

const PREFIX = 'atelier_';
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const NANOSECONDS = 1e9;

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const operationSeconds = new Histogram({
    name: `${PREFIX}operation_seconds`,
    help: 'Time from the arrival of an operation to its answer',
    labelNames: ['operation'],
    buckets: SECONDS,
    registers,
  });
  const operations = new Counter({
    name: `${PREFIX}operations_total`,
    help: 'Answered operations by outcome: ok or an error code',
    labelNames: ['operation', 'outcome'],
    registers,
  });
  const httpSeconds = new Histogram({
    name: `${PREFIX}http_seconds`,
    help: 'Time of an HTTP request',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers,
  });

  const gauge: Metrics['gauge'] = (name, help, read) => {
    const figure = new Gauge({
      name: PREFIX + name,
      help,
      registers: [],
      async collect() {
        this.set(await read());
      },
    });
    registry.registerMetric(figure);
  };

  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const loopDelay = new Gauge({
    name: `${PREFIX}event_loop_delay_seconds`,
    help: 'Delay of the event loop since the figures were last read',
    labelNames: ['quantile'],
    registers: [],
    collect() {
      this.set({ quantile: '0.5' }, delay.percentile(50) / NANOSECONDS);
      this.set({ quantile: '0.99' }, delay.percentile(99) / NANOSECONDS);
      this.set({ quantile: '1' }, delay.max / NANOSECONDS);
      delay.reset();
    },
  });
  registry.registerMetric(loopDelay);
  gauge('resident_memory_bytes', 'Memory of the process', () => process.memoryUsage.rss());
  gauge('heap_used_bytes', 'JavaScript heap in use', () => process.memoryUsage().heapUsed);
  gauge('uptime_seconds', 'Time since the process started', () => process.uptime());

  return {
    gauge,
    operation({ operation, outcome, durationMs }) {
      operationSeconds.observe({ operation }, durationMs / 1_000);
      operations.inc({ operation, outcome });
    },
    httpRequest({ method, route, status, durationMs }) {
      httpSeconds.observe({ method, route, status: String(status) }, durationMs / 1_000);
    },
    counter<const L extends string>(name: string, help: string, labels: readonly L[] = []): Count<L> {
      const counter = new Counter<L>({ name: PREFIX + name, help, labelNames: [...labels], registers });
      return { add: (values, by = 1) => counter.inc(values, by) };
    },
    text: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
    close() {
      delay.disable();
      registry.clear();
    },
  };
}
