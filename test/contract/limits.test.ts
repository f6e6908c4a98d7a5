import { afterEach, describe, expect, test, vi } from 'vitest';
import { createLimits } from '../../src/cluster/limits.ts';
import { describeLimits } from './limits.contract.ts';

describeLimits('memory', async (options) => {
  const limits = createLimits(options);
  return { limits, close: () => limits.close() };
});

describe('the limits in memory', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test('[CL-70] let a named limit through again when its window has passed', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
    const limits = createLimits({ scale: 1 });
    const limit = { points: 1, windowSeconds: 60 };
    await limits.consume('otp', 'ann', limit);
    vi.advanceTimersByTime(59_999);
    await expect(limits.consume('otp', 'ann', limit)).rejects.toMatchObject({ code: 'rate_limited', retryAfterMs: 1 });
    vi.advanceTimersByTime(1);
    await limits.consume('otp', 'ann', limit);
    await limits.close();
  });
});
