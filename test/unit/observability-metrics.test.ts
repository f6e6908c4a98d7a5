import { describe, expect, test } from 'vitest';
import { createMetrics } from '../../src/observability/index.ts';

describe('the metrics', () => {
  test('[OB-20] count operations by outcome and measure them', async () => {
    const metrics = createMetrics();
    metrics.operation({ operation: 'chat:create', outcome: 'ok', durationMs: 7 });
    metrics.operation({ operation: 'chat:create', outcome: 'ok', durationMs: 2 });
    metrics.operation({ operation: 'chat:create', outcome: 'invalid', durationMs: 1 });
    metrics.httpRequest({ method: 'GET', route: '/api/chats/:id', status: 404, durationMs: 3 });
    const { body, contentType } = await metrics.text();
    expect(contentType).toContain('text/plain');
    expect(body).toContain('atelier_operations_total{operation="chat:create",outcome="ok"} 2');
    expect(body).toContain('atelier_operations_total{operation="chat:create",outcome="invalid"} 1');
    expect(body).toContain('atelier_operation_seconds_count{operation="chat:create"} 3');
    expect(body).toContain('atelier_http_seconds_count{method="GET",route="/api/chats/:id",status="404"} 1');
    metrics.close();
  });

  test('[OB-21] read gauges when asked, and keep counters', async () => {
    const metrics = createMetrics();
    let sockets = 3;
    metrics.gauge('sockets', 'Connected sockets', () => sockets);
    const plain = metrics.counter('packets_total', 'Packets');
    const labelled = metrics.counter('drops_total', 'Drops', ['reason']);
    expect((await metrics.text()).body).toMatch(/^atelier_sockets 3$/m);
    sockets = 4;
    plain.add({});
    plain.add({}, 2);
    labelled.add({ reason: 'slow' });
    const { body } = await metrics.text();
    expect(body).toMatch(/^atelier_sockets 4$/m);
    expect(body).toMatch(/^atelier_packets_total 3$/m);
    expect(body).toMatch(/^atelier_drops_total\{reason="slow"\} 1$/m);
    metrics.close();
  });

  test('[OB-22] tell the delay of the event loop and the memory', async () => {
    const metrics = createMetrics();
    const { body } = await metrics.text();
    expect(body).toMatch(/^atelier_event_loop_delay_seconds\{quantile="0.99"\} /m);
    expect(body).toMatch(/^atelier_resident_memory_bytes \d{6,}/m);
    metrics.close();
  });

  test('[OB-23] of two servers in one process do not mix', async () => {
    const [first, second] = [createMetrics(), createMetrics()];
    first.operation({ operation: 'a', outcome: 'ok', durationMs: 1 });
    expect((await second.text()).body).not.toContain('operation="a"');
    first.close();
    second.close();
  });
});
